import RoostFailover
import RoostLinux
import RoostModel

/// Which slots of a Postgres are the cluster's: those that bear the name of a stream of a member, by any number that a member
/// has ever had or may have, and by any epoch. Who the members were is not known here, so these names are not users' (see
/// docs/postgres.md). All others are.
struct ClusterSlots: Hashable, Sendable {
    var members: [MemberName]

    func contains(_ slot: String) -> Bool {
        guard let mark = slot.lastIndex(of: "e"), let epoch = UInt64(slot[slot.index(after: mark)...]) else {
            return false
        }
        if members.contains(where: { StreamName(member: $0, epoch: Epoch(epoch)).slot == slot }) { return true }
        return members.contains { member in
            guard let dash = member.text.lastIndex(of: "-"), Int(member.text[dash...].dropFirst()) != nil else {
                return false
            }
            let beginning = member.text[..<dash].map { $0 == "-" ? "_" : String($0) }.joined() + "_"
            guard slot.hasPrefix(beginning), slot.hasSuffix("_e\(epoch)") else { return false }
            return Int(slot.dropFirst(beginning.count).dropLast("_e\(epoch)".count)) != nil
        }
    }
}

extension PostgresInstance {
    /// Makes the slots of this primary those of the streams of `epoch`, which keep the log from now on, and drops
    /// those of other epochs. Users' slots are left alone.
    ///
    /// - Parameters:
    ///   - members: of the cluster; slots that bear other names are users'.
    ///   - isWanted: from when it is not, nothing is changed any more.
    /// - Throws: when one of them is not as it should be. The others are; or, where nobody waits for it any more, may be.
    func keepSlots(
        of epoch: Epoch, for standbys: [MemberName], among members: [MemberName], until end: Moment? = nil,
        while isWanted: @escaping @Sendable () -> Bool = { true }
    ) async throws {
        let wanted = standbys.map { StreamName(member: $0, epoch: epoch).slot }
        let slots = ClusterSlots(members: members)
        let rows = try await control.query(
            "SELECT slot_name, wal_status FROM pg_replication_slots WHERE slot_type = 'physical'",
            within: Self.left(until: end))
        var there: Set<String> = []
        var failure: DatabaseError?
        for row in rows {
            guard let name = row[0], slots.contains(name) else { continue }
            if wanted.contains(name), row[1] != "lost" {
                there.insert(name)
                continue
            }
            try Task.checkCancellation()
            do throws(DatabaseError) { try await drop(slot: name, until: end, while: isWanted) } catch {
                failure = error
            }
        }
        for name in wanted where !there.contains(name) {
            try Task.checkCancellation()
            do throws(DatabaseError) { try await make(slot: name, keepsLog: true, until: end, while: isWanted) } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }

    /// For one statement.
    private static func left(until end: Moment?) -> Duration {
        guard let end else { return controlDeadline }
        return min(max(end - BootClock.now(), .milliseconds(1)), controlDeadline)
    }

    /// Of a standby: drops what is left of a reign of its own. Such slots hold log here, and dead rows at its leader, for
    /// nobody. One that has been promoted meanwhile keeps its slots, which are of its new reign then.
    func dropSlots(among members: [MemberName]) async throws {
        let slots = ClusterSlots(members: members)
        let rows = try await control.query(
            "SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'physical' AND pg_is_in_recovery()",
            within: Self.controlDeadline)
        for name in rows.compactMap({ $0[0] }) where slots.contains(name) {
            try Task.checkCancellation()
            try await drop(slot: name)
        }
    }

    /// - Parameter keepsLog: from now on; otherwise from when its member first says how far it is.
    func make(
        slot name: String, keepsLog: Bool, until end: Moment? = nil,
        while isWanted: @escaping @Sendable () -> Bool = { true }
    ) async throws(DatabaseError) {
        _ = try await control.query(
            "SELECT pg_create_physical_replication_slot(\(ClusterRoles.literal(name)), \(keepsLog))",
            within: Self.left(until: end), while: isWanted)
    }

    func drop(
        slot name: String, until end: Moment? = nil, while isWanted: @escaping @Sendable () -> Bool = { true }
    ) async throws(DatabaseError) {
        let quoted = ClusterRoles.literal(name)
        // Somebody of an earlier epoch may hold it: a supervisor that is frozen, and its Postgres is not.
        _ = try await control.query(
            "SELECT pg_terminate_backend(active_pid, 2000) FROM pg_replication_slots WHERE slot_name = \(quoted) "
                + "AND active_pid IS NOT NULL", within: Self.left(until: end), while: isWanted)
        _ = try await control.query(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = \(quoted)",
            within: Self.left(until: end), while: isWanted)
    }
}
