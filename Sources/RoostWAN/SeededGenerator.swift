/// SplitMix64 (Steele, Lea and Flood, 2014): small, quick, and the same numbers for the same seed.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ word >> 30) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ word >> 27) &* 0x94d0_49bb_1331_11eb
        return word ^ word >> 31
    }

    /// True in `threshold` of 2^32 cases.
    mutating func happens(_ threshold: UInt64) -> Bool { threshold > 0 && next() >> 32 < threshold }

    static func threshold(percent: Double) -> UInt64 {
        UInt64((min(max(percent, 0), 100) / 100 * 4_294_967_296).rounded())
    }
}
