import CLinux
import Foundation
import RoostLinux
import RoostModel
import RoostWire
import Testing

@testable import RoostAnycast

/// From the moment the reporter stops or dies to the moment a neighbour has no route any more.
@Suite(.serialized) struct DeadManTests {
    private static let trials = 20

    /// The reporter stands for an edge: a process of its own that writes a byte to the guard ten times a second.
    private static func withReporter(_ link: Int32, _ body: (ChildProcess) async throws -> Void) async throws {
        let reporter = try ChildProcess(
            "/bin/sh", arguments: ["-c", "while :; do printf h >&0; sleep 0.1 </dev/null; done"],
            input: link)
        do { try await body(reporter) } catch {
            reporter.end()
            throw error
        }
        reporter.end()
    }

    @Test(arguments: [SIGSTOP, SIGKILL]) func hungOrDeadReporterIsWithdrawnWithinASecond(signal: Int32) async throws {
        try await AnycastNetwork.with(providers: 1) { network in
            let configuration = try network.configuration
            let paths = configuration.guardConfiguration()
            try DurableFile.makeFolder(paths.birdFolder)
            try DurableFile.write(BirdText(configuration: configuration).text, to: paths.birdPath)
            var times: [Int64] = []
            let socket = try UnixSocket.bind(paths.socketPath, .packets)
            try await withThrowingTaskGroup { group in
                group.addTask {
                    try await BlockingCall.run { () throws(AnycastError) in
                        defer { close(socket) }
                        try EdgeGuard.run(configuration: paths, socket: socket)
                    }
                }
                let link = try await GuardLink.awaited(paths)
                link.tell(.want(.healthy))
                // A hung reporter goes on after each trial; a dead one is followed by another.
                let rounds = signal == SIGSTOP ? 1 : Self.trials
                for _ in 0..<rounds {
                    let (guardEnd, edgeEnd) = try UnixSocket.pair(.packets)
                    link.tell(.watch, files: [guardEnd])
                    close(guardEnd)
                    try await Self.withReporter(edgeEnd) { reporter in
                        // Only the reporter holds it, as an edge does.
                        close(edgeEnd)
                        for _ in 0..<(Self.trials / rounds) {
                            #expect(try await network.waitUntil(announced: true, within: .seconds(30)))
                            let before = BootClock.now()
                            kill(reporter.pid, signal)
                            let gone = try await network.waitUntil(announced: false, within: .seconds(5))
                            times.append((BootClock.now() - before).milliseconds)
                            #expect(gone)
                            kill(reporter.pid, SIGCONT)
                        }
                    }
                }
                link.tell(.finish)
                try await group.waitForAll()
            }
            times.sort()
            let name = signal == SIGSTOP ? "hung" : "dead"
            print(
                "reporter \(name) to withdrawn, \(times.count) trials: median \(times[times.count / 2]) ms, "
                    + "max \(times.last ?? -1) ms")
            #expect(times.count == Self.trials)
            #expect((times.last ?? .max) <= 1000)
        }
    }

    @Test("A listener that lets nobody in holds up neither what is withdrawn nor orders", .timeLimit(.minutes(2)))
    func failingListener() async throws {
        try await AnycastNetwork.with(providers: 1) { network in
            let configuration = try network.configuration
            let paths = configuration.guardConfiguration()
            try DurableFile.makeFolder(paths.birdFolder)
            try DurableFile.write(BirdText(configuration: configuration).text, to: paths.birdPath)
            let socket = try UnixSocket.bind(paths.socketPath, .packets)
            try await withThrowingTaskGroup { group in
                group.addTask {
                    try await BlockingCall.run { () throws(AnycastError) in
                        defer { close(socket) }
                        try EdgeGuard.run(configuration: paths, socket: socket)
                    }
                }
                let link = try await GuardLink.awaited(paths)
                link.tell(.want(.healthy))
                let (guardEnd, edgeEnd) = try UnixSocket.pair(.packets)
                link.tell(.watch, files: [guardEnd])
                close(guardEnd)
                try await Self.withReporter(edgeEnd) { reporter in
                    close(edgeEnd)
                    let isAnnounced = try await network.waitUntil(announced: true, within: .seconds(30))
                    #expect(isAnnounced)
                    // From now on somebody seems to wait there, and cannot be let in (unix(7): accept fails).
                    shutdown(socket, Int32(SHUT_RDWR))
                    kill(reporter.pid, SIGKILL)
                    let isWithdrawn = try await network.waitUntil(announced: false, within: .seconds(5))
                    #expect(isWithdrawn)
                }
                link.tell(.finish)
                try await group.waitForAll()
            }
        }
    }

