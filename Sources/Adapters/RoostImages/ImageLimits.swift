public import RoostModel

/// What one image, and all work on images at once, may take of the host.
public struct ImageLimits: Sendable, Hashable {
    /// The layers together, packed, as the manifest says.
    public var layersMax = ByteCount.gibibytes(16)
    public var layerCountMax = 512
    /// The files together, unpacked.
    public var unpackedMax = ByteCount.gibibytes(64)
    public var filesMax = 2_000_000
    /// Left free on the disk of the images: the ledger and others write there too.
    public var diskReserve = ByteCount.gibibytes(1)
    /// Images that are fetched or unpacked at the same time on this computer.
    public var worksMax = 3

    /// How often the disk is looked at while an image is fetched or unpacked.
    static let lookInterval = Duration.milliseconds(250)

    public init() {}
}
