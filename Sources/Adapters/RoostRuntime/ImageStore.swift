public import RoostModel

/// Images of this host, unpacked once each and shared by all its machines.
public protocol ImageStore: Sendable {
    /// Refuses an image that this host would never run, wherever it comes from.
    func check(_ image: ImageReference) async throws(RuntimeError)

    /// Fetches and unpacks unless it is already there, and keeps it while `body` runs: what is to use it longer leaves
    /// evidence of that before `body` ends (see ``collect(_:inUse:)``). Safe for several callers and several processes at
    /// once.
    func withImage<Value: Sendable>(
        _ image: ImageReference, _ body: (UnpackedImage) async throws(RuntimeError) -> Value
    ) async throws(RuntimeError) -> Value

    /// The digest of what the reference last meant on this host, without asking anybody; nil where that is not known, or
    /// is not kept by this store.
    func digest(of image: ImageReference) async throws(RuntimeError) -> String?

    /// What is free on the disk of the images.
    func freeSpace() async throws(RuntimeError) -> ByteCount

    /// Takes away images that nothing uses.
    ///
    /// - Parameter inUse: the digests of all images that are in use. Asked anew for each image, at a time when nobody can
    ///   begin to use it; when it fails, nothing more is removed.
    /// - Returns: the digests of what was removed.
    func collect(
        _ retention: ImageRetention, inUse: @Sendable () async throws(RuntimeError) -> Set<String>
    ) async throws(RuntimeError) -> [String]
}

/// How long images stay that nothing uses.
public struct ImageRetention: Hashable, Sendable {
    /// After its last use.
    public var time: Duration
    /// With less free on their disk they go before their time, those first whose last use is longest ago.
    public var freeWanted: ByteCount
    /// So long after its last use an image stays even then: who used it may be about to do so again.
    public static let timeMin = Duration.seconds(120)

    public init(time: Duration, freeWanted: ByteCount) {
        self.time = time
        self.freeWanted = freeWanted
    }
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
