import FoundationEssentials
import Glibc
import RoostLinux
import RoostModel
import RoostWire
import Testing

@testable import RoostClient

/// Which roostd a command speaks to.
@Suite struct HostChoiceTests {
    private static let regions = #"{"nearest":"ams","regions":[]}"#

    @Test func nextHostOfALabIsAskedWhenOneIsAway() async throws {
        let lab = "cli-\(getpid())"
        let folder = "/run/roost-lab/\(lab)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for host in ["ams1", "ams2", "iad1"] {
            try FileManager.default.createDirectory(
                atPath: "\(folder)/\(host)", withIntermediateDirectories: true)
        }
        // A socket that nobody listens on, as a killed host leaves it.
        let dead = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(dead) }
        try bindSocket(dead, to: "\(folder)/ams1/api.sock")
        let silent: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { _ in .init(ending: .silent) }
        try await ScriptedHost.run(at: "\(folder)/ams2/api.sock", answering: silent) { frozen in
            try await ScriptedHost.run(at: "\(folder)/iad1/api.sock") { _ in
                .init(parts: [Self.regions])
            } _: { healthy in
                let outcome = try await RoostProgram.run(["regions", "list", "--lab", lab])
                #expect(outcome.status == 0, "\(outcome)")
                #expect(!frozen.log.all.isEmpty)
                #expect(!healthy.log.all.isEmpty)
            }
        }
    }

    private static func answers(
        _ status: ClusterBody.Status
    ) throws -> @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer {
        let cluster = try Answers.cluster(status)
        let (one, list) = (try Answers.json(cluster), try Answers.json(ListClustersBody(clusters: [cluster])))
        return { request in
            if request.line.hasSuffix("/regions") { return .init(parts: [regions]) }
            return .init(parts: [request.line.hasSuffix("/v1/postgres") ? list : one])
        }
    }

    @Test("Of a lab, a host that has lost the store is not the last that is asked of a cluster")
    func othersAreAskedWhereTheFirstDoesNotKnow() async throws {
        let lab = "cli-lost-\(getpid())"
        let folder = "/run/roost-lab/\(lab)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for host in ["ams1", "iad1", "sin1"] {
            try FileManager.default.createDirectory(
                atPath: "\(folder)/\(host)", withIntermediateDirectories: true)
        }
        let (lost, ready) = (try Self.answers(.unheard), try Self.answers(.ready))
        let commands = [["status", "shop"], ["list"]]
        try await ScriptedHost.run(at: "\(folder)/ams1/api.sock", answering: lost) { _ in
            try await ScriptedHost.run(at: "\(folder)/iad1/api.sock", answering: lost) { _ in
                // Nobody knows: what was heard last is better than nothing.
                for command in commands {
                    let outcome = try await RoostProgram.run(["pg"] + command + ["--lab", lab])
                    #expect(outcome.status == 0 && outcome.output.contains("unknown"), "\(outcome)")
                }
                try await ScriptedHost.run(at: "\(folder)/sin1/api.sock", answering: ready) { _ in
                    for command in commands {
                        let outcome = try await RoostProgram.run(["pg"] + command + ["--lab", lab])
                        #expect(outcome.status == 0 && outcome.output.contains("ready"), "\(outcome)")
                        #expect(!outcome.output.contains("unknown"), "\(outcome)")
                    }
                    // Who names one host means that one.
                    let one = try await RoostProgram.run(
                        ["pg", "status", "shop", "--api", "\(folder)/ams1/api.sock"])
                    #expect(one.output.contains("unknown"), "\(one)")
                }
            }
        }
    }

    @Test("Whoever may not open the sockets of a lab is told that root may, not that nobody answers")
    func aLabIsRoots() async throws {
        let lab = "cli-closed-\(getpid())"
        let folder = "/run/roost-lab/\(lab)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var sockets: [Int32] = []
        defer { for socket in sockets { close(socket) } }
        for host in ["ams1", "iad1"] {
            let place = "\(folder)/\(host)"
            try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
            let file = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            sockets.append(file)
            try bindSocket(file, to: place + "/api.sock")
            try #require(chown(place + "/api.sock", 65534, 65534) == 0 && chmod(place + "/api.sock", 0o600) == 0)
        }
        // The same user, but without the right to open what is another's.
        let outcome = try await Command(
            "setpriv",
            [
                "--bounding-set=-dac_override,-dac_read_search", "--", RoostProgram.path, "regions", "list", "--lab",
                lab,
            ]
        ).outcome()
        #expect(outcome.status == 1)
        #expect(outcome.standardError.contains("the hosts of lab '\(lab)' can be asked by root only"))
        #expect(outcome.standardError.contains("sudo"))
    }

    @Test func missingLabIsExplained() async throws {
        let outcome = try await RoostProgram.run(["regions", "list", "--lab", "cli-none-\(getpid())"])
        #expect(outcome.status == 1)
        #expect(outcome.errors.contains("roost lab up"))
    }

    @Test("Who names a lab that is not there is told which ones are")
    func labsThatAreThere() async throws {
        let lab = "cli-there-\(getpid())"
        let folder = "/run/roost-lab/\(lab)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try FileManager.default.createDirectory(atPath: "\(folder)/ams1", withIntermediateDirectories: true)
        try await ScriptedHost.run(at: "\(folder)/ams1/api.sock", answering: { _ in .init(parts: [Self.regions]) }) {
            _ in
            let none = "cli-gone-\(getpid())"
            let outcome = try await RoostProgram.run(["regions", "list", "--lab", none])
            #expect(outcome.status == 1 && outcome.errors.contains("there is no lab '\(none)'"), "\(outcome)")
            #expect(
                outcome.errors.contains(lab) && outcome.errors.contains("roost lab up --name \(none)"), "\(outcome)")
        }
    }

    @Test("Of a lab's hosts the one is believed that reaches the most, and whose view it is is said")
    func whoIsAway() async throws {
        let lab = "cli-away-\(getpid())"
        let folder = "/run/roost-lab/\(lab)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let names = try ["ams1", "iad1", "sin1"].map { try HostName($0) }
        for host in names {
            try FileManager.default.createDirectory(atPath: "\(folder)/\(host)", withIntermediateDirectories: true)
        }
        func answer(
            of asked: HostName, reaching reached: [HostName]
        ) throws -> @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer {
            let capacity = HostCapacity(cpus: 1, memory: .gibibytes(1), disk: .gibibytes(1))
            let hosts = try names.map { name in
                ListHostsBody.Host(
                    name: name, region: try RegionCode(String(name.text.prefix(3))),
                    isReachable: reached.contains(name),
                    isEdge: false, isEdgeStopped: nil, isStoreMember: false, address: MeshAddress.host(name),
                    machines: 0,
                    volumes: 0, capacity: capacity, free: capacity, unreadableRows: nil)
            }
            let list = try Answers.json(ListHostsBody(hosts: hosts, asked: asked))
            return { request in .init(parts: [request.line.hasSuffix("/regions") ? Self.regions : list]) }
        }
        let (cutOff, others) = (try answer(of: names[0], reaching: [names[0]]), Array(names.dropFirst()))
        let majority = try answer(of: names[1], reaching: others)
        try await ScriptedHost.run(at: "\(folder)/ams1/api.sock", answering: cutOff) { _ in
            try await ScriptedHost.run(at: "\(folder)/iad1/api.sock", answering: majority) { _ in
                let outcome = try await RoostProgram.run(["hosts", "list", "--lab", lab])
                let away = outcome.output.split(separator: "\n").filter { $0.contains("away") }
                #expect(away.count == 1 && away.allSatisfy { $0.contains("ams1") }, "\(outcome)")
                #expect(outcome.errors.contains("what host iad1 cannot reach"), "\(outcome)")
            }
        }
    }

    @Test("A machine that the first host does not reach is asked of the others, also by who is to destroy it")
    func machinesOfHostsThatAreAway() async throws {
        let lab = "cli-far-\(getpid())"
        let folder = "/run/roost-lab/\(lab)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for host in ["ams1", "iad1"] {
            try FileManager.default.createDirectory(atPath: "\(folder)/\(host)", withIntermediateDirectories: true)
        }
        var far = try Answers.machine(.started, "0123456789abcd", named: "web", on: "sin1")
        far.hostStatus = "unreachable"
        let near = try Answers.json(try Answers.machine(.stopped, "0123456789abcd", named: "web", on: "sin1"))
        let (heard, list) = (try Answers.json(far), try Answers.json([far]))
        try await ScriptedHost.run(at: "\(folder)/ams1/api.sock") { request in
            .init(parts: [
                request.line.hasSuffix("/machines") ? list : request.line.hasSuffix("/regions") ? Self.regions : heard
            ])
        } _: { _ in
            func show() async throws -> RoostProgram.Outcome {
                try await RoostProgram.run(["machines", "show", "shop", "0123456789abcd", "--lab", lab])
            }
            // Nobody knows better.
            let alone = try await show()
            #expect(alone.status == 0 && alone.output.contains("unreachable"), "\(alone)")
            try await ScriptedHost.run(at: "\(folder)/iad1/api.sock") { request in
                .init(parts: [request.line.hasSuffix("/regions") ? Self.regions : near])
            } _: { _ in
                let known = try await show()
                #expect(known.output.contains("stopped") && !known.output.contains("unreachable"), "\(known)")
            }
            try await ScriptedHost.run(at: "\(folder)/iad1/api.sock") { request in
                request.line.hasSuffix("/regions")
                    ? .init(parts: [Self.regions])
                    : .init(status: 404, parts: [#"{"error":"there is no such machine","code":"not_found"}"#])
            } _: { _ in
                let gone = try await RoostProgram.run(["machines", "destroy", "shop", "web", "--lab", lab])
                #expect(gone.status == 1 && gone.errors.contains("no machine named web"), "\(gone)")
            }
        }
    }

    @Test func environmentNamesTheHost() async throws {
        try await ScriptedHost.run { _ in
            .init(parts: [Self.regions])
        } _: { host in
            let outcome = try await RoostProgram.run(
                ["regions", "list"], environment: ["ROOST_API": "unix://\(host.path)"])
            #expect(outcome.status == 0, "\(outcome)")
            #expect(host.log.all.map(\.line) == ["GET /v1/platform/regions"])
        }
    }

    @Test func nobodyThereIsAFailure() async throws {
        let outcome = try await RoostProgram.run(["apps", "list", "--api", "/tmp/roost-none-\(getpid()).sock"])
        #expect(outcome.status == 1)
        #expect(outcome.output.isEmpty)
        #expect(outcome.errors.contains("there is no such socket"))
    }

    private func bindSocket(_ file: Int32, to path: String) throws {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.bind(file, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(status == 0)
    }
}