    /// Also when BIRD runs as another user, which clears such a wish where it is not made last.
    @Test func deadGuardTakesBirdAlong() async throws {
        try await AnycastNetwork.with(providers: 1) { network in
            let configuration = try network.configuration
            let paths = configuration.guardConfiguration(user: BirdUser.name)
            try DurableFile.makeFolder(paths.birdFolder)
            try #require(BirdUser.find()).give(paths.birdFolder, mode: 0o750)
            try DurableFile.write(BirdText(configuration: configuration).text, to: paths.birdPath, mode: 0o644)
            let arguments = paths.arguments
            let provider = network.providers[0].control
            await #expect(processExitsWith: .signal(SIGKILL)) {
                [arguments = arguments as [String], provider = provider as String] in
                try await DyingGuard.run(arguments: arguments, provider: provider)
            }
            #expect(try await network.waitUntil(announced: false, within: .seconds(1)))
            let pid = String(decoding: try #require(try DurableFile.read(paths.pidPath)), as: UTF8.self)
            #expect(try DurableFile.read("/proc/\(pid.dropLast())/cmdline")?.isEmpty ?? true)
        }
    }

    @Test func reportsHoldForAWhileOnly() {
        var deadMan = DeadManSwitch()
        let start = Moment.zero + .seconds(9)
        #expect(deadMan.wanted(at: start) == .down)
        #expect(deadMan.deadline(at: start) == nil)
        deadMan.report(.healthy, at: start)
        #expect(deadMan.wanted(at: start + .milliseconds(599)) == .healthy)
        #expect(deadMan.deadline(at: start) == start + .milliseconds(600))
        #expect(deadMan.wanted(at: start + .milliseconds(600)) == .down)
        #expect(deadMan.deadline(at: start + .milliseconds(600)) == nil)
        deadMan.report(.draining, at: start + .seconds(1))
        #expect(deadMan.wanted(at: start + .seconds(1)) == .draining)
        deadMan.report(.down, at: start + .seconds(1))
        #expect(deadMan.deadline(at: start + .seconds(1)) == nil)
    }
}

/// A guard that reports to itself until a neighbour has the prefix, and then dies the hard way.
private enum DyingGuard {
    static func run(arguments: [String], provider: String) async throws {
        let paths = try EdgeGuard.Configuration(arguments: arguments)
        let socket = try UnixSocket.bind(paths.socketPath, .packets)
        try await withThrowingTaskGroup { group in
            group.addTask {
                try await BlockingCall.run { () throws(AnycastError) in
                    try EdgeGuard.run(configuration: paths, socket: socket)
                }
            }
            let link = try await GuardLink.awaited(paths)
            link.tell(.want(.healthy))
            let (guardEnd, edgeEnd) = try UnixSocket.pair(.packets)
            link.tell(.watch, files: [guardEnd])
            let edge = PassingSocket(descriptor: edgeEnd)
            _ = try await poll(for: .seconds(30)) { () -> Bool? in
                try? edge.send([EdgeHealth.healthy.byte], waits: false)
                guard var control = try? BirdControl(path: provider, within: .seconds(1)) else { return nil }
                let route = try? control.run("show route \(AnycastNetwork.prefix)")
                return route == nil ? nil : true
            }
            kill(getpid(), SIGKILL)
        }
    }
}

extension GuardLink {
    /// To a guard that has just been started.
    static func awaited(_ paths: EdgeGuard.Configuration) async throws -> GuardLink {
        try #require(
            try await poll(for: .seconds(10), every: .milliseconds(5)) { try? GuardLink(path: paths.socketPath) })
    }
}

struct GuardJudgementTests {
    private let start = Moment.zero + .seconds(9)

    @Test func noMoreThanRoostdWantsAndTheBestEdgeSays() {
        var judgement = GuardJudgement()
        #expect(judgement.wanted(at: start) == .down)
        judgement.order = .healthy
        #expect(judgement.wanted(at: start) == .down)
        judgement.watch(1)
        judgement.report(.healthy, of: 1, at: start)
        #expect(judgement.wanted(at: start) == .healthy)
        judgement.order = .draining
        #expect(judgement.wanted(at: start) == .draining)
        judgement.order = .down
        #expect(judgement.wanted(at: start) == .down)
        judgement.order = .healthy
        judgement.report(.draining, of: 1, at: start)
        #expect(judgement.wanted(at: start) == .draining)
    }

