import Glibc
import RoostImages
import RoostLinux
import Synchronization

/// A registry on the loopback that serves one OCI layout: as much of the distribution specification
/// (https://github.com/opencontainers/distribution-spec) as a pull needs.
final class SmallRegistry: Sendable {
    private let socket: Int32
    private let served = Mutex<[String]>([])
    let port: UInt16

    init(layout: String, manifests: [String: String]) throws {
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let socket = socket
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(socket, address, length) == 0 && listen(socket, 16) == 0
                    && getsockname(socket, address, &length) == 0
            }
        }
        guard bound else { throw SystemError("listen on", "127.0.0.1") }
        port = UInt16(bigEndian: address.sin_port)
        let answer = Answer(layout: layout, manifests: manifests)
        Thread.start {
            while true {
                let client = accept(socket, nil, nil)
                guard client >= 0 else { return }
                if let path = answer.serve(client) { self.served.withLock { $0.append(path) } }
                close(client)
            }
        }
    }

    /// How often a layer or a config was fetched.
    var blobsServed: Int { served.withLock { $0.filter { $0.contains("/blobs/") }.count } }

    func stop() {
        shutdown(socket, Int32(SHUT_RDWR))
        close(socket)
    }

    private enum Thread {
        static func start(_ body: @escaping @Sendable () -> Void) {
            final class Job: Sendable {
                let body: @Sendable () -> Void
                init(_ body: @escaping @Sendable () -> Void) { self.body = body }
            }
            var thread = pthread_t()
            let argument = Unmanaged.passRetained(Job(body)).toOpaque()
            pthread_create(
                &thread, nil,
                { argument in
                    if let argument { Unmanaged<Job>.fromOpaque(argument).takeRetainedValue().body() }
                    return nil
                }, argument)
            pthread_detach(thread)
        }
    }

    private struct Answer: Sendable {
        let layout: String
        /// Tag to digest.
        let manifests: [String: String]

        /// - Returns: the path, if it was there.
        func serve(_ client: Int32) -> String? {
            var bytes = [UInt8](repeating: 0, count: 16384)
            let count = bytes.withUnsafeMutableBytes { read(client, $0.baseAddress, $0.count) }
            guard count > 0 else { return nil }
            let words = String(decoding: bytes[..<count], as: UTF8.self).split(separator: " ", maxSplits: 2)
            guard words.count == 3 else { return nil }
            let parts = words[1].split(separator: "/").map(String.init)
            var status = "404 Not Found"
            var type = "application/json"
            var body: [UInt8] = []
            if parts == ["v2"] {
                status = "200 OK"
            } else if let name = parts.last, let kind = parts.dropLast().last, ["manifests", "blobs"].contains(kind) {
                let digest = manifests[name] ?? name
                if let found = try? DurableFile.read("\(layout)/blobs/sha256/\(digest.dropFirst(7))") {
                    status = "200 OK"
                    body = found
                    type =
                        kind == "manifests" ? "application/vnd.oci.image.manifest.v1+json" : "application/octet-stream"
                }
            }
            let head =
                "HTTP/1.1 \(status)\r\nContent-Type: \(type)\r\nContent-Length: \(body.count)\r\n"
                + "Connection: close\r\n\r\n"
            let all = Array(head.utf8) + (words[0] == "HEAD" ? [] : body)
            var sent = 0
            while sent < all.count {
                let count = all.withUnsafeBytes { buffer in
                    send(client, buffer.baseAddress?.advanced(by: sent), all.count - sent, Int32(MSG_NOSIGNAL))
                }
                guard count > 0 else { return nil }
                sent += count
            }
            return status.hasPrefix("200") && words[0] == "GET" ? String(words[1]) : nil
        }
    }
}
