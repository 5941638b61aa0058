import RoostLinux
import RoostModel

/// HAProxy on an edge's host, passing the bytes of a port of the host's own address on to one machine.
struct HAProxy: Sendable {
    private let site: BenchSite
    private let processFile: String

    /// Nobody else's: neither Roost's nor that of anything else in a lab.
    static let port: UInt16 = 15432

    private init(_ site: BenchSite) {
        self.site = site
        processFile = site.folder + "/haproxy.pid"
    }

    /// Returns when it listens.
    static func start(on site: BenchSite, address: IPv4Address, to target: IPv6Address) async throws -> HAProxy {
        let proxy = HAProxy(site)
        let file = site.folder + "/haproxy.cfg"
        try DurableFile.makeFolder(site.folder)
        try DurableFile.write(
            """
            global
                maxconn 4096
            defaults
                mode tcp
                option splice-auto
                timeout connect 5s
                timeout client 1h
                timeout server 1h
            listen postgres
                bind \(address):\(port)
                server primary [\(target)]:5432

            """, to: file, mode: 0o644)
        try await site.run(["haproxy", "-D", "-p", proxy.processFile, "-f", file])
        return proxy
    }

    /// Also when the bench was cancelled: it must not go on beside what is measured next.
    func stop() async throws {
        guard let bytes = try DurableFile.read(processFile) else { return }
        let processes = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace).map(String.init)
        let site = site
        _ = try await Task { try await site.run(["kill"] + processes) }.value
    }
}
