import Foundation
import Glibc
import Logging
import RoostClient
import RoostLinux
import RoostModel
import RoostWire
import Synchronization
import Testing

@testable import RoostAPI

/// A group that says who called it.
private struct EchoRoutes: RouteGroup {
    var callers: Principal.Kind
    var prefix: String

    var routes: [APIRoute] {
        [
            APIRoute(.get, "/v1/\(prefix)/whoami", query: ["a"]) { call in
                try Answer.json([
                    "caller": call.caller.description, "by": call.forwardedBy?.text ?? "", "request": call.requestID,
                    "present": PresentCall.requestID ?? "",
                ])
            },
            APIRoute(.put, "/v1/\(prefix)/size") { try Answer.json(["bytes": $0.body.count]) },
            // More than the kernel keeps for one who does not read.
            APIRoute(.get, "/v1/\(prefix)/large") { _ in
                try Answer.json(["large": String(repeating: "x", count: Self.largeBytes)])
            },
            APIRoute(.get, "/v1/\(prefix)/talk") { _ in
                Answer(contentType: "text/plain", body: .stream { Talk() })
            },
            APIRoute(.get, "/v1/\(prefix)/rare", rate: CallRate(perSecond: 1, burst: 2)) { _ in try Answer.ok() },
            APIRoute(
                .get, "/v1/\(prefix)/machines/:machine/hold",
                concurrency: ConcurrencyLimit("holds", perCaller: 3, perMachine: 2), endsWithCaller: true
            ) { _ in
                Self.held.withLock { $0 += 1 }
                defer { Self.held.withLock { $0 -= 1 } }
                try await Task.sleep(for: .seconds(600))
                return try Answer.ok()
            },
            APIRoute(.post, "/v1/\(prefix)/refused", endsWithCaller: true) { call throws in
                switch call.body.count {
                case 2: throw Refusal(.failedPrecondition, "not now")
                case 3: throw CancellationError()
                case 4: throw InvalidValue(kind: "thing", value: "x", rule: "nothing expects this here")
                default: return try Answer.ok()
                }
            },
        ]
    }

    static let held = Mutex(0)
    static let largeBytes = 8 << 20
}

/// An answer that goes on for ever, a piece each twentieth of a second.
private struct Talk: AnswerStream {
    static let piece = Data(repeating: UInt8(ascii: "."), count: 256 << 10)

    mutating func next() async throws -> Data? {
        try await Task.sleep(for: .milliseconds(50))
        return Self.piece
    }
}

@Suite(.serialized) struct DoorTests {
    let token = PlanetToken("0123456789abcdef")
    let ams1: HostName
    init() throws { ams1 = try HostName("ams1") }

    /// Everybody's routes at one door, on a socket of its own.
    private func atDoor(
        _ callers: APIDoor.Callers, limits: DoorLimits = .planet,
        _ body: (RoostAPIClient, _ path: String) async throws -> Void
    ) async throws {
        let path = NSTemporaryDirectory() + "roost-door-\(getpid())-\(UInt32.random(in: 0 ... .max)).sock"
        let groups = [(Principal.Kind.user, "user"), (.peer, "peer"), (.member, "member")]
            .map { EchoRoutes(callers: $0.0, prefix: $0.1) }
        let server = APIServer(
            APIDoor(.socket(path: path), for: callers, limits: limits), groups, bounds: CallBounds(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await server.keepServing() }
            defer { group.cancelAll() }
            _ = try await poll(for: .seconds(10), every: .milliseconds(10)) { () -> Bool? in
                // It has its mode and is listened at: three steps.
                guard Self.mode(of: path) != nil, let end = try? UnixSocket.connect(path) else { return nil }
                close(end)
                return true
            }
            try await body(RoostAPIClient(.socket(path: path)), path)
        }
    }

    /// What is asked inside a closure cannot throw inside the macro.
    private func holds(_ isTrue: Bool, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(isTrue, sourceLocation: sourceLocation)
    }

    private static func mode(of path: String) -> Int? {
        try? FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    }

