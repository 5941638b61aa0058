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
        guard let attempts = spec.attempts, let change, change.isAutomatic == true, let refusal = change.refusal else {
            return nil
        }
        var term = Duration.zero
        if case .after(let own) = spec.replaceAfter ?? .standard { term = own }
        if let age, age >= memory(of: term) { return nil }
        let wasNeeded = !change.left.contains { $0.kind == .remove && refusal == words(forReturnOf: $0.member) }
        let count = attempts.count - (wasNeeded ? 0 : 1)
        return count > 0 ? ReplacementAttempts(count: count, avoided: attempts.avoided) : nil
    }

    /// Why one that was not needed is taken back: as it is written into the rule, and read there again.
    static func words(forReturnOf member: MemberName) -> String { "\(member) is back" }
}
