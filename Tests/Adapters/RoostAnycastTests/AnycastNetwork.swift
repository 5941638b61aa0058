import CLinux
import Foundation
import Logging
import RoostLinux
import RoostModel
import Synchronization
import Testing

@testable import RoostAnycast

/// An edge and two providers, each in a network namespace, the providers with a BIRD of their own.
struct AnycastNetwork {
    struct Provider {
        var uplink: EdgeUplink
        var namespace: String
        var control: String
        var bird: ChildProcess
    }

    let id: String
    let folder: String
    let edge: String
    var providers: [Provider] = []

    static let prefix = "203.0.113.0/24"
    /// Part of what the providers route, which they tell too.
    static let specific = "198.19.0.128/25"
    static let serial = Mutex(0)

    var edgePath: String { "/run/netns/" + edge }

    var configuration: AnycastConfiguration {
        get throws {
            AnycastConfiguration(
                prefixes: [try IPv4Prefix(Self.prefix)], localAS: 65101, routerID: try IPv4Address("198.18.1.11"),
                uplinks: providers.map(\.uplink), importsRoutes: true,
                sourceAddress: try IPv4Address("198.18.1.11"), directory: folder + "/edge",
                networkNamespace: edgePath)
        }
    }

    static func with(providers count: Int = 2, _ body: (AnycastNetwork) async throws -> Void) async throws {
        let number = serial.withLock { number in
            number += 1
            return number
        }
        let id = "\(getpid())-\(number)"
        var network = AnycastNetwork(id: id, folder: "/tmp/roost-anycast-\(id)", edge: "rae\(id)")
        do {
            try await network.build(providers: count)
            try await body(network)
        } catch {
            await network.remove()
            throw error
        }
        await network.remove()
    }

    private mutating func build(providers count: Int) async throws {
        try DurableFile.makeFolder(folder)
        try await Command("ip", ["netns", "add", edge]).run()
        try await run(edge, "ip", "link", "set", "dev", "lo", "up")
        try await run(edge, "ip", "addr", "add", "198.18.1.11/32", "dev", "lo")
        for index in 0..<count {
            let namespace = "rap\(id)-\(index)"
            try await Command("ip", ["netns", "add", namespace]).run()
            try await run(
                edge, "ip", "link", "add", "name", "up\(index)", "type", "veth", "peer", "name", "down", "netns",
                namespace)
            let subnet = "198.18.\(64 + index)."
            try await run(edge, "ip", "addr", "add", subnet + "2/30", "dev", "up\(index)")
            try await run(edge, "ip", "link", "set", "dev", "up\(index)", "up")
            try await run(namespace, "ip", "addr", "add", subnet + "1/30", "dev", "down")
            try await run(namespace, "ip", "link", "set", "dev", "down", "up")
            try await run(namespace, "ip", "link", "set", "dev", "lo", "up")
            let uplink = EdgeUplink(
                name: ["aurora", "bore-alis_2"][index], neighbor: try IPv4Address(subnet + "1"),
                neighborAS: 64501 + UInt32(index), local: try IPv4Address(subnet + "2"),
                password: index == 0 ? "a-shared,secret" : nil, checksTTL: index == 1)
            providers.append(try startProvider(uplink, namespace: namespace))
        }
        // Nobody asks a provider before it can answer: silence would look like a route that is not there.
        let answering = try await poll(for: .seconds(20), every: .milliseconds(10)) {
            providers.allSatisfy { (try? BirdControl(path: $0.control, within: .seconds(2))) != nil } ? true : nil
        }
        try #require(answering == true, "a provider's BIRD does not answer")
    }

    private func startProvider(_ uplink: EdgeUplink, namespace: String) throws -> Provider {
        let path = folder + "/" + uplink.name
        try DurableFile.write(
            """
            router id \(uplink.neighbor);
            protocol device { }
            protocol bfd { }
            protocol static internet { ipv4; route 198.19.0.0/16 blackhole; route \(Self.specific) blackhole; route 0.0.0.0/0 blackhole; }
            protocol bgp edge {
                local \(uplink.neighbor) as \(uplink.neighborAS);
                neighbor \(uplink.local) as 65101;
                direct;
                \(uplink.password.map { "password \"\($0)\";" } ?? "")
                \(uplink.checksTTL == true ? "ttl security on;" : "")
                hold time 9; connect retry time 5; connect delay time 1; error wait time 1, 10;
                bfd { interval 100 ms; multiplier 5; };
                ipv4 { import all; export where proto = "internet"; };
            }

            """, to: path + ".conf")
        let bird = try ChildProcess(
            "nsenter",
            arguments: [
                "--net=/run/netns/" + namespace, "--", "bird", "-f", "-c", path + ".conf", "-s", path + ".ctl", "-P",
                path + ".pid",
            ])
        return Provider(uplink: uplink, namespace: namespace, control: path + ".ctl", bird: bird)
    }

    private func remove() async {
        for provider in providers {
            provider.bird.end()
            _ = try? await Command("ip", ["netns", "del", provider.namespace]).run()
        }
        _ = try? await Command("ip", ["netns", "del", edge]).run()
        try? FileManager.default.removeItem(atPath: folder)
    }

    @discardableResult
    func run(_ namespace: String, _ program: String, _ arguments: String...) async throws -> String {
        try await Command("nsenter", ["--net=/run/netns/" + namespace, "--", program] + arguments).run().standardOutput
    }

    /// The provider's view of the prefix: what `show route all` says, empty when it has none.
    func route(at provider: Provider) throws -> String {
        var control = try BirdControl(path: provider.control, within: .seconds(2))
        let lines = (try? control.run("show route \(Self.prefix) all"))?.lines ?? []
        return lines.joined(separator: "\n")
    }

    func isAnnounced(to provider: Provider) throws -> Bool { try route(at: provider).contains(Self.prefix) }

    /// How often the edge has taken the prefix back from the provider, by the provider's own count for the session.
    func withdrawals(at provider: Provider) throws -> Int {
        var control = try BirdControl(path: provider.control, within: .seconds(2))
        let words = try control.run("show protocols all edge").lines
            .first { $0.contains("Import withdraws:") }?.split(separator: " ")
        return try #require(words.flatMap { $0.count > 2 ? Int($0[2]) : nil })
    }

    /// Waits until every provider has the prefix, or none.
    func waitUntil(announced wanted: Bool, within time: Duration = .seconds(20)) async throws -> Bool {
        try await poll(for: time, every: .milliseconds(10)) {
            try providers.allSatisfy { try isAnnounced(to: $0) == wanted } ? true : nil
        } ?? false
    }
}

/// Runs the guard on a thread of this process instead of in one of its own.
struct GuardThreadStarter: GuardStarter {
    final class Thread: RunningGuard {
        private let ended = Mutex(false)

        init(configuration: EdgeGuard.Configuration, socket: Int32) {
            let descriptor = dup(socket)
            Task.detached { [self] in
                await BlockingCall.run {
                    do { try EdgeGuard.run(configuration: configuration, socket: descriptor) } catch {
                        print("\(error)")
                    }
                    close(descriptor)
                    self.ended.withLock { $0 = true }
                }
            }
        }

        func hasEnded() -> Bool { ended.withLock { $0 } }

        func end(after patience: Duration) {
            let deadline = BootClock.now() + patience + .seconds(5)
            while !ended.withLock({ $0 }), BootClock.now() < deadline { usleep(5000) }
        }
    }

    func start(_ configuration: EdgeGuard.Configuration, socket: Int32) throws(AnycastError) -> any RunningGuard {
        Thread(configuration: configuration, socket: socket)
    }
}
