import Foundation
import Glibc
import RoostLinux
import RoostModel
import RoostWire
import Synchronization

@testable import RoostPostgres

/// Three members as machines have them, each in a PID and mount namespace of its own with `roost-pg` of the image as
/// process 1, and a store in memory.
final class TestCluster: Sendable {
    let ground: TestGround
    let store: FakeStore
    private let hosts: [FakeHost]
    private let machines = Mutex<[Int: pid_t]>([:])

    static let numbers = 1...3

    /// The number of its reader, where it has one: it comes from an address of its own (``TestGround/move(apart:)``).
    static let reader = 4

    init(_ ground: TestGround, withReader: Bool = false) throws {
        self.ground = ground
        let numbers = Array(Self.numbers) + (withReader ? [Self.reader] : [])
        let members = try Self.numbers.map { number in
            ClusterSpec.MemberSpec(
                name: try Self.name(number), region: try RegionCode(["ams", "iad", "sin"][number - 1]))
        }
        var spec = ClusterSpec(
            name: ground.cluster, address: try IPv4Address("203.0.113.7"), volumeSize: .gibibytes(1),
            guest: MachineGuest(memoryMebibytes: 256), image: "oci:test", members: members, createdAt: 0)
        if withReader {
            spec.readers = [ClusterSpec.MemberSpec(name: try Self.name(Self.reader), region: members[2].region)]
        }
        let placements = try numbers.map { number in
            MemberPlacement(
                member: try Self.name(number), host: try HostName("host\(number)"),
                region: members[min(number, members.count) - 1].region,
                machine: try MachineID("0000000000000\(number)"), volume: try VolumeID("vol_000000000000000\(number)"),
                address: TestGround.address(number))
        }
        store = FakeStore(spec: spec, placements: placements, secrets: ground.secrets)
        var hosts: [FakeHost] = []
        for number in numbers {
            try DurableFile.makeFolder(ground.root + ground.folder + "/m\(number)/run")
            hosts.append(
                try FakeHost(
                    ground.root + ground.folder + "/m\(number)/api", member: try Self.name(number), store: store))
        }
        self.hosts = hosts
    }

    /// As clusters name them: by that they know slots of others than those that there are now.
    static func name(_ number: Int) throws -> MemberName { try MemberName("db-\(number)") }
    static func number(_ name: MemberName) -> Int { name.text.split(separator: "-").last.flatMap { Int($0) } ?? 0 }

    func start(_ number: Int) throws {
        let folder = "\(ground.folder)/m\(number)"
        let space = number == Self.reader ? ["nsenter", "--net=/run/netns/\(ground.apart)"] : ground.enter
        let line =
            space + [
                "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc=\(ground.root)/proc", "chroot",
                ground.root, ground.program, "run", "--api", "\(folder)/api", "--volume",
                "\(folder)/data", "--run-folder", "\(folder)/run", "--log-level", "info",
            ]
        let process = try TestProcess.start(line, log: logFile(number))
        machines.withLock { $0[number] = process }
    }

    /// What the machine has written: the lines of its supervisor, and those of its Postgres.
    func log(_ number: Int) throws -> String {
        String(decoding: try DurableFile.read(logFile(number)) ?? [], as: UTF8.self)
    }

    private func logFile(_ number: Int) -> String { "\(ground.root)\(ground.folder)/m\(number)/postgres.log" }

    /// Everything of the machine dies at once.
    func kill(_ number: Int) {
        guard let machine = machines.withLock({ $0.removeValue(forKey: number) }) else { return }
        TestProcess.end(machine)
    }

    /// `roost-pg` of a machine: process 1, and the member it looks after.
    func supervisor(_ number: Int) -> (first: pid_t, member: pid_t)? {
        guard let machine = machines.withLock({ $0[number] }), let first = TestProcess.children(of: machine).first,
            let member = TestProcess.children(of: first).first(where: { TestProcess.name(of: $0) == "roost-pg" })
        else { return nil }
        return (first, member)
    }

    /// Whether process 1 of the machine has ended.
    func hasEnded(_ number: Int) -> Bool {
        guard let machine = machines.withLock({ $0[number] }) else { return true }
        return TestProcess.children(of: machine).isEmpty
    }

    /// A URL that leads to whichever member takes writes.
    var anyURL: String {
        let addresses = Self.numbers.map { "[\(TestGround.address($0))]:5432" }.joined(separator: ",")
        return "postgres://postgres:it%27s%3A%20a%20%5Csecret@\(addresses)/postgres?target_session_attrs=read-write"
    }

