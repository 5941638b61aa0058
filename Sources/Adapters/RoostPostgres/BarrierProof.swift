import RoostModel

/// What is known of the processes of a Postgres that may still go by what counted before a barrier was written.
///
/// A process reads the configuration at its own time, and may stand still with what it has read before it goes by that. One
/// that was seen to wait for something, after the barrier was written, was not about to: whatever it reads later has the
/// barrier. What it goes by *after* that moment counts.
struct BarrierProof: Hashable, Sendable {
    /// One of them, at a moment.
    struct Process: Hashable, Sendable {
        /// Its number, and when it began: numbers come again.
        var id: String
        var pid: Int
        /// It waits for its client, for the disk or for something to do: it does not read a configuration.
        var isAtRest: Bool
        /// Its standby's answers count for commits. Nil: it has none yet, and Postgres does not show it.
        var counts: Bool?
        /// It streams nothing yet, or no more: it reads a configuration with its client's next command, and whether it counts
        /// comes from what it has read then (PostgresMain, StartReplication).
        var isAtStart = false

        var countsNot: Bool { counts == false || isAtStart }
    }

    /// Those that were there when it was first looked, and have not shown yet that they go by the barrier; nil: nobody has
    /// looked. Who comes later reads before it sends anything.
    private(set) var doubted: [Process]?
    private var rested: Set<String> = []

    var isWhole: Bool { doubted?.isEmpty == true }

    mutating func note(_ present: [Process]) {
        let former = doubted ?? present
        doubted = present.filter { process in
            former.contains { $0.id == process.id } && !(rested.contains(process.id) && process.countsNot)
        }
        rested.formUnion(present.filter(\.isAtRest).map(\.id))
    }
}
