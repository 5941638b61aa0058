/// Where an image comes from, as people write it:
/// `registry.example/name:tag` (also `docker://…`), `oci:/path/to/layout:tag`, `dir:/path/to/rootfs`.
public struct ImageReference: Hashable, Sendable, CustomStringConvertible {
    public enum Source: Hashable, Sendable {
        case registry(String)
        case layout(path: String, tag: String)
        case directory(path: String)
    }

    public let source: Source
    public let description: String
    public static let lengthMax = 512

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