    /// Starts the image's own `roost-pg writer`; its lines go to a file.
    func startWriter() throws -> (process: pid_t, output: String) {
        let output = "\(ground.root)\(ground.folder)/writer.log"
        let line =
            ground.enterWithProc + [
                ground.program, "writer", "--url", anyURL, "--interval", "5",
                "--timeout",
                "2", "--json",
            ]
        return (try TestProcess.start(line, log: output), output)
    }

    func stop() {
        for number in Array(Self.numbers) + [Self.reader] { kill(number) }
        for host in hosts { host.stop() }
    }

    var leader: Int? {
        guard let rule = store.rule, let beat = store.heartbeat, beat.epoch == rule.epoch, beat.isOpen,
            store.isOpen(rule.leader)
        else { return nil }
        return Self.number(rule.leader)
    }

    /// Waits until there is an open leader (another than `other`), and `standbys` stream from it.
    func waitUntilReady(other: Int? = nil, standbys: Int, within deadline: Duration = .seconds(60)) async throws -> Int
    {
        let found = try await poll(for: deadline) { () -> Int? in
            guard let leader = self.leader, leader != other else { return nil }
            let streaming = Self.numbers.filter { number in
                guard let name = try? Self.name(number), let report = self.store.report(of: name) else { return false }
                return number != leader && report.isStreaming && report.promised == self.store.rule?.epoch
            }
            return streaming.count >= standbys ? leader : nil
        }
        guard let found else {
            let reports = try Self.numbers.map { self.store.report(of: try Self.name($0)) }
            throw PostgresError(
                "wait for the cluster", "rule \(String(describing: store.rule)), reports \(reports)")
        }
        return found
    }

    /// A client's connection text, from inside the network namespace. Clients come from the hosts' addresses.
    func url(_ number: Int) -> String {
        "postgres://postgres:it%27s%3A%20a%20%5Csecret@[\(TestGround.address(number))]:5432/postgres"
    }

    /// Runs statements as a client would, with the image's psql.
    func query(_ number: Int, _ statement: String, within seconds: Int = 20) async throws -> String {
        try await psql(["--command=\(statement)", url(number) + "?connect_timeout=3"], within: seconds)
    }

    /// Runs statements as the superuser, as who is root in the machine can.
    func superuser(_ number: Int, _ statement: String, within seconds: Int = 20) async throws -> String {
        let login = "host=\(ground.layout(number).runFolder) user=roost dbname=postgres connect_timeout=3"
        return try await psql(["--command=\(statement)", login], within: seconds)
    }

    private func psql(_ arguments: [String], within seconds: Int) async throws -> String {
        let line =
            ground.enter + [
                "chroot", ground.root, "/usr/lib/postgresql/17/bin/psql", "--no-psqlrc", "--tuples-only", "--no-align",
                "--set=ON_ERROR_STOP=1",
            ] + arguments
        return try await Command(line[0], Array(line.dropFirst()), deadline: .seconds(seconds)).run().standardOutput
    }
}

/// Processes of a test, by number.
enum TestProcess {
    static func start(_ line: [String], log: String) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        let arguments = line.map { strdup($0) } + [nil]
        defer { arguments.forEach { free($0) } }
        var child: pid_t = 0
        let code = posix_spawnp(&child, line[0], &actions, nil, arguments, environ)
        guard code == 0 else { throw SystemError("start", line.joined(separator: " "), code: code) }
        return child
    }

    static func end(_ process: pid_t) {
        kill(process, SIGKILL)
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
    }

    /// The processes of a member's Postgres, whatever namespace they are in: they stand in its data folder.
    static func postgres(of layout: PostgresLayout) -> [pid_t] {
        let folder = layout.outside(layout.data)
        let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return all.compactMap { pid_t($0) }.filter { pid in
            guard let place = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/cwd") else {
                return false
            }
            return (place == folder || place.hasPrefix(folder + " ")) && (try? ProcessFacts(pid))?.isDead == false
        }
    }

    /// The postmaster: the one of them that is no child of another.
    static func postmaster(of layout: PostgresLayout) -> pid_t? {
        let all = postgres(of: layout)
        return all.first { pid in (try? ProcessFacts(pid)).map { !all.contains($0.parent) } ?? false }
    }

    static func name(of process: pid_t) -> String {
        let text = (try? DurableFile.read("/proc/\(process)/comm")) ?? nil
        return String(decoding: (text ?? []).dropLast(), as: UTF8.self)
    }

    static func children(of process: pid_t) -> [pid_t] {
        let text = (try? DurableFile.read("/proc/\(process)/task/\(process)/children")) ?? nil
        return String(decoding: text ?? [], as: UTF8.self).split(separator: " ").compactMap { pid_t($0) }
    }
}
