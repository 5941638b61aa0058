import Foundation
import Glibc
import Logging
import RoostFailover
import RoostLinux
import RoostModel
import RoostPostgresImage
import RoostWire
import Synchronization

@testable import RoostPostgres

/// The unpacked image, from which the tests run the real Postgres 17. Made once and kept for later runs.
actor TestRoot {
    static let shared = TestRoot()

    private var making: Task<String, any Error>?

    /// The folder of the root file system.
    func path() async throws -> String {
        let task = making ?? Task { try await make() }
        making = task
        return try await task.value
    }

    private func make() async throws -> String {
        let layout = PostgresImage.layoutDefault
        let program = try Self.program()
        try await PostgresImage.build(to: layout, program: program)
        let stamp = try DurableFile.read("\(layout)/roost-\(PostgresImage.tagDefault).stamp") ?? []
        let words = String(decoding: stamp, as: UTF8.self).split(whereSeparator: \.isWhitespace)
        // Short: a socket's path has room for 107 bytes.
        // The Debian layer alone: it hardly changes, and each ground brings the program it tests.
        guard let base = words.first else { throw PostgresError("find the image's layer", "\(layout) has no stamp") }
        let name = String(base.suffix(8))
        let folder = "/var/lib/roost/pg-tests"
        try DurableFile.makeFolder(folder)
        let root = "\(folder)/\(name)"
        if access("\(root)/rootfs", F_OK) != 0 {
            let fresh = "\(root).\(getpid())"
            try await Command(
                "umoci", ["unpack", "--image", "\(layout):\(base)", fresh], deadline: .seconds(300)
            ).run()
            try await Command("mkdir", ["-p", "\(fresh)/rootfs/dev/shm"]).run()
            try await Command("chmod", ["1777", "\(fresh)/rootfs/dev/shm"]).run()
            if rename(fresh, root) != 0 { try await Command("rm", ["-rf", fresh], deadline: .seconds(60)).run() }
        }
        return "\(root)/rootfs"
    }

    static func program() throws -> String {
        let package = String(#filePath.prefix(upTo: #filePath.range(of: "/Tests/")?.lowerBound ?? #filePath.endIndex))
        let candidates = [ProcessInfo.processInfo.environment["ROOST_PG_PROGRAM"], "\(package)/bin/roost-pg"]
        for case let candidate? in candidates where access(candidate, X_OK) == 0 { return candidate }
        throw PostgresError("find roost-pg", "run 'make build' first: it makes bin/roost-pg for the image")
    }
}

/// A network namespace and a folder for the members of one test, and everything that has to go afterwards.
final class TestGround: Sendable {
    /// One for each ground.
    let cluster: AppName
    static let network = NetworkNumber(0x2001_0db8)

    let root: String
    let name: String
    let secrets: MemberSecrets

    init(_ label: String) async throws {
        root = try await TestRoot.shared.path()
        name = "roost-pg-\(getpid())-\(label)"
        cluster = try AppName("t\(getpid())-\(label)")
        try await Command("ip", ["netns", "add", name]).run()
        try await Command("ip", ["-n", name, "link", "set", "lo", "up"]).run()
        secrets = MemberSecrets(
            ownerPassword: "it's: a \\secret", replicationPassword: "another: \\one'")
        try DurableFile.makeFolder(root + folder)
        try await Command("cp", [try TestRoot.program(), root + program]).run()
        for number in Self.numbers {
            try await Command(
                "ip", ["-n", name, "-6", "addr", "add", "\(Self.address(number))/128", "dev", "lo", "nodad"]
            ).run()
        }
    }

    /// Of all that have an address and a folder.
    static let numbers = 1...4

    /// Those that most clusters have.
    var members: [MemberName] { (1...3).compactMap { try? MemberName("m\($0)") } }

    /// As seen below `root`.
    var folder: String { "/t/\(name.dropFirst(9))" }

    /// `roost-pg`, as seen below `root`.
    var program: String { folder + "/roost-pg" }

    func remove() async {
        // A test that failed has not stopped what it started.
        _ = try? await poll(for: .seconds(10)) { () -> Bool? in
            let remaining = Self.numbers.flatMap { TestProcess.postgres(of: layout($0)) }
            for process in remaining { kill(process, SIGKILL) }
            return remaining.isEmpty ? true : nil
        }
        for space in [name, apart] { _ = try? await Command("ip", ["netns", "delete", space]).run() }
        _ = try? await Command("rm", ["-rf", root + folder], deadline: .seconds(60)).run()
    }

    static func address(_ number: Int) -> IPv6Address {
        IPv6Address(high: 0xfdaa << 48 | UInt64(network.number) << 16, low: UInt64(number) << 16 | 2)
    }

    var enter: [String] { ["nsenter", "--net=/run/netns/\(name)"] }

    /// The network namespace of one that is to come from an address of its own, as machines do.
    var apart: String { name + "-r" }

    /// Moves one's address into a namespace of its own, at the other end of a cable, before it is started.
    func move(apart number: Int) async throws {
        let address = Self.address(number)
        let lines = [
            "ip netns add \(apart)", "ip -n \(apart) link set lo up",
            "ip -n \(name) -6 addr del \(address)/128 dev lo",
            "ip -n \(name) link add cable type veth peer name cable netns \(apart)",
            "ip -n \(name) -6 addr add fe80::1/64 dev cable nodad",
            "ip -n \(apart) -6 addr add fe80::2/64 dev cable nodad",
            "ip -n \(name) link set cable up", "ip -n \(apart) link set cable up",
            "ip -n \(apart) -6 addr add \(address)/128 dev cable nodad",
            "ip -n \(name) -6 route add \(address)/128 via fe80::2 dev cable",
        ]
        for line in lines {
            let words = line.split(separator: " ").map(String.init)
            try await Command(words[0], Array(words.dropFirst())).run()
        }
        try await join(apart: number, true)
    }

    /// Whether what comes from there gets anywhere.
    func join(apart number: Int, _ isJoined: Bool) async throws {
        let route = ["fdaa::/16", "via", "fe80::1", "dev", "cable", "src", "\(Self.address(number))"]
        try await Command("ip", ["-n", apart, "-6", "route", isJoined ? "add" : "del"] + route).run()
    }

    /// For programs in Swift, which read their arguments from /proc.
    var enterWithProc: [String] { enter + ["unshare", "--mount", "--mount-proc=\(root)/proc", "chroot", root] }

    func layout(_ number: Int) -> PostgresLayout {
        PostgresLayout(
            root: root, volume: "\(folder)/m\(number)/data", runFolder: "\(folder)/m\(number)/run", enter: enter)
    }

    func member(_ number: Int) throws -> TestMember { try TestMember(number, self) }

    /// Runs `body` with a ground of its own, and cleans up however it ends.
    static func with(_ label: String, _ body: (TestGround) async throws -> Void) async throws {
        let ground = try await TestGround(label)
        do { try await body(ground) } catch {
            for number in Self.numbers {
                let text = String(((try? ground.member(number).log()) ?? "").suffix(2000))
                if !text.isEmpty { print("the log of m\(number) ends with:\n\(text)") }
            }
            await ground.remove()
            throw error
        }
        await ground.remove()
    }
}

extension PostgresInstance {
    /// Waits until Postgres answers, or until it has ended.
    func waitUntilAnswering(within deadline: Duration) async throws(PostgresError) {
        switch try await reception(within: deadline) {
        case .answers: return
        case .refusesLogin(let why): throw PostgresError("wait for Postgres", why)
        }
    }

    /// The postmaster alone is killed; its children have to notice.
    func crash() { postmaster.withLock { $0 }?.signal(SIGKILL) }
}

/// One Postgres of a test.
struct TestMember: Sendable {
    let number: Int
    let name: MemberName
    let ground: TestGround
    let instance: PostgresInstance

    init(_ number: Int, _ ground: TestGround) throws {
        self.number = number
        self.ground = ground
        name = try MemberName("m\(number)")
        let layout = ground.layout(number)
        try layout.prepare()
        instance = try PostgresInstance(
            layout: layout, member: name,
            log: ground.root + ground.folder + "/m\(number)/postgres.log", logger: Logger(label: "test"))
    }

    func settings(_ role: PostgresSettings.Role) -> PostgresSettings {
        var settings = PostgresSettings(
            member: name, address: TestGround.address(number), memory: .mebibytes(256), volumeSize: .gibibytes(1),
            role: role, isOpen: true)
        settings.members = (1...9).map(TestGround.address)
        return settings
    }

    func configure(_ role: PostgresSettings.Role) throws { try instance.configure(settings(role), ground.secrets) }

    func admit(_ isOpen: Bool) throws {
        instance.want(open: isOpen)
        try instance.admit()
    }

    func upstream(_ epoch: Epoch) -> PostgresSettings.Upstream {
        PostgresSettings.Upstream(
            leader: name, address: TestGround.address(number), port: PostgresSettings.portDefault, epoch: epoch)
    }

    /// Starts as a primary with the slots of an epoch.
    func lead(_ epoch: Epoch, standbys: [TestMember] = [], confirmations: Int = 0) async throws {
        let names = standbys.map(\.name)
        try configure(.leader(epoch: epoch, standbys: names, confirmations: confirmations))
        if instance.isRunning { try instance.reload() } else { try await instance.start() }
        try await instance.waitUntilAnswering(within: .seconds(30))
        try await instance.keepSlots(of: epoch, for: names, among: ground.members + names)
    }

    func follow(_ leader: TestMember, _ epoch: Epoch) async throws {
        try configure(.standby(upstream: leader.upstream(epoch)))
        if instance.isRunning { try instance.reload() } else { try await instance.start() }
        try await instance.waitUntilAnswering(within: .seconds(30))
    }

    func clone(_ leader: TestMember, _ epoch: Epoch) async throws {
        try await instance.clone(
            from: leader.upstream(epoch), settings(.standby(upstream: nil)), ground.secrets, within: .seconds(60))
        try await instance.exchange()
    }

    /// Statements through the local socket, as the supervisor.
    func query(_ statement: String, within deadline: Duration = .seconds(5)) async throws -> [[String?]] {
        // The supervisor itself sees nothing that users have made.
        try await instance.control.query("SET search_path = public, pg_catalog; \(statement)", within: deadline)
    }

    /// What its Postgres has written to its log.
    func log() throws -> String {
        let path = "\(ground.root)\(ground.folder)/m\(number)/postgres.log"
        return String(decoding: try DurableFile.read(path) ?? [], as: UTF8.self)
    }

    func isStreaming() async -> Bool {
        guard let sample = try? await instance.observe(epoch: .none) else { return false }
        return switch sample {
        case .standby(let standby): standby.isStreaming
        case .primary: false
        }
    }

    func waitUntilStreaming() async throws {
        let found = try await poll(for: .seconds(20)) { await isStreaming() ? true : nil }
        if found == nil { throw PostgresError("stream", "\(name) does not within 20 s") }
    }
}
