import CLinux
import Foundation
import RoostLinux
import RoostModel
import Testing

@testable import RoostAnycast

/// From the moment the reporter stops or dies to the moment a neighbour has no route any more.
@Suite(.serialized) struct DeadManTests {
    private static let trials = 20

    /// The reporter is a process of its own: it writes a byte to the guard's link ten times a second.
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
            // A hung reporter goes on after each trial, with the same guard; a dead one takes its guard along.
            let rounds = signal == SIGSTOP ? 1 : Self.trials
            for _ in 0..<rounds {
                var ends: [Int32] = [-1, -1]
                let type = Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
                try #require(socketpair(AF_UNIX, type, 0, &ends) == 0)
                let theirs = ends[1]
                try await withThrowingTaskGroup { group in
                    group.addTask {
                        try await BlockingCall.run { () throws(AnycastError) in
                            defer { close(theirs) }
                            try EdgeGuard.run(configuration: paths, link: theirs)
                        }
                    }
                    try await Self.withReporter(ends[0]) { reporter in
                        // Only the reporter holds the other end, as roostd does.
                        close(ends[0])
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
                    try await group.waitForAll()
                }
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
        let (ours, theirs) = try GuardLink.pair()
        try await withThrowingTaskGroup { group in
            group.addTask {
                try await BlockingCall.run { () throws(AnycastError) in
                    try EdgeGuard.run(configuration: paths, link: theirs)
                }
            }
            _ = try await poll(for: .seconds(30)) { () -> Bool? in
                ours.report(.healthy)
                guard var control = try? BirdControl(path: provider, within: .seconds(1)) else { return nil }
                let route = try? control.run("show route \(AnycastNetwork.prefix)")
                return route == nil ? nil : true
            }
            kill(getpid(), SIGKILL)
        }
    }
}

struct AnycastPartsTests {
    @Test func messagesReadBack() {
        for health in [EdgeHealth.healthy, .draining, .down] {
            #expect(GuardMessage.health(of: GuardMessage.byte(of: health)) == health)
            let status = AnnouncementStatus(
                announced: health,
                sessions: [.init(uplink: "aurora", isEstablished: true), .init(uplink: "b", isEstablished: false)])
            #expect(GuardMessage.status(of: GuardMessage.text(of: status)) == status)
        }
        #expect(GuardMessage.health(of: 0) == nil)
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