    @Test("An answer after which the connection ends says so, whatever it is, and the next call is carried out")
    func lastOnConnection() async throws {
        try await atDoor(.root) { client, _ in
            for round in 0..<20 {
                for (body, status) in [("{ }", 503), ("{}", 412), ("{  }", 500), ("{   }", 200)] {
                    var request = APIRequest(.post, "/v1/user/refused")
                    request.body = Data(body.utf8)
                    let answer = try await client.execute(request)
                    holds(answer.status == status)
                    holds(answer.headers.contains { $0.name.lowercased() == "connection" && $0.value == "close" })
                    let next = try await client.sendForData(.get, "/v1/user/whoami", query: [("a", "\(round)")])
                    holds(!next.isEmpty)
                }
            }
        }
    }

    private func credentials(peerAt address: String = "nowhere") -> APIDoor.Callers {
        .credentials(token) { _ in address }
    }

    private func call(
        _ client: RoostAPIClient, _ target: String, _ headers: [(name: String, value: String)] = []
    ) async throws -> (Int, [String: String]) {
        let response = try await client.execute(APIRequest(.get, target, headers: headers))
        return (response.status, (try? JSONDecoder().decode([String: String].self, from: response.body)) ?? [:])
    }

    @Test("A caller of one kind does not reach the routes of another, and does not even hear that they are there")
    func kinds() async throws {
        let user = [(name: "authorization", value: "Bearer 0123456789abcdef")]
        let peer = [(name: "authorization", value: token.credential(of: ams1))]
        try await atDoor(credentials()) { client, _ in
            holds(try await call(client, "/v1/user/whoami", user).1["caller"] == "user at nowhere")
            holds(try await call(client, "/v1/peer/whoami", user).0 == 404)
            holds(try await call(client, "/v1/member/whoami", user).0 == 404)
            holds(try await call(client, "/v1/peer/whoami", peer).1["caller"] == "host ams1")
            holds(try await call(client, "/v1/user/whoami", peer).0 == 404)
            holds(try await call(client, "/v1/user/whoami").0 == 401)
            holds(try await call(client, "/v1/nothing").0 == 401)
            let missing = try await call(client, "/v1/nothing", user)
            let hidden = try await call(client, "/v1/peer/whoami", user)
            #expect(missing.1["code"] == hidden.1["code"])
        }
        try await atDoor(.member(try MachineID("0123456789abcd"))) { client, _ in
            holds(try await call(client, "/v1/member/whoami", user).1["caller"] == "machine 0123456789abcd")
            holds(try await call(client, "/v1/user/whoami", user).0 == 404)
            holds(try await call(client, "/v1/peer/whoami", peer).0 == 404)
        }
        try await atDoor(.root) { client, _ in
            holds(try await call(client, "/v1/user/whoami").1["caller"] == "user at this host")
            holds(try await call(client, "/v1/peer/whoami", peer).0 == 404)
        }
    }

    @Test("A host's credential counts at that host's address only")
    func addresses() async throws {
        let peer = [(name: "authorization", value: token.credential(of: ams1))]
        try await atDoor(credentials(peerAt: "fdaa::1")) { client, _ in
            holds(try await call(client, "/v1/peer/whoami", peer).0 == 401)
        }
    }

    @Test("Only a host passes on what a user asked for")
    func onBehalf() async throws {
        let origin = (name: CallHeader.onBehalfOf, value: "fdaa::9")
        try await atDoor(credentials()) { client, _ in
            let passed = try await call(
                client, "/v1/user/whoami", [(name: "authorization", value: token.credential(of: ams1)), origin])
            #expect(passed.1["caller"] == "user at fdaa::9")
            #expect(passed.1["by"] == "ams1")
            let own = try await call(
                client, "/v1/user/whoami", [(name: "authorization", value: "Bearer 0123456789abcdef"), origin])
            #expect(own.1["caller"] == "user at nowhere")
            #expect(own.1["by"] == "")
        }
    }

