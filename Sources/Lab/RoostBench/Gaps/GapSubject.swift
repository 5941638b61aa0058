import RoostDemo
import RoostLab

/// A cluster over three regions whose writes are measured while its primary is broken.
protocol GapSubject: Sendable {
    var name: String { get }
    var rows: NumberedRows { get }

    /// What a client connects to.
    func writeURL() async throws -> String

    /// Returns when nothing is wrong with it any more.
    ///
    /// - Returns: the primary's host.
    func whole() async throws -> LabHost

    /// Where its clients find a primary now, as those outside that region see it.
    func primary(seenFromOutside region: String) async throws -> LabHost?

    /// Kills the primary's Postgres, and nothing else.
    func crash(on host: LabHost) async throws

    /// Asks that another member become primary.
    func switchOver() async throws

    /// A host that had lost its power has booted.
    func hostIsBack(_ host: LabHost) async throws

    /// What members have written of the steps by which they came to lead; nil where they do not.
    func stepLog() async -> String?
}
