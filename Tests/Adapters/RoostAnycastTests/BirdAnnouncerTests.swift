import CLinux
import Foundation
import Logging
import RoostLinux
import RoostModel
import RoostWire
import Synchronization
import Testing

@testable import RoostAnycast

/// With a real BIRD at both ends.
@Suite(.serialized) struct BirdAnnouncerTests {
    /// Runs an announcer and an edge whose health can be set; nil stops its reports. Then all of it ends.
    private static func withAnnouncer(
        _ network: AnycastNetwork, _ other: AnycastConfiguration? = nil,
        _ body: (BirdAnnouncer, Health) async throws -> Void
    ) async throws {
        let configuration = try other ?? network.configuration
        let announcer = BirdAnnouncer(
            configuration: configuration, starter: GuardThreadStarter(), wanted: .healthy,
            logger: Logger(label: "test"))
        let health = Health()
        let (guardEnd, edgeEnd) = try UnixSocket.pair(.packets)
        announcer.watch(guardEnd)
        let edge = PassingSocket(descriptor: edgeEnd)
        do {
            try await withThrowingTaskGroup { group in
                group.addTask { try await announcer.run() }
                group.addTask { await health.report(over: edge) }
                defer { group.cancelAll() }
                try await body(announcer, health)
            }
        } catch {
            await announcer.end()
            throw error
        }
        await announcer.end()
    }

    private final class Health: Sendable {
        let value = Mutex<EdgeHealth?>(nil)
        func set(_ new: EdgeHealth?) { value.withLock { $0 = new } }

        /// As an edge does.
        func report(over edge: PassingSocket) async {
            while !Task.isCancelled {
                if let value = value.withLock({ $0 }) { try? edge.send([value.byte], waits: false) }
                try? await Task.sleep(for: .milliseconds(100))
            }
        }
    }

    /// An edge that is well, and its end of the link to the guard.
    private final class PlayedEdge: Sendable {
        private let link = Mutex<PassingSocket?>(nil)

        /// As roostd's keeper and the edge do it: the edge takes the new link, speaks by it and drops the one before when the
        /// announcer says that the guard has its other end.
        func isTaken(by announcer: BirdAnnouncer) throws -> Bool {
            let (guardEnd, edgeEnd) = try UnixSocket.pair(.packets)
            let next = PassingSocket(descriptor: edgeEnd)
            guard announcer.watch(guardEnd) else { return false }
            try next.send([EdgeHealth.healthy.byte], waits: false)
            link.withLock { $0 = next }
            return true
        }

        func report() async {
            while !Task.isCancelled {
                link.withLock { try? $0?.send([EdgeHealth.healthy.byte], waits: false) }
                try? await Task.sleep(for: .milliseconds(100))
            }
        }

        func end() { link.withLock { $0 = nil } }
    }

    /// The edge serves on when roostd is away: what is announced hangs on the edge and on what was wanted last.
    @Test func guardAndBirdOutliveTheAnnouncer() async throws {
        try await AnycastNetwork.with(providers: 1) { network in
            let paths = try network.configuration.guardConfiguration()
            func make() throws -> BirdAnnouncer {
                BirdAnnouncer(
                    configuration: try network.configuration, starter: GuardThreadStarter(), wanted: .healthy,
                    logger: Logger(label: "test"))
            }
            let health = Health()
            health.set(.healthy)
            let (guardEnd, edgeEnd) = try UnixSocket.pair(.packets)
            let edge = Mutex<PassingSocket?>(PassingSocket(descriptor: edgeEnd))
            let reports = Task {
                while let link = edge.withLock({ $0 }), !Task.isCancelled {
                    try? link.send([EdgeHealth.healthy.byte], waits: false)
                    try? await Task.sleep(for: .milliseconds(50))
                }
            }
            defer { reports.cancel() }
            let first = try make()
            first.watch(guardEnd)
            let running = Task { try await first.run() }
            #expect(try await network.waitUntil(announced: true))
            let bird = try DurableFile.read(paths.pidPath)
            running.cancel()
            _ = await running.result
            // As long as a guard would wait for reports that do not come.
            let withdrawn = try await poll(for: DeadManSwitch.patience * 2) {
                try network.isAnnounced(to: network.providers[0]) ? nil : true
            }
            #expect(withdrawn == nil)
            let second = try make()
            let next = Task { try await second.run() }
            let isHeard = try await poll(for: .seconds(10)) {
                await second.status().announced == .healthy ? true : nil
            }
            #expect(isHeard == true)
            #expect(try DurableFile.read(paths.pidPath) == bird)
            second.want(.down)
            #expect(try await network.waitUntil(announced: false, within: .seconds(2)))
            second.want(.healthy)
            #expect(try await network.waitUntil(announced: true, within: .seconds(2)))
            // The edge dies.
            edge.withLock { $0 = nil }
            #expect(try await network.waitUntil(announced: false, within: .seconds(1)))
            next.cancel()
            _ = await next.result
            await second.end()
        }
    }

