import FoundationEssentials
import RoostLinux
public import RoostModel
public import RoostWire

/// A cluster's certificate authority as a file: libpq reads it from one, and `sslmode=verify-full` needs it.
public enum AuthorityFile {
    /// `$XDG_CONFIG_HOME/roost/authorities`, else below `~/.config`.
    public static var folderDefault: String {
        let environment = ProcessInfo.processInfo.environment
        func folder(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        return (folder("XDG_CONFIG_HOME") ?? (folder("HOME") ?? "/root") + "/.config") + "/roost/authorities"
    }

    /// Writes the authority to a file of its own, unless it is there, and names the file in the cluster's URLs. The
    /// name follows from the content, so that clusters of one name on two planets do not take each other's place.
    ///
    /// - Returns: the cluster as it was where it has no authority yet.
    public static func trusting(_ cluster: ClusterBody, in folder: String = folderDefault) throws(SystemError)
        -> ClusterBody
    {
        guard !cluster.authorityCertificate.isEmpty else { return cluster }
        let path = location(of: cluster.authorityCertificate, cluster.name, authorityKind, in: folder)
        try write(cluster.authorityCertificate, to: path, in: folder)
        var trusting = cluster
        trusting.writeURL = naming(path, in: cluster.writeURL)
        trusting.readURL = naming(path, in: cluster.readURL)
        return trusting
    }

    /// The authorities that are kept of clusters of this name, of whichever planet.
    public static func kept(of name: AppName, in folder: String = folderDefault) throws(SystemError) -> [String] {
        var authorities: [String] = []
        for file in ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted() {
            guard file.hasPrefix("\(name)-"), file.hasSuffix(".\(authorityKind)"),
                let text = try DurableFile.read("\(folder)/\(file)").map({ String(decoding: $0, as: UTF8.self) }),
                // A name may begin with another's and a hyphen; and of what was cut short nothing is trusted.
                location(of: text, name, authorityKind, in: folder) == "\(folder)/\(file)"
            else { continue }
            authorities.append(text)
        }
        return authorities
    }

    /// Removes what was kept of a cluster that is gone: its authority, and what goes by its name. Of another planet's cluster
    /// of the same name everything stays, and of one whose name begins as this one's files do.
    public static func forget(_ cluster: ClusterBody, in folder: String = folderDefault) throws(SystemError) {
        guard !cluster.authorityCertificate.isEmpty else { return }
        let path = location(of: cluster.authorityCertificate, cluster.name, authorityKind, in: folder)
        // Its name is that of this content; with another content it is another's.
        let present = try DurableFile.read(path).map { String(decoding: $0, as: UTF8.self) }
        if let present, present != cluster.authorityCertificate,
            location(of: present, cluster.name, authorityKind, in: folder) == path
        {
            return
        }
        let stem = stem(of: cluster) + "-"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        for name in names where name.hasPrefix(stem) && isOwn(name.dropFirst(stem.count)) {
            try DurableFile.remove("\(folder)/\(name)")
        }
        try DurableFile.remove(path)
    }

    /// Whether a file's name ends, behind a cluster's stem, as that cluster's own: a digest and a kind. The files of a cluster
    /// that is named as the stem have an authority there, or two digests.
    private static func isOwn(_ end: Substring) -> Bool {
        let parts = end.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 2 && parts[1] != authorityKind && !parts[0].isEmpty && parts[0].allSatisfy(\.isHexDigit)
    }

    private static let authorityKind = "crt"

    private static func location(of text: String, _ cluster: AppName, _ kind: String, in folder: String) -> String {
        "\(folder)/\(cluster)-\(digest(of: text)).\(kind)"
    }

    /// Writes a text of a cluster into a file of its own, unless it is there: named by the cluster's authority, so that it
    /// goes with that, and by the content.
    ///
    /// - Returns: the file's path.
    public static func keep(
        _ text: String, of cluster: ClusterBody, as kind: String, in folder: String = folderDefault
    ) throws(SystemError) -> String {
        let path = "\(folder)/\(stem(of: cluster))-\(digest(of: text)).\(kind)"
        try write(text, to: path, in: folder)
        return path
    }

    /// What the names of all files of a cluster but the authority's begin with.
    private static func stem(of cluster: ClusterBody) -> String {
        "\(cluster.name)-\(digest(of: cluster.authorityCertificate))"
    }

    private static func write(_ text: String, to path: String, in folder: String) throws(SystemError) {
        guard try DurableFile.read(path) != Array(text.utf8) else { return }
        try DurableFile.makeFolder(folder, mode: 0o700)
        try DurableFile.write(text, to: path)
    }

    private static func naming(_ path: String, in url: String) -> String {
        guard url.contains("sslmode=verify-"), !url.contains("sslrootcert=") else { return url }
        return url + "&sslrootcert=" + encoded(path)
    }

    /// Percent-encoded but for what a path is mostly made of (RFC 3986, 2.3).
    private static func encoded(_ path: String) -> String {
        var text = ""
        for byte in path.utf8 {
            let character = Character(UnicodeScalar(byte))
            if byte < 0x80, character.isLetter || character.isNumber || "/-._~".contains(character) {
                text.append(character)
            } else {
                let digits = String(byte, radix: 16, uppercase: true)
                text += "%" + (digits.count < 2 ? "0" : "") + digits
            }
        }
        return text
    }

    /// FNV-1a, 64 bits: tells files apart, and guards nothing (the content is compared).
    private static func digest(of text: String) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return String(hash, radix: 16)
    }
}
