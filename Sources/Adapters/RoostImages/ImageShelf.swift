import RoostModel
import RoostRuntime

/// The images that nothing uses, and which of them goes next. Pure.
struct ImageShelf {
    struct Image: Hashable {
        var hex: String
        /// Milliseconds of the wall clock.
        var lastUse: Int64
    }

    /// Those whose last use is longest ago come first.
    private var images: [Image]

    init(_ images: [Image], inUse: Set<String>) {
        self.images = images.filter { !inUse.contains("sha256:" + $0.hex) }
            .sorted { ($0.lastUse, $0.hex) < ($1.lastUse, $1.hex) }
    }

    /// Takes the next that is to go off the shelf; nil: all others stay.
    mutating func takeNext(by retention: ImageRetention, free: ByteCount, now: Int64) -> Image? {
        guard let first = images.first else { return nil }
        let age = Duration.milliseconds(now - first.lastUse)
        let time = free < retention.freeWanted ? min(retention.time, ImageRetention.timeMin) : retention.time
        guard age >= time else { return nil }
        return images.removeFirst()
    }
}
