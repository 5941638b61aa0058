import RoostModel

/// Which packets are lost: decided by a seed, so that a lab can be run again.
enum Loss {
    /// What ``happens(_:using:)`` takes for a share of all packets: so many of 2^32.
    static func threshold(percent: Double) -> UInt64 {
        UInt64((min(max(percent, 0), 100) / 100 * 4_294_967_296).rounded())
    }

    static func happens(_ threshold: UInt64, using generator: inout SplitMix64) -> Bool {
        threshold > 0 && generator.next() >> 32 < threshold
    }
}
