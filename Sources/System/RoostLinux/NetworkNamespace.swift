import CLinux
import Glibc

/// Network namespaces (network_namespaces(7)): a thread's own view of links, addresses, routes and rules.
public enum NetworkNamespace {
    /// `NSFS_MAGIC` of linux/magic.h.
    private static let filesystem = 0x6e73_6673

    /// Of the thread that the process began with, which nobody takes anywhere.
    private static let own = "/proc/self/ns/net"

    /// Runs `body` on a thread of its own that has entered the namespace bound to `path`; nil: that of this process.
    /// The thread ends with it, so `body` may go on into another namespace.
    public static func run<Value: Sendable, Failure: Error>(
        in path: String?, failing failure: @escaping @Sendable (SystemError) -> Failure,
        _ body: @escaping @Sendable () throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        try await BlockingCall.run { () throws(Failure) -> Value in
            do throws(SystemError) {
                if let path { try enter(path) } else { try enterOwn() }
            } catch { throw failure(error) }
            return try body()
        }
    }

    /// Takes the calling thread into the namespace bound to `path`, for good: only for threads of one's own.
    public static func enter(_ path: String) throws(SystemError) {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw SystemError("open", path) }
        defer { close(file) }
        let failure = roost_setns(file, roost_clone_newnet)
        guard failure == 0 else { throw SystemError("enter", path, code: -failure) }
    }

    /// Takes the calling thread back into the namespace of this process, for good. Where it is there, no right is needed.
    /// A gate that is closed in a namespace where it happens to be would be no gate, and nobody would know.
    static func enterOwn() throws(SystemError) {
        guard try number("/proc/thread-self/ns/net") != number(own) else { return }
        try enter(own)
    }

    private static func number(_ path: String) throws(SystemError) -> ino_t {
        var status = stat()
        guard stat(path, &status) == 0 else { throw SystemError("look at", path) }
        return status.st_ino
    }

    /// Makes a namespace, takes the calling thread into it for good, and binds it to `path`, so that it stays when the
    /// thread ends. What was bound there before is out of sight.
    public static func make(boundTo path: String) throws(SystemError) {
        let file = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw SystemError("create", path) }
        close(file)
        let failure = roost_new_network_namespace()
        guard failure == 0 else { throw SystemError("make network namespace", path, code: -failure) }
        guard mount("/proc/thread-self/ns/net", path, nil, UInt(MS_BIND), nil) == 0 else {
            throw SystemError("bind network namespace to", path)
        }
    }

    /// Takes away all that is bound to `path`, and the file. A namespace lives on while processes are in it.
    public static func remove(_ path: String) throws(SystemError) {
        while isBound(path) {
            guard umount2(path, Int32(MNT_DETACH)) == 0 else { throw SystemError("unmount", path) }
        }
        if unlink(path) != 0, errno != ENOENT { throw SystemError("remove", path) }
    }

    /// A namespace is bound to `path`.
    public static func isBound(_ path: String) -> Bool {
        var status = statfs()
        return statfs(path, &status) == 0 && Int(status.f_type) == filesystem
    }

    /// Writes a setting of the namespace that the calling thread is in.
    /// - Parameter name: below `/proc/sys/net`, for example `ipv6/conf/all/forwarding`.
    public static func set(_ name: String, to value: String) throws(SystemError) {
        let path = "/proc/sys/net/" + name
        let file = open(path, O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { throw SystemError("open", path) }
        defer { close(file) }
        let bytes = Array(value.utf8)
        guard write(file, bytes, bytes.count) == bytes.count else { throw SystemError("write \(value) to", path) }
    }

    /// Reads a setting of the namespace that the calling thread is in; nil when this kernel has none of that name.
    public static func setting(_ name: String) throws(SystemError) -> String? {
        guard let bytes = try DurableFile.read("/proc/sys/net/" + name, bytesMax: 4096) else { return nil }
        return bytes[...].text.split(separator: "\n").first.map(String.init) ?? ""
    }
}