    @Test func aNewEdgeThatIsNotWellYetTakesNothingAway() {
        var judgement = GuardJudgement()
        judgement.order = .healthy
        judgement.watch(1)
        judgement.report(.healthy, of: 1, at: start)
        judgement.watch(2)
        judgement.report(.down, of: 2, at: start)
        #expect(judgement.wanted(at: start) == .healthy)
        judgement.report(.healthy, of: 2, at: start)
        judgement.lose(1)
        #expect(judgement.wanted(at: start) == .healthy)
        judgement.report(.healthy, of: 1, at: start + .seconds(1))
        #expect(judgement.deadline(at: start) == start + .milliseconds(600))
        #expect(judgement.wanted(at: start + .milliseconds(600)) == .down)
    }
}

struct AnycastPartsTests {
    @Test func messagesReadBack() {
        for order in [GuardOrder.want(.healthy), .want(.draining), .want(.down), .watch, .configure, .finish] {
            #expect(GuardOrder(order.bytes) == order)
        }
        for wrong in [[], [0], Array("w".utf8), Array("w?".utf8)] { #expect(GuardOrder(wrong) == nil) }
        for health in [EdgeHealth.healthy, .draining, .down] {
            #expect(EdgeHealth(byte: health.byte) == health)
            let status = AnnouncementStatus(
                announced: health,
                sessions: [.init(uplink: "aurora", isEstablished: true), .init(uplink: "b", isEstablished: false)])
            #expect(GuardMessage.status(of: GuardMessage.text(of: status)) == status)
        }
        #expect(EdgeHealth(byte: 0) == nil)
        for wrong in ["", "up", "healthy\naurora", "healthy\na b c"] {
            #expect(GuardMessage.status(of: wrong) == nil)
        }
    }

    @Test func listingOfProtocolsIsRead() {
        let listing = ProtocolListing(lines: [
            "Name       Proto      Table      State  Since         Info",
            "device1    Device     ---        up     17:15:01.100  ",
            "roost_up   Static     master4    down   17:15:01.100  ",
            "roost_drain Static     master4    up     17:15:01.100  ",
            "uplink_b   BGP        ---        start  17:15:01.100  Active        Socket: Connection refused",
            "uplink_a   BGP        ---        up     2026-01-01    Established   ",
        ])
        #expect(
            listing.status
                == AnnouncementStatus(
                    announced: .draining,
                    sessions: [.init(uplink: "a", isEstablished: true), .init(uplink: "b", isEstablished: false)]))
    }

    @Test func wrongConfigurationIsRefused() throws {
        let uplink = EdgeUplink(
            name: "aurora", neighbor: try IPv4Address("198.18.64.1"), neighborAS: 64501,
            local: try IPv4Address("198.18.64.2"))
        let good = AnycastConfiguration(
            prefixes: [try IPv4Prefix("203.0.113.0/24")], localAS: 65101, routerID: try IPv4Address("198.18.1.11"),
            uplinks: [uplink], directory: "/tmp/roost-anycast-none")
        _ = try BirdAnnouncer(configuration: good)
        func refused(_ change: (inout AnycastConfiguration) -> Void) {
            var wrong = good
            change(&wrong)
            #expect(throws: AnycastError.self) { try BirdAnnouncer(configuration: wrong) }
        }
        refused { $0.prefixes = [] }
        refused { $0.uplinks = [] }
        refused { $0.uplinks = [uplink, uplink] }
        refused { $0.uplinks[0].name = "a'; drop" }
        refused { $0.uplinks[0].neighborAS = 65101 }
        refused { $0.localAS = 0 }
        refused { $0.directory = String(repeating: "x", count: 200) }
        refused { $0.guardCommand = [] }
    }

    @Test(arguments: [[], ["--directory"], ["--what"], ["--directory", "/x", "more"]])
    func wrongGuardArgumentsAreRefused(arguments: [String]) {
        #expect(throws: AnycastError.self) { try EdgeGuard.Configuration(arguments: arguments) }
    }
}
