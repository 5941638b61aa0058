/// Where an image comes from, as people write it:
/// `registry.example/name:tag` (also `docker://…`), `oci:/path/to/layout:tag`, `dir:/path/to/rootfs`.
public struct ImageReference: Hashable, Sendable, CustomStringConvertible {
    /// The three ways to an image.
    public enum Source: Hashable, Sendable {
        /// A registry's `name:tag` or `name@digest`, without `docker://`; as skopeo(1) takes it.
        case registry(String)
        /// A folder of the host with an OCI image layout (image-layout.md of the OCI), and what its index calls the
        /// image.
        case layout(path: String, tag: String)
        /// A folder of the host that is the machine's root itself, used as it is.
        case directory(path: String)
    }

    /// What the text means. Whether a host lets its folders be used is its own affair (`ImageFolders`).
    public let source: Source
    public let description: String
    /// In bytes.
    public static let lengthMax = 512

    /// Takes up to ``lengthMax`` printable ASCII characters without spaces. Folders are absolute; a layout without a
    /// tag means `latest`.
    /// - Throws: ``InvalidValue`` with the three forms.
    public init(_ text: String) throws(InvalidValue) {
        let wrong = InvalidValue(
            kind: "image", value: text,
            rule: "use registry.example/name:tag, oci:/path/to/layout:tag or dir:/path/to/rootfs")
        guard !text.isEmpty, text.utf8.count <= Self.lengthMax, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
            throw wrong
        }
        description = text
        if text.hasPrefix("dir:") {
            let path = String(text.dropFirst(4))
            guard path.hasPrefix("/") else { throw wrong }
            source = .directory(path: path)
        } else if text.hasPrefix("oci:") {
            let rest = text.dropFirst(4)
            guard rest.hasPrefix("/") else { throw wrong }
            let parts = rest.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            source = .layout(path: String(parts[0]), tag: parts.count == 2 ? String(parts[1]) : "latest")
        } else {
            let name = text.hasPrefix("docker://") ? String(text.dropFirst(9)) : text
            guard !name.isEmpty, !name.hasPrefix("/"), !name.hasPrefix("-"), !name.contains("://") else { throw wrong }
            source = .registry(name)
        }
    }
}
