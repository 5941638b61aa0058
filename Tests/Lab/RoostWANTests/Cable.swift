import CLinux
import Glibc
import RoostLinux

@testable import RoostWAN

/// Two namespaces and a `roost-wan` with one link between them; gone when the test is.
final class Cable: @unchecked Sendable {
    let folder: String
    let left: String
    let right: String
    let process: pid_t
    let client: WANClient

    static let leftAddress = "198.18.0.1"
    static let rightAddress = "198.18.0.2"

    static func with(
        _ label: String, delayMicroseconds: Int64, lossPercent: Double = 0,
        queueBytesMax: Int = WANDirection.queueBytesDefault, _ body: (Cable) async throws -> Void
    ) async throws {
        let direction = WANDirection(
            delayMicroseconds: delayMicroseconds, lossPercent: lossPercent, queueBytesMax: queueBytesMax)
        let left = "roost-cable-\(getpid())-\(label)-l"
        let right = "roost-cable-\(getpid())-\(label)-r"
        for name in [left, right] { try await Command("ip", ["netns", "add", name]).run() }
        do {
            let cable = try await Cable(label, left, right, direction)
            do {
                try await body(cable)
            } catch {
                await cable.remove()
                throw error
            }
            await cable.remove()
        } catch {
            for name in [left, right] { _ = try? await Command("ip", ["netns", "delete", name]).outcome() }
            throw error
        }
        for name in [left, right] { try await Command("ip", ["netns", "delete", name]).run() }
    }

    private init(_ label: String, _ left: String, _ right: String, _ direction: WANDirection) async throws {
        self.left = left
        self.right = right
        folder = "/tmp/roost-cable-\(getpid())-\(label)"
        let link = WANLink(
            name: "cable", a: WANEnd(site: "left", namespace: "/run/netns/\(left)", interface: "wire"),
            b: WANEnd(site: "right", namespace: "/run/netns/\(right)", interface: "wire"),
            towardsA: direction, towardsB: direction)
        try DurableFile.makeFolder(folder)
        try DurableFile.write(Self.text(link), to: folder + "/config.json")
        client = WANClient(socket: folder + "/control")
        process = try Self.spawn(["--config", folder + "/config.json", "--control", folder + "/control"])
        let client = client
        guard try await poll(for: .seconds(10), until: { try? await client.send(WANRequest(.list)) }) != nil else {
            throw WANError("roost-wan did not come up")
        }
        try await configure(left, address: Self.leftAddress, peer: Self.rightAddress)
        try await configure(right, address: Self.rightAddress, peer: Self.leftAddress)
    }

    func configure(_ namespace: String, address: String, peer: String) async throws {
        let lines = "addr add \(address) peer \(peer) dev wire\nlink set wire up txqueuelen 4000\nlink set lo up\n"
        try await Command("ip", ["-netns", namespace, "-batch", "-"], input: lines).run()
    }

    /// What the link carries from left to right.
    func counters() async throws -> WANCounters {
        let stats = try await client.send(WANRequest(.stats)).stats ?? []
        guard let found = stats.first(where: { $0.from == "left" }) else { throw WANError("no stats") }
        return found.counters
    }

    /// Answers to pings and the shortest round trip in milliseconds: the others tell how busy this computer is.
    func ping(count: Int, interval: Double = 0.005) async throws -> (received: Int, milliseconds: Double?) {
        let output = try await Command(
            "ip",
            [
                "netns", "exec", left, "ping", "-n", "-q", "-c", "\(count)", "-i", "\(interval)", "-W", "1",
                Self.rightAddress,
            ]
        ).outcome().standardOutput
        let words = output.split { " ,\n".contains($0) }
        guard let word = words.firstIndex(of: "received"), let received = Int(words[word - 1]) else {
            throw WANError("ping said: \(output)")
        }
        let times = output.split(separator: "mdev =").dropFirst().first?.split(separator: "/")
        return (received, times?.first.flatMap { Double($0.filter { $0 != " " }) })
    }

    func hasInterface(_ namespace: String) async throws -> Bool {
        try await Command("ip", ["-netns", namespace, "link", "show", "wire"]).outcome().status == 0
    }

    /// Ends the program as a user would.
    /// - Returns: its exit status, nil if it did not end in time.
    func terminate() async -> Int32? {
        kill(process, SIGTERM)
        let process = process
        return try? await poll(for: .seconds(5)) {
            var status: Int32 = 0
            return waitpid(process, &status, WNOHANG) == process ? status : nil
        }
    }

    private func remove() async {
        if kill(process, 0) == 0, await terminate() == nil {
            kill(process, SIGKILL)
            waitpid(process, nil, 0)
        }
        for file in ["config.json", "control"] { unlink(folder + "/" + file) }
        rmdir(folder)
    }

    private static func text(_ link: WANLink) -> String {
        func direction(_ settings: WANDirection) -> String {
            """
            {"delay_us": \(settings.delayMicroseconds), "loss_percent": \(settings.lossPercent), "cut": false, \
            "queue_bytes_max": \(settings.queueBytesMax)}
            """
        }
        func end(_ end: WANEnd) -> String {
            """
            {"site": "\(end.site)", "namespace": "\(end.namespace)", "interface": "\(end.interface)"}
            """
        }
        return """
            {"seed": 7, "links": [{"name": "\(link.name)", "a": \(end(link.a)), "b": \(end(link.b)),
            "towards_a": \(direction(link.towardsA)), "towards_b": \(direction(link.towardsB))}]}
            """
    }

    private static func spawn(_ arguments: [String]) throws -> pid_t {
        var path = [CChar](repeating: 0, count: 4096)
        let length = readlink("/proc/self/exe", &path, path.count - 1)
        let here = String(decoding: path[..<max(length, 0)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        // The tests may run inside SwiftPM's own runner; the program is beside the test bundle.
        let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? here
        let folder = bundle.split(separator: "/").dropLast().joined(separator: "/")
        let program = "/" + folder + "/roost-wan"
        let words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var process: pid_t = 0
        let code = posix_spawn(&process, program, nil, nil, words, environ)
        guard code == 0 else { throw SystemError("start", program, code: code) }
        return process
    }
}
