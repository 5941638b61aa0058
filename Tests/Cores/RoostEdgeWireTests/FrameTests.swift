import RoostModel
import RoostPostgresWire
import RoostRouting
import RoostWire
import Testing

@testable import RoostEdgeWire

@Suite("Frames, however they are cut")
struct FrameTests {
    private func random(_ random: inout SplitMix64, below bound: Int) -> Int { Int(random.next() % UInt64(bound)) }

    @Test("Frames come out as they went in, whatever the pieces they arrive in", arguments: UInt64(1)...20)
    func pieces(seed: UInt64) throws {
        var numbers = SplitMix64(seed: seed)
        let frames = (0..<40).map { _ in
            EdgeFrame(
                kind: UInt16(random(&numbers, below: 65_536)),
                body: (0..<random(&numbers, below: 700)).map { _ in UInt8(random(&numbers, below: 256)) })
        }
        var stream = try frames.flatMap { try #require($0.bytes) }
        var reader = FrameReader()
        var found: [EdgeFrame] = []
        while !stream.isEmpty {
            let count = min(stream.count, 1 + random(&numbers, below: 900))
            reader.append(Array(stream[..<count]))
            stream.removeFirst(count)
            while let frame = try reader.next() { found.append(frame) }
        }
        #expect(found == frames)
    }

    @Test("Noise is a frame, or too long, or not whole yet; never more, and never a crash", arguments: UInt64(1)...50)
    func noise(seed: UInt64) {
        var numbers = SplitMix64(seed: seed)
        var reader = FrameReader()
        do throws(FrameReader.TooLong) {
            for _ in 0..<50 {
                reader.append((0..<random(&numbers, below: 50)).map { _ in UInt8(random(&numbers, below: 3)) })
                while let frame = try reader.next() { #expect(frame.body.count <= EdgeFrame.bodyBytesMax) }
            }
        } catch {
            #expect(error.bytes > UInt32(EdgeFrame.bodyBytesMax))
        }
    }

    @Test("A frame has a bound on both sides")
    func bound() throws {
        let most = EdgeFrame(kind: 1, body: [UInt8](repeating: 7, count: EdgeFrame.bodyBytesMax))
        var reader = FrameReader()
        reader.append(try #require(most.bytes))
        #expect(try reader.next() == most)
        #expect(EdgeFrame(kind: 1, body: most.body + [0]).bytes == nil)
        reader.append([0, 4, 0, 1, 0, 1])
        #expect(throws: FrameReader.TooLong.self) { try reader.next() }
    }
}

@Suite("The table of routes, told step by step")
struct RouteFeedTests {
    private func identity(_ number: Int) -> TLSIdentity {
        TLSIdentity(certificateChain: "chain \(number)", privateKey: "key \(number)")
    }

    private func backend(_ name: String) throws -> Backend {
        Backend(member: try MemberName(name), address: IPv6Address(high: 0xfdaa << 48, low: 7), port: 5432)
    }

    private func route(_ app: String, epoch: UInt64 = 1, _ encryption: Encryption) throws -> ClusterRoute {
        ClusterRoute(
            app: try AppName(app), epoch: Epoch(epoch), leader: try backend(app + "-1"), isOpen: true,
            isRecruiting: false,
            replicas: [
                Replica(
                    backend: try backend(app + "-2"), roundTrip: .milliseconds(83), isStreaming: true, lagBytes: 42,
                    lag: .milliseconds(7)),
                Replica(
                    backend: try backend(app + "-3"), roundTrip: nil, isStreaming: false, lagBytes: 0, lag: .zero),
            ], encryption: encryption,
            allowed: epoch.isMultiple(of: 2) ? [try IPv4Prefix("203.0.113.0/24")] : nil)
    }

    private func address(_ last: UInt32) -> IPv4Address { IPv4Address(bits: 203 << 24 | 113 << 8 | last) }

    @Test("What is put together is what was told, through random changes", arguments: UInt64(1)...20)
    func changes(seed: UInt64) throws {
        var numbers = SplitMix64(seed: seed)
        var (feed, assembly) = (RouteFeed(), RouteAssembly())
        var table = ClusterTable()
        var inForce: ClusterTable?
        for round in 0..<60 {
            for _ in 0..<(numbers.next() % 4) {
                let place = address(UInt32(numbers.next() % 12))
                let encryption: Encryption =
                    switch numbers.next() % 4 {
                    case 0: .none
                    case 1: .unusable
                    case 2: .optional(identity(Int(numbers.next() % 5)))
                    case _: .required(identity(Int(numbers.next() % 5)))
                    }
                table.routes[place] =
                    numbers.next() % 4 == 0
                    ? nil : try route("app\(place.bits & 0xff)", epoch: numbers.next() % 3, encryption)
            }
            if numbers.next() % 4 == 0 { table.edges = Int(1 + numbers.next() % 3) }
            let steps = feed.steps(to: table)
            #expect(steps.isEmpty == (table == inForce))
            for (index, step) in steps.enumerated() {
                let result = try assembly.take(step)
                #expect((result != nil) == (index == steps.count - 1), "seed \(seed), round \(round)")
                if let result { inForce = result }
            }
            #expect(inForce == table, "seed \(seed), round \(round)")
        }
    }

    @Test("One change is told alone, and no key twice")
    func smallChange() throws {
        var table = ClusterTable()
        for number in 0..<200 {
            table.routes[address(UInt32(number))] = try route("app\(number)", .required(identity(number)))
        }
        var feed = RouteFeed()
        #expect(feed.steps(to: table).count == 402)
        table.routes[address(7)]?.epoch = Epoch(9)
        let steps = feed.steps(to: table)
        guard case .route(let body) = steps.first else {
            Issue.record("no route, but \(steps)")
            return
        }
        #expect(steps.count == 2 && steps.last == .apply && body.address == address(7) && body.epoch == Epoch(9))
        #expect(feed.steps(to: table).isEmpty)
        table.routes[address(7)] = nil
        #expect(feed.steps(to: table) == [.gone(address(7)), .apply])
    }

    @Test("What makes no sense is refused, and a word of tomorrow serves nobody")
    func nonsense() throws {
        var body = EdgeRouteBody(try route("db", .none), at: address(1), identity: nil)
        var assembly = RouteAssembly()
        #expect(throws: RouteAssembly.Failure.beforeTable) { try assembly.take(.apply) }
        #expect(throws: RouteAssembly.Failure.beforeTable) { try assembly.take(.route(body)) }
        #expect(throws: RouteAssembly.Failure.beforeTable) { try assembly.take(.edges(3)) }
        _ = try assembly.take(.table)
        body.encryption = "required"
        #expect(throws: RouteAssembly.Failure.missingIdentity(address(1))) { try assembly.take(.route(body)) }
        body.identity = 3
        #expect(throws: RouteAssembly.Failure.unknownIdentity(3)) { try assembly.take(.route(body)) }
        body.encryption = "quantum"
        _ = try assembly.take(.route(body))
        _ = try assembly.take(.edges(-7))
        let table = try assembly.take(.apply)
        #expect(table?[address(1)]?.encryption == .unusable && table?.edges == 1)
    }

    @Test("A new connection begins with the whole table, and the old one is forgotten")
    func reconnect() throws {
        var assembly = RouteAssembly()
        var first = RouteFeed()
        for step in first.steps(to: ClusterTable([address(1): try route("a", .required(identity(1)))])) {
            _ = try assembly.take(step)
        }
        let table = ClusterTable([address(2): try route("b", .required(identity(2)))])
        var second = RouteFeed()
        var inForce: ClusterTable?
        for step in second.steps(to: table) { inForce = try assembly.take(step) ?? inForce }
        #expect(inForce == table)
    }
}
