import Foundation
import Glibc
import Logging
import RoostLinux
import RoostStore
import Synchronization
import Testing

/// A real etcd member on the loopback. It dies with the test process: a shell waits for the end of its input,
/// which is a pipe from here, and then kills it.
final class EtcdProcess: Sendable {
    struct Address: Sendable {
        var name: String
        var clientPort: UInt16
        var peerPort: UInt16

        var clientURL: String { "http://127.0.0.1:\(clientPort)" }
        var peerURL: String { "http://127.0.0.1:\(peerPort)" }
    }

    let address: Address
    private let folder: String
    private let cluster: [Address]

    private struct Run {
        var shell: Process
        var pid: pid_t
        var leash: FileHandle
    }

    private let run = Mutex<Run?>(nil)

    init(_ address: Address, in cluster: [Address], folder: String) {
        self.address = address
        self.cluster = cluster
        self.folder = folder
    }

    func start() throws {
        let leash = Pipe()
        let output = Pipe()
        let shell = Process()
        shell.executableURL = URL(fileURLWithPath: "/bin/sh")
        let members = cluster.map { "\($0.name)=\($0.peerURL)" }.joined(separator: ",")
        shell.arguments =
            [
                "-c", #"log=$1; shift; etcd "$@" >>"$log" 2>&1 </dev/null & echo $!; cat; kill -9 $!; wait"#, "sh",
                "\(folder)/\(address.name).log",
                "--name", address.name, "--data-dir", "\(folder)/\(address.name)",
                "--listen-client-urls", address.clientURL, "--advertise-client-urls", address.clientURL,
                "--listen-peer-urls", address.peerURL, "--initial-advertise-peer-urls", address.peerURL,
                "--initial-cluster", members, "--initial-cluster-token", folder, "--enable-v2=false",
            ]
        shell.standardInput = leash
        shell.standardOutput = output
        shell.standardError = FileHandle.nullDevice
        try shell.run()
        let pid = try #require(pid_t(Self.line(from: output.fileHandleForReading.fileDescriptor)))
        run.withLock { $0 = Run(shell: shell, pid: pid, leash: leash.fileHandleForWriting) }
    }

    /// What the shell says first. Foundation's own reading ends the process where a read fails.
    private static func line(from file: Int32) throws -> String {
        var bytes: [UInt8] = []
        var byte: UInt8 = 0
        while bytes.count < 16 {
            let count = read(file, &byte, 1)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw SystemError("read", "the shell's first line") }
            if count == 0 || byte == UInt8(ascii: "\n") { break }
            bytes.append(byte)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    func signal(_ number: Int32) {
        run.withLock { run in
            if let run { kill(run.pid, number) }
        }
    }

    /// As when the host loses power. Returns when the process is gone.
    func kill9() {
        let ended = run.withLock { run in
            defer { run = nil }
            return run
        }
        guard let ended else { return }
        kill(ended.pid, SIGKILL)
        try? ended.leash.close()
        ended.shell.waitUntilExit()
    }
}

extension EtcdProcess {
    private var data: String { "\(folder)/\(address.name)" }
    private var copy: String { data + ".copy" }

    /// Keeps a copy of all that it has, as it is now.
    func keepCopy() async throws {
        try await Command(
            "etcdctl", ["--endpoints", address.clientURL, "snapshot", "save", copy], environment: ["ETCDCTL_API": "3"]
        ).run()
    }

    /// Makes the only member of a cluster what it was when the copy was kept. It is not running.
    ///
    /// - Parameter token: nil: the one it had, with which it is the same cluster.
    func restore(token: String?) async throws {
        try FileManager.default.removeItem(atPath: data)
        try await Command(
            "etcdctl",
            [
                "snapshot", "restore", copy, "--name", address.name, "--data-dir", data,
                "--initial-cluster", "\(address.name)=\(address.peerURL)",
                "--initial-advertise-peer-urls", address.peerURL, "--initial-cluster-token", token ?? folder,
            ], environment: ["ETCDCTL_API": "3"]
        ).run()
    }
}

/// Members that form one cluster, in a folder of their own; all gone at the end, however the body ends.
struct EtcdCluster: Sendable {
    let members: [EtcdProcess]

    var endpoints: [String] { members.map(\.address.clientURL) }

    static func with(
        members count: Int, _ body: (EtcdCluster) async throws -> Void
    ) async throws {
        let folder = try TestFolder()
        let ports = try freePorts(count * 2)
        let addresses = (0..<count).map { index in
            EtcdProcess.Address(name: "m\(index)", clientPort: ports[index * 2], peerPort: ports[index * 2 + 1])
        }
        let cluster = EtcdCluster(members: addresses.map { EtcdProcess($0, in: addresses, folder: folder.path) })
        defer { for member in cluster.members { member.kill9() } }
        for member in cluster.members { try member.start() }
        let store = EtcdStore(endpoints: cluster.endpoints)
        let isUp = try await poll(for: .seconds(30)) {
            (try? await store.read(.key("up"), at: nil)) != nil ? true : nil
        }
        try #require(isUp == true, "etcd did not start: \(folder.logs())")
        try await body(cluster)
    }

    /// Ports that nobody listens on now. Another process may take one before etcd does; then the start fails loudly.
    static func freePorts(_ count: Int) throws -> [UInt16] {
        var sockets: [Int32] = []
        defer { for socket in sockets { close(socket) } }
        return try (0..<count).map { _ in
            let file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            try #require(file >= 0)
            sockets.append(file)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let status = withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                    bind(file, pointer, length) == 0 ? getsockname(file, pointer, &length) : -1
                }
            }
            try #require(status == 0)
            return UInt16(bigEndian: address.sin_port)
        }
    }

    /// The member that leads now; asked of those that are in `asking`.
    func leader(asking: [EtcdProcess]? = nil) async throws -> EtcdProcess {
        struct Answer: Decodable {
            struct Status: Decodable {
                struct Header: Decodable { var member_id: UInt64 }
                var header: Header
                var leader: UInt64
            }
            var Endpoint: String
            var Status: Status
        }
        let found = try await poll(for: .seconds(15)) { () -> EtcdProcess? in
            let urls = (asking ?? members).map(\.address.clientURL).joined(separator: ",")
            let output = try await etcdctl(["endpoint", "status", "-w", "json"], endpoints: urls)
            guard let answers = try? JSONDecoder().decode([Answer].self, from: Data(output.utf8)) else { return nil }
            let leading = answers.first { $0.Status.leader == $0.Status.header.member_id }
            return members.first { $0.address.clientURL == leading?.Endpoint }
        }
        return try #require(found, "no leader")
    }

    func compact(to revision: Revision) async throws {
        _ = try await etcdctl(["compact", "\(revision)"], endpoints: endpoints.joined(separator: ","))
    }

    private func etcdctl(_ arguments: [String], endpoints: String) async throws -> String {
        try await Command(
            "etcdctl", ["--endpoints", endpoints, "--command-timeout", "3s"] + arguments,
            environment: ["ETCDCTL_API": "3"]
        ).outcome().standardOutput
    }
}
