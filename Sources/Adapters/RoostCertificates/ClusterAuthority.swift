import Glibc
import RoostLinux
public import RoostModel

/// What TLS needs inside one Postgres cluster: its authority's certificate and the one server certificate that its
/// members and the edges in front of them show. All PEM.
public struct ClusterCertificates: Hashable, Sendable {
    public var authorityCertificate: String
    public var serverCertificate: String
    public var serverKey: String
}

/// Makes a certificate authority for one cluster. Its key signs the server certificate and is then thrown away: nobody
/// can sign a second certificate for the cluster, and there is no such key to steal.
public enum ClusterAuthority {
    public static let validity = Duration.seconds(3650 * secondsPerDay)
    /// Certificates begin in the past, so that a client whose clock is slow accepts them.
    public static let skewMax = Duration.seconds(2 * secondsPerDay)

    private static let secondsPerDay: Int64 = 86_400
    /// Keys pass through files, since `openssl` wants them so: in memory, never on a disk. Every Linux has it
    /// (shm_overview(7)).
    private static let memoryFolder = "/dev/shm"
    private static let deadline = Duration.seconds(20)

    /// - Parameters:
    ///   - addresses: the addresses a client may connect to: the anycast address, and members' where they are known.
    /// - Throws: ``CertificateError`` when `openssl` fails or its files cannot be written.
    public static func make(cluster: AppName, address: IPv4Address, members: [IPv6Address] = [], names: [String] = [])
        async throws(CertificateError) -> ClusterCertificates
    {
        var template = Array("\(memoryFolder)/roost-authority-XXXXXX".utf8CString)
        let made = template.withUnsafeMutableBufferPointer { $0.baseAddress.flatMap { mkdtemp($0) } != nil }
        guard made else {
            throw CertificateError(cluster: cluster, cause: "\(SystemError("make folder", memoryFolder))")
        }
        let folder = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        defer {
            for name in files { unlink(folder + "/" + name) }
            removeIssued(in: folder)
            rmdir(folder)
        }
        do {
            let alternatives =
                ["DNS:\(cluster)", "DNS:*.\(cluster).internal"] + names.map { "DNS:\($0)" } + ["IP:\(address)"]
                + members.map { "IP:\($0)" }
            try DurableFile.write(configuration(alternatives: alternatives, folder: folder), to: folder + "/ca.cnf")
            try DurableFile.write("", to: folder + "/index.txt")
            for name in ["authority", "server"] {
                try await openssl([
                    "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out",
                    "\(folder)/\(name).key",
                ])
                let subject = name == "server" ? "/CN=\(cluster)" : "/CN=Roost authority of \(cluster)"
                try await openssl([
                    "req", "-new", "-sha256", "-config", "\(folder)/ca.cnf", "-key", "\(folder)/\(name).key", "-subj",
                    subject, "-out", "\(folder)/\(name).csr",
                ])
            }
            try await sign("authority", in: folder, extra: ["-selfsign"])
            try await sign("server", in: folder, extra: ["-cert", "\(folder)/authority.crt"])
            return ClusterCertificates(
                authorityCertificate: try text(folder + "/authority.crt"),
                serverCertificate: try text(folder + "/server.crt"), serverKey: try text(folder + "/server.key"))
        } catch {
            throw CertificateError(cluster: cluster, cause: "\(error)")
        }
    }

    private static let files = [
        "ca.cnf", "index.txt", "index.txt.old", "index.txt.attr", "index.txt.attr.old", "authority.key",
        "authority.csr",
        "authority.crt", "server.key", "server.csr", "server.crt",
    ]

    /// `openssl ca` leaves a copy of each certificate under its serial number.
    private static func removeIssued(in folder: String) {
        for name in (try? FolderListing.names(in: folder)) ?? [] where name.hasSuffix(".pem") {
            unlink(folder + "/" + name)
        }
    }

    /// By `openssl ca`, because only it can choose the first day (`openssl x509` of 3.0 cannot).
    private static func sign(_ name: String, in folder: String, extra: [String]) async throws {
        let now = Duration.milliseconds(WallClock.milliseconds())
        try await openssl(
            [
                "ca", "-batch", "-notext", "-config", "\(folder)/ca.cnf", "-keyfile", "\(folder)/authority.key", "-md",
                "sha256", "-outdir", folder, "-rand_serial", "-extensions", name, "-in", "\(folder)/\(name).csr",
                "-out", "\(folder)/\(name).crt", "-startdate", stamp(now - skewMax), "-enddate",
                stamp(now + validity),
            ] + extra)
    }

    private static func openssl(_ arguments: [String]) async throws(CommandError) {
        try await Command("openssl", arguments, deadline: deadline).run()
    }

    private static func text(_ path: String) throws(SystemError) -> String {
        guard let bytes = try DurableFile.read(path) else { throw SystemError("read", path, code: ENOENT) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// ASN.1 GeneralizedTime.
    private static func stamp(_ sinceEpoch: Duration) -> String {
        var seconds = time_t(sinceEpoch.components.seconds)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        let fields = [parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec]
        return "\(parts.tm_year + 1900)" + fields.map { ($0 < 10 ? "0" : "") + "\($0)" }.joined() + "Z"
    }

    private static func configuration(alternatives: [String], folder: String) -> String {
        """
        [ca]
        default_ca = cluster
        [cluster]
        database = \(folder)/index.txt
        policy = any
        unique_subject = no
        rand_serial = yes
        copy_extensions = none
        [any]
        commonName = supplied
        [req]
        distinguished_name = name
        prompt = no
        [name]
        commonName = unused
        [authority]
        basicConstraints = critical, CA:TRUE, pathlen:0
        keyUsage = critical, keyCertSign, cRLSign
        subjectKeyIdentifier = hash
        [server]
        basicConstraints = critical, CA:FALSE
        keyUsage = critical, digitalSignature
        extendedKeyUsage = serverAuth
        subjectKeyIdentifier = hash
        authorityKeyIdentifier = keyid
        subjectAltName = \(alternatives.joined(separator: ", "))

        """
    }
}

public struct CertificateError: Error, CustomStringConvertible {
    public let cluster: AppName
    public let cause: String

    public var description: String { "could not make the certificates of cluster \(cluster): \(cause)" }
}
