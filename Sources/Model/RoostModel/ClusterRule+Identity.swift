extension ClusterRule {
    /// The highest of Postgres's timelines that a rule may name. Each leader begins one, so no cluster gets there.
    public static let timelineMax: UInt32 = 1 << 31

    /// Equal also in what this version does not know, which takes no part in `==`.
    public func isIdentical(to other: Self) -> Bool {
        self == other && zip(unknowns, other.unknowns).allSatisfy { $0.isIdentical(to: $1) }
    }

    /// In an order that follows from the rest: rules that are equal have as many.
    private var unknowns: [UnknownFields] {
        let steps = (change?.left ?? []) + (change?.done ?? [])
        let parts = [
            recruitment?.unknown, switchover?.unknown, pause?.unknown, restart?.unknown, restart?.term.unknown,
            change?.unknown, forced?.unknown,
        ]
        return [unknown] + parts.compactMap(\.self) + (history + (forced?.lost ?? [])).map(\.unknown)
            + steps.map(\.unknown)
    }
}
