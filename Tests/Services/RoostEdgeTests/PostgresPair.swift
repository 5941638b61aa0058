import Glibc
import RoostLinux
import RoostModel
import RoostPostgresWire
import RoostRouting
import Testing

/// A real primary and a real standby on [::1], and a certificate for the edge's address; all gone with the suite.
///
/// Users: `open` needs no password, `locked` has the SCRAM password "secret".
struct PostgresPair: Sendable {
    let primary: Backend
    let standby: Backend
    let folder: String
    /// The address the certificate is made for.
    let address: IPv4Address
    let tls: TLSIdentity
    var authority: String { "\(folder)/ca.crt" }

    @TaskLocal static var current: PostgresPair?

    static var present: PostgresPair {
        get throws {
            guard let current else { throw EdgeTestFailure("the suite has no PostgresPair") }
            return current
        }
    }

    private static let programs = "/usr/lib/postgresql/15/bin"

    static func make(in folder: String) async throws -> PostgresPair {
        let address = EdgeUnderTest.freshAddress()
        let tls = try await makeCertificate(for: address, in: folder)
        try await Command("chown", ["-R", "postgres", folder]).run()
        let ports = try freePorts(2, AF_INET6)
        let (primary, standby) = ("\(folder)/primary", "\(folder)/standby")
        try await postgres("initdb", ["-D", primary, "-U", "open", "--auth=trust", "--no-sync"])
        let settings = """
            listen_addresses = '::1'
            unix_socket_directories = '\(folder)'
            fsync = off
            max_connections = 50
            password_encryption = 'scram-sha-256'
            logging_collector = off

            """
        try append(settings, to: "\(primary)/postgresql.conf")
        try append("host all locked ::1/128 scram-sha-256\n", to: "\(primary)/pg_hba.conf", first: true)
        try await start(primary, port: ports[0], log: "\(folder)/primary.log")
        try await Command(
            "psql",
            [
                "-h", "::1", "-p", "\(ports[0])", "-U", "open", "-d", "postgres", "-c",
                "CREATE USER locked PASSWORD 'secret' SUPERUSER",
            ]
        ).run()
        try await postgres(
            "pg_basebackup",
            ["-D", standby, "-R", "-h", "::1", "-p", "\(ports[0])", "-U", "open", "-c", "fast", "--no-sync"])
        try await start(standby, port: ports[1], log: "\(folder)/standby.log")
        let local = IPv6Address(high: 0, low: 1)
        return PostgresPair(
            primary: Backend(member: try MemberName("a"), address: local, port: UInt16(ports[0])),
            standby: Backend(member: try MemberName("b"), address: local, port: UInt16(ports[1])),
            folder: folder, address: address, tls: tls)
    }

    static func remove(_ folder: String) async {
        for name in ["standby", "primary"] {
            _ = try? await postgres("pg_ctl", ["-D", "\(folder)/\(name)", "-m", "immediate", "-w", "stop"])
        }
        _ = try? await Command("rm", ["-rf", folder]).run()
    }

    private static func start(_ data: String, port: Int, log: String) async throws {
        try await postgres("pg_ctl", ["-D", data, "-l", log, "-o", "-p \(port)", "-w", "start"])
    }

    @discardableResult
    private static func postgres(_ program: String, _ arguments: [String]) async throws -> Command.Output {
        try await Command("runuser", ["-u", "postgres", "--", "\(programs)/\(program)"] + arguments).run()
    }

    private static func append(_ text: String, to path: String, first: Bool = false) throws {
        let old = try DurableFile.read(path) ?? []
        try DurableFile.write(first ? Array(text.utf8) + old : old + Array(text.utf8), to: path, mode: 0o644)
    }

    static func makeCertificate(for address: IPv4Address, in folder: String) async throws -> TLSIdentity {
        let openssl = { (arguments: [String]) in _ = try await Command("openssl", arguments).run() }
        try await openssl(
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-subj", "/CN=test authority", "-keyout", "\(folder)/ca.key", "-out", "\(folder)/ca.crt",
            ])
        try await openssl(
            [
                "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=db",
                "-keyout", "\(folder)/server.key", "-out", "\(folder)/server.csr",
            ])
        try DurableFile.write("subjectAltName=IP:\(address)\n", to: "\(folder)/ext")
        try await openssl(
            [
                "x509", "-req", "-in", "\(folder)/server.csr", "-CA", "\(folder)/ca.crt", "-CAkey", "\(folder)/ca.key",
                "-CAcreateserial", "-days", "2", "-extfile", "\(folder)/ext", "-out", "\(folder)/server.crt",
            ])
        let text = { (name: String) in
            String(decoding: try DurableFile.read("\(folder)/\(name)") ?? [], as: UTF8.self)
        }
        return TLSIdentity(certificateChain: try text("server.crt"), privateKey: try text("server.key"))
    }
}

/// Gives every test of a suite the same pair.
struct WithPostgresPair: SuiteTrait, TestScoping {
    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable @concurrent () async throws -> Void
    ) async throws {
        let folder = "/tmp/roost-edge-test-\(getpid())"
        try DurableFile.makeFolder(folder, mode: 0o755)
        do {
            let pair = try await PostgresPair.make(in: folder)
            try await PostgresPair.$current.withValue(pair) { try await function() }
        } catch {
            await PostgresPair.remove(folder)
            throw error
        }
        await PostgresPair.remove(folder)
    }
}

extension Trait where Self == WithPostgresPair {
    static var postgresPair: Self { WithPostgresPair() }
}
