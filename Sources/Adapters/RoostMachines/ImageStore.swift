public import RoostModel

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

/// Images of this host, unpacked once each and shared by all its machines.
public protocol ImageStore: Sendable {
    /// Fetches and unpacks unless it is already there. Safe for several callers and several processes at once.
    func ensure(_ image: ImageReference) async throws(RuntimeError) -> UnpackedImage
}

public struct UnpackedImage: Hashable, Sendable {
    /// `sha256:…` of the manifest (for a directory: of what names it).
    public var digest: String
    /// Read-only root filesystem, the lower layer of every machine of this image.
    public var rootPath: String
    public var entrypoint: [String]
    public var command: [String]
    public var environment: [String]
    public var workingDirectory: String
    public var user: String
    public var stopSignal: String?

    public init(
        digest: String, rootPath: String, entrypoint: [String], command: [String], environment: [String],
        workingDirectory: String, user: String, stopSignal: String?
    ) {
        self.digest = digest
        self.rootPath = rootPath
        self.entrypoint = entrypoint
        self.command = command
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.user = user
        self.stopSignal = stopSignal
    }
}
