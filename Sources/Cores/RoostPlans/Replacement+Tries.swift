public import RoostModel

extension Replacement {
    /// So long a try counts, from when it was asked for: the longest that one lasts, and twice the longest pause after it. A loss
    /// of another week has nothing to do with it.
    public static func memory(of term: Duration) -> Duration { copyMax + max(pauseMax, term) * 2 }

    /// Tries that have come to nothing, one after the other, for whichever members, and where. One that was not needed, for the lost
    /// member was back, is none of them, though it has cost a number.
    ///
    /// - Parameters:
    ///   - change: the last change of members.
    ///   - age: how long ago that was asked for; nil: nobody can say, and it counts.
    /// - Returns: nil: there were none, or none lately.
    public static func fruitless(
        in spec: ClusterSpec, _ change: MemberChange?, age: Duration?
    ) -> ReplacementAttempts? {
        guard let attempts = spec.attempts, let change, change.isAutomatic == true, change.refusal != nil else {
            return nil
        }
        var term = Duration.zero
        if case .after(let own) = spec.replaceAfter ?? .standard { term = own }
        if let age, age >= memory(of: term) { return nil }
        let count = attempts.count - (change.wasNeedless ? 1 : 0)
        return count > 0 ? ReplacementAttempts(count: count, avoided: attempts.avoided) : nil
    }
}