    /// An edge that runs and serves stays announced while roostd starts anew, however long that takes, and whatever has
    /// changed in its configuration. By the neighbour's own count: nobody has to look at the right moment.
    @Test func aRestartWithdrawsNothing() async throws {
        try await AnycastNetwork.with(providers: 2) { network in
            let whole = try network.configuration
            var before = whole
            before.uplinks.removeLast()
            let edge = PlayedEdge()
            let reports = Task { await edge.report() }
            defer { reports.cancel() }
            var last: BirdAnnouncer?
            for (round, configuration) in [before, before, whole].enumerated() {
                let announcer = BirdAnnouncer(
                    configuration: configuration, starter: GuardThreadStarter(), wanted: .healthy,
                    logger: Logger(label: "test"))
                last = announcer
                // The edge is found at once, and the guard only when the announcer has come so far.
                let isEarly = try edge.isTaken(by: announcer)
                #expect(!isEarly)
                let running = Task { try await announcer.run() }
                let isTaken = try await poll(for: .seconds(20), every: .milliseconds(2)) {
                    try edge.isTaken(by: announcer) ? true : nil
                }
                #expect(isTaken == true)
                let providers = network.providers.prefix(configuration.uplinks.count)
                let isAnnounced = try await poll(for: .seconds(20)) {
                    try providers.allSatisfy { try network.isAnnounced(to: $0) } ? true : nil
                }
                #expect(isAnnounced == true, "round \(round)")
                // A link that is made again and again: the guard always knows of the next one before the last one ends.
                for _ in 0..<100 { _ = try edge.isTaken(by: announcer) }
                let isHeard = try await poll(for: .seconds(10)) {
                    await announcer.status().announced == .healthy ? true : nil
                }
                #expect(isHeard == true)
                #expect(try network.withdrawals(at: network.providers[0]) == 0, "round \(round)")
                running.cancel()
                _ = await running.result
            }
            edge.end()
            #expect(try await network.waitUntil(announced: false, within: .seconds(1)))
            #expect(try network.withdrawals(at: network.providers[0]) == 1)
            await last?.end()
        }
    }

