public import RoostModel

/// Images of this host, unpacked once each and shared by all its machines.
public protocol ImageStore: Sendable {
    /// Refuses an image that this host would never run, wherever it comes from.
    func check(_ image: ImageReference) async throws(RuntimeError)

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
