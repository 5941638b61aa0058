public import RoostModel

/// What one image, and all work on images at once, may take of the host.
public struct ImageLimits: Sendable, Hashable {
    /// The layers together, packed, as the manifest says.
    public var layersMax = ByteCount.gibibytes(16)
    public var layerCountMax = 512
    /// The files together, unpacked.
    public var unpackedMax = ByteCount.gibibytes(64)
    public var filesMax = 2_000_000
    /// Left free on the disk of the images: the ledger and others write there too. Work on an image ends when less is.
    public var diskReserve = ByteCount.gibibytes(1)
    /// Images that are fetched or unpacked at the same time on this computer.
    public var worksMax = 3

    /// How often the disk is looked at while an image is fetched or unpacked.
    static let lookInterval = Duration.milliseconds(250)

    public init() {}

    /// - Parameter reserve: with less than that free on a host's disk machines end for what they have written. An image
    ///   ends earlier, by as much again: what is being unpacked grows on until somebody looks and while it is stopped, and
    ///   stays until it is removed, and none of that may cost a machine that has nothing to do with it.
    public init(above reserve: ByteCount) { diskReserve = reserve + reserve }
}
