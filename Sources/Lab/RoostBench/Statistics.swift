/// What many rounds say together.
enum Statistics {
    /// The middle value, of an even number the mean of the two in the middle; nil of nothing.
    static func median(_ values: [Double]) -> Double? {
        let sorted = values.sorted()
        guard !sorted.isEmpty else { return nil }
        return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
    }

    /// The median of the rounds' own ratios. A computer's speed drifts from round to round, for both sides of a round
    /// alike; a ratio of two medians may take them from rounds that have nothing to do with each other.
    static func medianRatio(_ values: [Double], to peers: [Double]) -> Double? {
        median(zip(values, peers).filter { $1 > 0 }.map { $0 / $1 })
    }

    /// Who goes first, second … in a round: everybody has every place equally often.
    static func order(of count: Int, inRound round: Int) -> [Int] {
        (0..<count).map { ($0 + round) % count }
    }
}