    @Test func announcesDrainsAndWithdraws() async throws {
        try await AnycastNetwork.with { network in
            try await Self.withAnnouncer(network) { announcer, health in
                let up = try await poll(for: .seconds(20)) {
                    await announcer.status().sessions.filter(\.isEstablished).count == 2 ? true : nil
                }
                #expect(up == true)
                #expect(await announcer.status().sessions.map(\.uplink) == ["aurora", "bore-alis_2"])
                // Nothing is announced before somebody says that all is well.
                #expect(try network.providers.allSatisfy { try !network.isAnnounced(to: $0) })
                #expect(!announcer.hasLed(for: .zero))

                health.set(.healthy)
                #expect(try await network.waitUntil(announced: true))
                let leads = try await poll(for: .seconds(5)) { announcer.hasLed(for: .milliseconds(100)) ? true : nil }
                #expect(leads == true && !announcer.hasLed(for: .seconds(3600)))
                let plain = try network.route(at: network.providers[0])
                #expect(plain.contains("BGP.as_path: 65101\n"))
                #expect(!plain.contains("65535"))

                health.set(.draining)
                let drained = try await poll(for: .seconds(5), every: .milliseconds(5)) { () -> String? in
                    let route = try network.route(at: network.providers[0])
                    // Never a moment without the prefix on the way.
                    #expect(route.contains(AnycastNetwork.prefix))
                    return route.contains("(65535,0)") ? route : nil
                }
                #expect(drained?.contains("65101 65101 65101") == true)
                #expect(
                    try await poll(for: .seconds(3)) { await announcer.status().announced == .draining ? true : nil }
                        == true)

                health.set(.down)
                #expect(try await network.waitUntil(announced: false, within: .seconds(2)))
                health.set(.healthy)
                #expect(try await network.waitUntil(announced: true, within: .seconds(2)))
            }
            // Shut down: nothing is left.
            #expect(try network.providers.allSatisfy { try !network.isAnnounced(to: $0) })
            #expect(!FileManager.default.fileExists(atPath: try network.configuration.guardConfiguration().pidPath))
        }
    }

    @Test func routesComeFromTheUplinksAndStayWhenBirdEnds() async throws {
        try await AnycastNetwork.with { network in
            func routes() async throws -> String { try await network.run(network.edge, "ip", "route", "show") }
            for round in 0..<2 {
                try await Self.withAnnouncer(network) { announcer, health in
                    // In the second round the routes are there from the first, and must not go.
                    let found = try await poll(for: .seconds(20), every: .milliseconds(20)) { () -> String? in
                        let text = try await routes()
                        if round > 0 { #expect(text.contains("198.19.0.0/16")) }
                        let isUp = await announcer.status().sessions.allSatisfy(\.isEstablished)
                        return isUp && text.split(separator: "\n").filter { $0.contains("nexthop") }.count == 4
                            ? text : nil
                    }
                    let text = try #require(found)
                    #expect(text.contains("default proto bird src 198.18.1.11"))
                    // Own prefixes are the host's, not a route.
                    #expect(!text.contains("203.0.113.0"))
                    let local = try await network.run(network.edge, "ip", "route", "get", "203.0.113.77")
                    #expect(local.contains("local 203.0.113.77"))
                    health.set(.healthy)
                    #expect(try await network.waitUntil(announced: true))
                }
                #expect(try await routes().contains("198.19.0.0/16"))
            }
            // What no neighbour tells any more goes, once the new BIRD has heard them all.
            try await network.run(
                network.edge, "ip", "route", "add", "198.19.99.0/24", "via", "198.18.64.1", "proto", "bird", "metric",
                "32")
            try await Self.withAnnouncer(network) { _, _ async throws in
                let isGone = try await poll(for: .seconds(20)) { () -> Bool? in
                    let text = try await routes()
                    #expect(text.contains("198.19.0.0/16"))
                    return text.contains("198.19.99.0/24") ? nil : true
                }
                #expect(isGone == true)
            }
        }
    }

    /// A route that is part of somebody's prefix, or nobody's, would take packets from where they should go.
    @Test func onlyWhatTheInternetRoutesIsTaken() async throws {
        try await AnycastNetwork.with(providers: 1) { network in
            try await Self.withAnnouncer(network) { announcer, _ in
                let routes = try await poll(for: .seconds(20), every: .milliseconds(20)) { () -> String? in
                    let text = try await network.run(network.edge, "ip", "route", "show", "proto", "bird")
                    return text.contains("default") && text.contains("198.19.0.0/16") ? text : nil
                }
                let text = try #require(routes)
                let provider = network.providers[0]
                var control = try BirdControl(path: provider.control, within: .seconds(2))
                let told = try control.run("show route export edge").lines.joined(separator: "\n")
                #expect(told.contains(AnycastNetwork.specific))
                #expect(!text.contains(AnycastNetwork.specific))
                let areUp = try await poll(for: .seconds(10)) {
                    await announcer.status().sessions.allSatisfy(\.isEstablished) ? true : nil
                }
                #expect(areUp == true)
            }
        }
    }

    @Test func aNeighbourWithoutThePasswordIsNone() async throws {
        try await AnycastNetwork.with(providers: 2) { network in
            var configuration = try network.configuration
            configuration.uplinks[0].password = "another"
            try await Self.withAnnouncer(network, configuration) { announcer, health in
                health.set(.healthy)
                // The other session shows that there was time.
                let other = try await poll(for: .seconds(20)) {
                    try network.isAnnounced(to: network.providers[1]) ? true : nil
                }
                #expect(other == true)
                let isOneUp = try await poll(for: .seconds(10)) {
                    await announcer.status().sessions.map(\.isEstablished) == [false, true] ? true : nil
                }
                #expect(isOneUp == true)
                #expect(try !network.isAnnounced(to: network.providers[0]))
            }
        }
    }

    /// BIRD speaks to strangers: it has the rights that its work needs and no more.
    @Test func birdIsNotRoot() async throws {
        try await AnycastNetwork.with(providers: 1) { network in
            let paths = try network.configuration.guardConfiguration()
            try await Self.withAnnouncer(network) { _, health in
                health.set(.healthy)
                #expect(try await network.waitUntil(announced: true))
                let pid = String(decoding: try #require(try DurableFile.read(paths.pidPath)).dropLast(), as: UTF8.self)
                let status = String(decoding: try DurableFile.read("/proc/\(pid)/status") ?? [], as: UTF8.self)
                let lines = status.split(separator: "\n").map {
                    $0.split(whereSeparator: \.isWhitespace).map(String.init)
                }
                let user = try #require(BirdUser.find())
                #expect(lines.first { $0[0] == "Uid:" }?.dropFirst().allSatisfy { $0 == "\(user.user)" } == true)
                // CAP_NET_BIND_SERVICE, CAP_NET_ADMIN, CAP_NET_RAW: bits 10, 12, 13.
                #expect(lines.first { $0[0] == "CapBnd:" }?.last.flatMap { UInt64($0, radix: 16) } == 0x3400)
            }
        }
    }

    @Test func silenceWithdrawsAndSpeechAnnounces() async throws {
        try await AnycastNetwork.with { network in
            try await Self.withAnnouncer(network) { _, health async throws in
                health.set(.healthy)
                #expect(try await network.waitUntil(announced: true))
                health.set(nil)
                #expect(try await network.waitUntil(announced: false, within: .seconds(2)))
                health.set(.healthy)
                #expect(try await network.waitUntil(announced: true, within: .seconds(2)))
            }
        }
    }

    @Test func deadAndFrozenBirdsAreReplaced() async throws {
        try await AnycastNetwork.with { network in
            let pidPath = try network.configuration.guardConfiguration().pidPath
            func bird() throws -> pid_t? {
                try DurableFile.read(pidPath).flatMap { pid_t(String(decoding: $0.dropLast(), as: UTF8.self)) }
            }
            try await Self.withAnnouncer(network) { _, health async throws in
                health.set(.healthy)
                #expect(try await network.waitUntil(announced: true))
                for signal in [SIGKILL, SIGSTOP] {
                    let pid = try #require(try bird())
                    let before = BootClock.now()
                    kill(pid, signal)
                    #expect(try await network.waitUntil(announced: false, within: .seconds(5)))
                    print("BIRD with signal \(signal): withdrawn after \((BootClock.now() - before).milliseconds) ms")
                    #expect(try await network.waitUntil(announced: true, within: .seconds(30)))
                    print("BIRD with signal \(signal): announced after \((BootClock.now() - before).milliseconds) ms")
                    #expect(try bird() != pid)
                    #expect(kill(pid, 0) != 0)
                }
            }
        }
    }

    @Test func birdOfAnotherLifeIsEnded() async throws {
        try await AnycastNetwork.with(providers: 1) { network in
            let configuration = try network.configuration
            let paths = configuration.guardConfiguration()
            try DurableFile.makeFolder(paths.birdFolder)
            try DurableFile.write(BirdText(configuration: configuration).text, to: paths.birdPath)
            let left = try ChildProcess(
                "nsenter",
                arguments: [
                    "--net=" + network.edgePath, "--", "bird", "-f", "-c", paths.birdPath, "-s", paths.controlPath,
                    "-P", paths.pidPath,
                ])
            defer { left.end() }
            let there = try await poll(for: .seconds(5)) {
                (try? DurableFile.read(paths.pidPath))?.isEmpty == false ? true : nil
            }
            #expect(there == true)
            try await Self.withAnnouncer(network) { _, health async throws in
                health.set(.healthy)
                #expect(try await network.waitUntil(announced: true))
                #expect(left.hasEnded())
            }
        }
    }

    @Test func guardThatFailsIsStartedAgainWithPauses() async throws {
        try await AnycastNetwork.with(providers: 1) { network in
            var configuration = try network.configuration
            let marks = network.folder + "/marks"
            configuration.guardCommand = ["/bin/sh", "-c", "echo $0 $@ >> \(marks); exit 1"]
            let announcer = try BirdAnnouncer(configuration: configuration)
            try await withThrowingTaskGroup { group in
                group.addTask { try await announcer.run() }
                defer { group.cancelAll() }
                let lines = try await poll(for: .seconds(10)) { () -> [String]? in
                    let text = String(decoding: try DurableFile.read(marks) ?? [], as: UTF8.self)
                    let lines = text.split(separator: "\n").map(String.init)
                    return lines.count >= 3 ? lines : nil
                }
                let words = try #require(lines?.first).split(separator: " ").map(String.init)
                #expect(
                    try EdgeGuard.Configuration(arguments: words)
                        == configuration.guardConfiguration(user: BirdUser.name))
                #expect(await announcer.status().announced == .down)
            }
        }
    }
}
