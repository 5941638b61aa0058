import Logging
import RoostFailover
import RoostLinux
import RoostModel
import Synchronization

/// A slot of a leader, and how much of the log it holds back.
struct HeldSlot: Hashable, Sendable {
    var name: String
    /// Somebody reads from it at this moment: a standby that streams or catches up.
    var isServed: Bool
    var held: ByteCount
}

/// Which slots a leader gives up so that its volume does not fill. The log is held for everybody as long as there is
/// room: a standby whose slot is gone needs a new copy of everything.
enum SlotShedding {
    /// - Parameters:
    ///   - members: the names of the members' slots; all others are users'.
    ///   - confirmations: how many standbys must confirm a commit.
    /// - Returns: names, none while there is more room than the reserve. Never the slots of the last standbys that can
    ///   confirm: without them nothing could be committed either, and all that was confirmed would lie on one volume.
    static func victims(
        _ slots: [HeldSlot], members: [String], confirmations: Int, free: ByteCount, reserve: ByteCount
    ) -> [String] {
        guard free.bytes < reserve.bytes else { return [] }
        let own = slots.filter { members.contains($0.name) }
        let served = own.filter(\.isServed).sorted { $0.held.bytes < $1.held.bytes }
        let isEnough = served.count >= confirmations
        let kept = isEnough ? Array(served.prefix(confirmations)) : own
        // What holds back no more than these gives nothing back.
        let floor = kept.map(\.held.bytes).max() ?? 0
        return slots.filter { slot in !kept.contains(slot) && slot.held.bytes > floor }.map(\.name)
    }
}

extension PostgresInstance {
    /// Of a leader, every second or so: gives slots up when the volume is nearly full, and makes those of members anew
    /// when there is room again.
    ///
    /// - Returns: the slots that were given up.
    @discardableResult
    public func tendSlots() async throws -> [String] {
        guard isRunning, case .leader(let epoch, let standbys, let confirmations)? = role else { return [] }
        let space = try layout.space()
        let free = ByteCount(bytes: max(space.size.bytes - space.used.bytes, 0))
        let reserve = PostgresSettings.reserve(of: space.size)
        let members = standbys.map { StreamName(member: $0, epoch: epoch).slot }
        guard free.bytes < reserve.bytes * 2 else {
            try await remakeSlots(members, epoch, standbys)
            return []
        }
        let victims = SlotShedding.victims(
            try await heldSlots(), members: members, confirmations: confirmations, free: free, reserve: reserve)
        for name in victims {
            logger.warning("the volume is nearly full: a slot is given up", metadata: ["slot": "\(name)"])
            try await drop(slot: name)
        }
        // Only a checkpoint removes the log that nobody needs any more.
        if !victims.isEmpty { try await checkpoint(within: .seconds(300)) }
        return victims
    }

    private var role: PostgresSettings.Role? { written.withLock { $0.settings?.role } }

    private func remakeSlots(_ members: [String], _ epoch: Epoch, _ standbys: [MemberName]) async throws {
        let rows = try await control.query(
            "SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'physical' AND wal_status <> 'lost'",
            within: Self.controlDeadline)
        let there = Set(rows.compactMap { $0[0] })
        if !members.allSatisfy({ there.contains($0) }) { try await keepSlots(of: epoch, for: standbys) }
    }

    private func heldSlots() async throws -> [HeldSlot] {
        let rows = try await control.query(
            """
            SELECT s.slot_name, r.state IN ('streaming', 'catchup'),
              greatest(pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn), 0)::bigint
            FROM pg_replication_slots s LEFT JOIN pg_stat_replication r ON r.pid = s.active_pid
            WHERE s.restart_lsn IS NOT NULL
            """, within: Self.controlDeadline)
        return rows.compactMap { row in
            guard let name = row[0], let held = row[2].flatMap({ Int64($0) }) else { return nil }
            return HeldSlot(name: name, isServed: row[1] == "t", held: ByteCount(bytes: held))
        }
    }

    private func drop(slot name: String) async throws {
        let quoted = ClusterRoles.literal(name)
        try await control.query(
            "SELECT pg_terminate_backend(active_pid, 2000) FROM pg_replication_slots WHERE slot_name = \(quoted) "
                + "AND active_pid IS NOT NULL", within: Self.controlDeadline)
        try await control.query("SELECT pg_drop_replication_slot(\(quoted))", within: Self.controlDeadline)
    }
}
