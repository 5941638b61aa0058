import Glibc
import RoostLinux
import RoostModel
import Testing

@testable import RoostLab

/// A lab of the network alone, gone when the test is.
enum LabOnThisComputer {
    static func name(_ label: String) -> String { "t\(getpid())-\(label)" }

    static func with(
        _ label: String, regions: [String] = ["ams", "iad", "sin"], hostsPerRegion: Int = 2,
        _ body: (LabPlanet) async throws -> Void
    ) async throws {
        let shape = try LabShape(
            name: name(label), regions: regions, hostsPerRegion: hostsPerRegion, isNetworkOnly: true)
        let planet = try await LabPlanet.up(shape)
        do {
            try await body(planet)
        } catch {
            try await planet.down()
            throw error
        }
        try await planet.down()
    }

    /// Everything on this computer that carries the lab's name.
    static func traces(of name: String) -> [String] {
        var found = [LabPaths.stateRoot, LabPaths.runRoot].flatMap { root in
            Folder.names(in: root).filter { $0.contains(name) }.map { "\(root)/\($0)" }
        }
        found += Folder.names(in: LabPaths.namespaceRoot).filter { $0.contains(name) }
        for hierarchy in Folder.names(in: ControlGroups.root) {
            let folder = "\(ControlGroups.root)/\(hierarchy)\(LabPaths.cgroupRoot)/\(name)"
            if access(folder, F_OK) == 0 { found.append(folder) }
        }
        found += Text.lines(of: "/proc/self/mountinfo").filter { $0.contains(name) }.map(String.init)
        for process in ProcessTable().entries where process.id != getpid() {
            let line = (try? DurableFile.read("/proc/\(process.id)/cmdline")) ?? nil
            let words = String(decoding: line ?? [], as: UTF8.self)
            if words.contains("/\(name)/") { found.append("process \(process.id) \(words)") }
        }
        return found
    }
}

extension LabPlanet {
    /// Answers, and the shortest round trip in milliseconds: the others tell how busy this computer is.
    func ping(_ address: String, from site: String, count: Int = 3) async throws -> (received: Int, best: Double?) {
        let output = try await run(
            in: site, ["ping", "-n", "-q", "-c", "\(count)", "-i", "0.05", "-W", "1", address]
        ).standardOutput
        let words = output.split { " ,\n".contains($0) }
        let received = words.firstIndex(of: "received").flatMap { Int(words[$0 - 1]) } ?? 0
        let times = output.split(separator: "mdev =").dropFirst().first?.split(separator: "/")
        return (received, times.flatMap { $0.first.flatMap { Double($0.filter { $0 != " " }) } })
    }

    func reaches(_ address: String, from site: String) async throws -> Bool {
        try await ping(address, from: site, count: 1).received == 1
    }

    func waits(
        for seconds: Int, until condition: () async throws -> Bool
    ) async throws -> Bool {
        try await poll(for: .seconds(seconds)) { try await condition() ? true : nil } ?? false
    }

    // MARK: - An edge as roostd makes it, reduced to BGP

    static let service = "203.0.113.1"

    /// Announces the anycast prefix from the host and answers on it.
    func announce(from host: LabHost) async throws {
        let sessions = host.uplinks.map { uplink in
            """
            protocol bgp \(uplink.provider) {
                local \(uplink.local) as \(LabPlan.platformNumber);
                neighbor \(uplink.neighbor) as \(uplink.neighborAS);
                hold time 9; connect retry time 1; connect delay time 1; error wait time 1, 2;
                bfd { interval 100 ms; multiplier 5; };
                ipv4 { import all; export where proto = "up"; };
            }
            """
        }.joined(separator: "\n")
        let text = """
            router id \(host.underlay);
            protocol device {}
            protocol bfd {}
            protocol kernel { ipv4 { import none; export where source = RTS_BGP; }; }
            protocol static up { ipv4; route \(LabAddresses.anycast) blackhole; }
            \(sessions)

            """
        let folder = paths.hostState(host.name.text)
        try DurableFile.write(text, to: "\(folder)/bird.conf")
        _ = try await run(
            in: host.name.text, ["ip", "route", "replace", "local", LabAddresses.anycast, "dev", "lo"])
        let started = try await run(
            in: host.name.text,
            ["bird", "-c", "\(folder)/bird.conf", "-s", "/run/bird.ctl", "-P", "/run/bird.pid"])
        #expect(started.status == 0, "\(started.standardError)")
    }

    /// The region whose edge a client's packets to the anycast address reach, by the packets that arrive there.
    func landing(of client: String) async throws -> String? {
        var before: [String: Int] = [:]
        let edges = plan.hosts.filter { $0.isEdge && state(of: $0) == .running }
        for edge in edges { before[edge.name.text] = try await echoesIn(edge) }
        guard try await ping(Self.service, from: client, count: 2).received == 2 else { return nil }
        for edge in edges {
            let count = try await echoesIn(edge)
            if count > before[edge.name.text, default: 0] { return edge.name.text }
        }
        return nil
    }

    private func echoesIn(_ host: LabHost) async throws -> Int {
        let lines = try await run(in: host.name.text, ["cat", "/proc/net/snmp"]).standardOutput.split(separator: "\n")
            .filter { $0.hasPrefix("Icmp:") }.map { $0.split(separator: " ") }
        guard lines.count == 2, let column = lines[0].firstIndex(of: "InEchos") else { return 0 }
        return Int(lines[1][column]) ?? 0
    }
}