    @Test("A call keeps the id that it came with, and an id that cannot stand in a log is replaced")
    func requestIDs() async throws {
        try await atDoor(.root) { client, _ in
            let own = try await client.execute(
                APIRequest(.get, "/v1/user/whoami", headers: [(CallHeader.requestID, "01ABC-ams")]))
            #expect(own.requestID == "01ABC-ams")
            let body = try JSONDecoder().decode([String: String].self, from: own.body)
            #expect(body["request"] == "01ABC-ams")
            #expect(body["present"] == "01ABC-ams")
            for wrong in ["with space", String(repeating: "a", count: 65), "quote\""] {
                let other = try await client.execute(
                    APIRequest(.get, "/v1/user/whoami", headers: [(CallHeader.requestID, wrong)]))
                #expect(other.requestID != wrong)
                #expect(other.requestID?.count == 32)
            }
            let refused = try await client.execute(APIRequest(.get, "/v1/nothing"))
            #expect(refused.requestID?.count == 32)
        }
    }

    @Test("A query name that a route does not know is refused on every path")
    func queries() async throws {
        try await atDoor(.root) { client, _ in
            holds(try await call(client, "/v1/user/whoami?a=1").0 == 200)
            let (status, body) = try await call(client, "/v1/user/whoami?a=1&froce=true")
            #expect(status == 400)
            #expect(body["error"]?.contains("'froce' is not supported") == true)
        }
    }

    @Test("A member's door takes no large body, and no more calls a second than a member makes")
    func memberBounds() async throws {
        try await atDoor(.member(try MachineID("0123456789abcd")), limits: .member) { client, _ in
            let fits = try await client.execute(
                APIRequest(.put, "/v1/member/size", body: Data(repeating: 32, count: 64 << 10)))
            #expect(fits.status == 200)
            let large = try await client.execute(
                APIRequest(.put, "/v1/member/size", body: Data(repeating: 32, count: (64 << 10) + 1)))
            #expect(large.status == 400)
            var statuses: [Int] = []
            for _ in 0..<3 { statuses.append(try await call(client, "/v1/member/rare").0) }
            #expect(statuses == [200, 200, 429])
        }
    }

    @Test("A door has so many connections and no more, and one that says nothing is hung up")
    func connections() async throws {
        let limits = DoorLimits(
            connectionsMax: 4, idleTime: .milliseconds(500), bodyTime: .seconds(60), answerTime: .seconds(60),
            bodyBytesMax: 1 << 10)
        try await atDoor(.member(try MachineID("0123456789abcd")), limits: limits) { client, path in
            let silent = (0..<32).map { _ in Self.connect(to: path) }
            defer { silent.forEach { close($0) } }
            #expect(silent.allSatisfy { $0 >= 0 })
            // They fill the door; when their time is over, there is room again.
            holds(try await call(client, "/v1/member/whoami").0 == 200)
        }
    }

