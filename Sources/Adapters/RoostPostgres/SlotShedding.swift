import Logging
import RoostFailover
public import RoostLinux
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

/// Since when the members of a leader are away. The slot of one that does not come back holds dead rows and log for
/// nobody, and both for all members: vacuum does nothing any more, and the volumes fill.
struct SlotAbsence: Hashable, Sendable {
    /// Longer than a machine takes to come back, also on another host; then it makes a copy.
    static let absenceMax = Duration.seconds(600)

    private var since: [String: Moment] = [:]

    /// The slots to be given up now: nobody has been served from them for so long, and as many others are served as must
    /// confirm.
    mutating func overdue(_ slots: [HeldSlot], members: [String], confirmations: Int, _ now: Moment) -> [String] {
        let own = slots.filter { members.contains($0.name) }
        let away = own.filter { !$0.isServed }.map(\.name)
        since = Dictionary(uniqueKeysWithValues: away.map { ($0, since[$0] ?? now) })
        guard own.count(where: \.isServed) >= confirmations else { return [] }
        return away.filter { name in since[name].map { now - $0 >= Self.absenceMax } ?? false }
    }
}

extension PostgresInstance {
    /// Of a leader, every second or so: gives slots up when the volume is nearly full or their members are away for long,
    /// and makes those of members anew when there is room again. Who confirms may change meanwhile: from then on nothing is
    /// done by whose they were, also not what was decided on before.
    ///
    /// - Returns: the slots that were given up.
    @discardableResult
    public func tendSlots(at now: Moment = BootClock.now()) async throws -> [String] {
        guard isRunning, let role, case .leader(let epoch, let standbys, let confirmations, let guests) = role else {
            return []
        }
        let isStill: @Sendable () -> Bool = { self.role == role }
        let members = (standbys + guests).map { StreamName(member: $0, epoch: epoch).slot }
        let held = try await heldSlots()
        let overdue = absence.withLock { $0.overdue(held, members: members, confirmations: confirmations, now) }
        for name in overdue { try await loosen(slot: name, while: isStill) }
        let space = try layout.space()
        let free = ByteCount(bytes: max(space.size.bytes - space.used.bytes, 0))
        let reserve = PostgresSettings.reserve(of: space.size)
        guard free.bytes < reserve.bytes * 2 else {
            try await remakeSlots(members, epoch, standbys + guests, while: isStill)
            return overdue
        }
        let victims = SlotShedding.victims(
            held.filter { !overdue.contains($0.name) }, members: members, confirmations: confirmations, free: free,
            reserve: reserve)
        for name in victims {
            logger.warning("the volume is nearly full: a slot is given up", metadata: ["slot": "\(name)"])
            try await drop(slot: name, while: isStill)
        }
        // Only a checkpoint removes the log that nobody needs any more.
        if !victims.isEmpty { try await checkpoint(within: .seconds(300)) }
        return overdue + victims
    }

    var role: PostgresSettings.Role? { written.withLock { $0.settings?.role } }

    /// A slot must be there for its member to come back to, and to be told that it has to make a copy. This one holds
    /// nothing.
    private func loosen(slot name: String, while isWanted: @escaping @Sendable () -> Bool) async throws {
        logger.warning("a member is away for long: what its slot holds is given up", metadata: ["slot": "\(name)"])
        // Refused while it is used: the member has come back this moment.
        _ = try await control.query(
            "SELECT pg_drop_replication_slot(\(ClusterRoles.literal(name)))", within: Self.controlDeadline,
            while: isWanted)
        try await make(slot: name, keepsLog: false, while: isWanted)
    }

    /// Those that are missing, and those of members that are none any more: whoever was to drop them may have been cut off.
    func remakeSlots(
        _ members: [String], _ epoch: Epoch, _ standbys: [MemberName],
        while isWanted: @escaping @Sendable () -> Bool
    ) async throws {
        let rows = try await control.query(
            "SELECT slot_name FROM pg_replication_slots "
                + "WHERE slot_type = 'physical' AND wal_status IS DISTINCT FROM 'lost'", within: Self.controlDeadline)
        let there = Set(rows.compactMap { $0[0] })
        let slots = ClusterSlots(members: standbys + [member])
        guard
            !members.allSatisfy(there.contains)
                || there.contains(where: { slots.contains($0) && !members.contains($0) })
        else { return }
        try await keepSlots(of: epoch, for: standbys, among: standbys + [member], while: isWanted)
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
}