    @Test("Who sends a request a byte at a time is hung up when its time is over, and a call that lasts is not")
    func trickle() async throws {
        let limits = DoorLimits(
            connectionsMax: 4, idleTime: .seconds(60), bodyTime: .milliseconds(500), answerTime: .seconds(60),
            bodyBytesMax: 1 << 10)
        try await atDoor(.root, limits: limits) { client, path in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { _ = try? await call(client, "/v1/user/machines/a/hold") }
                let isHeld = try await poll(for: .seconds(10), every: .milliseconds(10)) {
                    EchoRoutes.held.withLock { $0 == 1 ? true : nil }
                }
                #expect(isHeld == true)
                // The last is for a path that is not there: what is left of its body is read all the same.
                for target in ["size", "nothing"] {
                    let descriptor = Self.connect(to: path)
                    defer { close(descriptor) }
                    let head = "PUT /v1/user/\(target) HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n"
                    #expect(send(descriptor, head, head.utf8.count, Int32(MSG_NOSIGNAL)) == head.utf8.count)
                    var piece = [UInt8](repeating: 0, count: 4 << 10)
                    // Fewer bytes in all than the body has.
                    let isOver = try await poll(for: .seconds(8), every: .milliseconds(20)) { () -> Bool? in
                        if send(descriptor, " ", 1, Int32(MSG_NOSIGNAL)) < 0 { return true }
                        return recv(descriptor, &piece, piece.count, Int32(MSG_DONTWAIT)) == 0 ? true : nil
                    }
                    #expect(isOver == true, "\(target)")
                }
                #expect(EchoRoutes.held.withLock { $0 } == 1)
                group.cancelAll()
                let isEnded = try await poll(for: .seconds(10), every: .milliseconds(10)) {
                    EchoRoutes.held.withLock { $0 == 0 ? true : nil }
                }
                #expect(isEnded == true)
            }
            holds(try await call(client, "/v1/user/whoami").0 == 200)
        }
    }

    @Test("Who does not take an answer is hung up when its time is over, also one who takes a little again and again")
    func unread() async throws {
        let limits = DoorLimits(
            connectionsMax: 4, idleTime: .seconds(60), bodyTime: .seconds(60), answerTime: .seconds(2),
            bodyBytesMax: 1 << 10)
        try await atDoor(.root, limits: limits) { client, path in
            let takers = (0..<4).map { _ in Self.connect(to: path) }
            defer { takers.forEach { close($0) } }
            let call = "GET /v1/user/large HTTP/1.1\r\nhost: a\r\n\r\n"
            for taker in takers { #expect(send(taker, call, call.utf8.count, Int32(MSG_NOSIGNAL)) == call.utf8.count) }
            // Two ask again when the answer has begun, which takes nothing of it either.
            for taker in takers.suffix(2) {
                var begun = pollfd(fd: taker, events: Int16(POLLIN), revents: 0)
                try #require(Glibc.poll(&begun, 1, 10_000) == 1)
                #expect(send(taker, call, call.utf8.count, Int32(MSG_NOSIGNAL)) == call.utf8.count)
            }
            var piece = [UInt8](repeating: 0, count: 1 << 10)
            let areOver = try await poll(for: .seconds(20), every: .milliseconds(20)) { () -> Bool? in
                // Two take nothing, and two take a kilobyte each time.
                for taker in takers.prefix(2) { _ = recv(taker, &piece, piece.count, Int32(MSG_DONTWAIT)) }
                var ends = takers.map { pollfd(fd: $0, events: 0, revents: 0) }
                _ = Glibc.poll(&ends, nfds_t(ends.count), 0)
                return ends.allSatisfy { $0.revents & Int16(POLLHUP) != 0 } ? true : nil
            }
            #expect(areOver == true)
            // There is room again, and whoever takes it as it comes gets all of it.
            let whole = try await client.execute(APIRequest(.get, "/v1/user/large"))
            #expect(whole.status == 200 && whole.body.count > EchoRoutes.largeBytes)
        }
    }

    @Test("An answer that goes on is not cut off while it is taken, and is when it is taken no more")
    func goesOn() async throws {
        let limits = DoorLimits(
            connectionsMax: 4, idleTime: .seconds(60), bodyTime: .seconds(60), answerTime: .milliseconds(500),
            bodyBytesMax: 1 << 10)
        try await atDoor(.root, limits: limits) { _, path in
            let taker = Self.connect(to: path)
            defer { close(taker) }
            let call = "GET /v1/user/talk HTTP/1.1\r\nhost: a\r\n\r\n"
            #expect(send(taker, call, call.utf8.count, Int32(MSG_NOSIGNAL)) == call.utf8.count)
            // As many pieces as are made in four times what a whole answer may take.
            var left = 40 * Talk.piece.count
            var piece = [UInt8](repeating: 0, count: 64 << 10)
            let isWhole = try await poll(for: .seconds(30), every: .milliseconds(10)) { () -> Bool? in
                while left > 0 {
                    let count = recv(taker, &piece, piece.count, Int32(MSG_DONTWAIT))
                    guard count != 0 else { return false }
                    guard count > 0 else { return nil }
                    left -= count
                }
                return true
            }
            #expect(isWhole == true)
            let isOver = try await poll(for: .seconds(10), every: .milliseconds(20)) { () -> Bool? in
                var end = pollfd(fd: taker, events: 0, revents: 0)
                return Glibc.poll(&end, 1, 0) == 1 && end.revents & Int16(POLLHUP) != 0 ? true : nil
            }
            #expect(isOver == true)
        }
    }

    private static func connect(to path: String) -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8).prefix(100)) }
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        return code == 0 ? descriptor : -1
    }

    /// Sends the text as it is, and hands back all that comes until the door ends the connection.
    private static func exchange(_ text: String, at path: String) async throws -> String {
        let descriptor = connect(to: path)
        defer { close(descriptor) }
        #expect(send(descriptor, text, text.utf8.count, Int32(MSG_NOSIGNAL)) == text.utf8.count)
        var answer: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 64 << 10)
        _ = try await poll(for: .seconds(10), every: .milliseconds(10)) {
            while true {
                let count = recv(descriptor, &piece, piece.count, Int32(MSG_DONTWAIT))
                if count == 0 { return true }
                guard count > 0 else { return nil }
                answer += piece[..<count]
            }
        }
        return String(decoding: answer, as: UTF8.self)
    }

    @Test(
        "HEAD is answered as GET is, without a body: the next answer on the connection follows at once",
        arguments: [
            ("whoami", 200), ("whoami?wrong=1", 400), ("nothing", 404), ("machines/a/hold", 405), ("size", 405),
        ])
    func head(target: String, status: Int) async throws {
        try await atDoor(.root) { client, path in
            let target = "/v1/user/\(target)"
            let answers = try await Self.exchange(
                "HEAD \(target) HTTP/1.1\r\nhost: a\r\n\r\nGET /v1/user/whoami HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
                at: path)
            let parts = answers.components(separatedBy: "\r\n\r\n")
            holds(parts.count == 3)
            holds(parts[0].hasPrefix("HTTP/1.1 \(status) "))
            holds(parts[1].hasPrefix("HTTP/1.1 200 "))
            guard status == 200 || status == 400 else { return }
            let read = try await client.execute(
                APIRequest(.get, target, headers: [(CallHeader.requestID, String(repeating: "a", count: 32))]))
            let length = read.header("content-length")
            #expect(length == "\(read.body.count)")
            #expect("\(parts[0].lowercased())\r\n".contains("content-length: \(length ?? "")\r\n"))
        }
    }

    @Test("A method that a path does not take is refused with those that it takes for this caller")
    func methods() async throws {
        try await atDoor(.root) { client, _ in
            let read = try await client.execute(APIRequest(.delete, "/v1/user/whoami"))
            #expect(read.status == 405 && read.header("allow") == "GET, HEAD")
            let written = try await client.execute(APIRequest(.get, "/v1/user/size"))
            #expect(written.status == 405 && written.header("allow") == "PUT")
            let body = try JSONDecoder().decode(ErrorBody.self, from: written.body)
            #expect(body.code == "method_not_allowed" && body.error.contains("takes PUT"))
            let hidden = try await client.execute(APIRequest(.get, "/v1/member/size"))
            #expect(hidden.status == 404 && hidden.header("allow") == nil)
            // Fly.io has it, Roost has not.
            let flys = try await client.execute(APIRequest(.put, "/v1/apps/a/volumes/vol_1"))
            #expect(flys.status == 501)
        }
    }

    @Test("So many calls of a kind may be under way, and one whose caller hangs up ends and makes room")
    func concurrency() async throws {
        try await atDoor(.root) { client, _ in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<2 {
                    group.addTask { _ = try? await call(client, "/v1/user/machines/a/hold") }
                }
                let areHeld = try await poll(for: .seconds(10), every: .milliseconds(10)) {
                    EchoRoutes.held.withLock { $0 == 2 ? true : nil }
                }
                #expect(areHeld == true)
                let full = try await client.execute(APIRequest(.get, "/v1/user/machines/a/hold"))
                #expect(full.status == 429)
                #expect(full.header("retry-after") == "1")
                group.cancelAll()
                let areEnded = try await poll(for: .seconds(10), every: .milliseconds(10)) {
                    EchoRoutes.held.withLock { $0 == 0 ? true : nil }
                }
                #expect(areEnded == true)
            }
        }
    }

    @Test("The socket of a host is its owner's alone")
    func mode() async throws {
        try await atDoor(.root) { client, path in
            holds(try await call(client, "/v1/user/whoami").0 == 200)
            #expect(Self.mode(of: path) == 0o600)
        }
    }
}
