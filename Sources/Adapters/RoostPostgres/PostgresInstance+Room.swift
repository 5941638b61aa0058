import Logging
import RoostFailover
import RoostLinux
import RoostModel
import Synchronization

// What is done while there is still room, so that Postgres never ends for want of it: see RoomKeeping.
extension PostgresInstance {
    /// What is known of the room on the volume.
    struct RoomState: Sendable {
        var keeping = RoomKeeping()
        /// Since when clients only read.
        var fullSince: Moment?
    }

    /// A transaction that has written and is younger is left to end by itself.
    private static let writersPatience = Duration.milliseconds(300)
    /// Within this time every session has heard that it is to read only.
    private static let reloadPatience = Duration.milliseconds(500)

    private var ballast: Ballast { Ballast(path: layout.outside(layout.ballastFile)) }

    /// For people; nil while there is room.
    var lackOfRoomWords: String? {
        room.withLock { $0.keeping.isFull }
            ? "little room on the volume: transactions are read-only unless they ask for READ WRITE, to make room" : nil
    }

    /// Called again and again, whatever Postgres does.
    func tendRoom() async throws {
        let change = try await BlockingCall.run { () throws(PostgresError) in try self.lookAtRoom() }
        if let isFull = change {
            logger.warning("\(isFull ? "clients only read: the volume is nearly full" : "clients write again")")
        }
        let since = room.withLock { $0.fullSince }
        if let since, isLeader, isRunning { try await endWriters(since: since) }
    }

    /// - Returns: whether the volume is full now, if that is news.
    private func lookAtRoom() throws(PostgresError) -> Bool? {
        guard let sample = VolumeRoom(ofVolume: layout.outside(layout.volume)) else { return nil }
        let state = ballast.state
        let (order, news) = room.withLock { room in
            let before = room.keeping.isFull
            let order = room.keeping.look(sample, state)
            let isFull = room.keeping.isFull
            if isFull != before { room.fullSince = isFull ? BootClock.now() : nil }
            return (order, isFull == before ? nil : isFull)
        }
        do {
            if try applyRoom(), isRunning { try reload() }
            if let order { try ballast.carryOut(order) }
        } catch {
            throw PostgresError("keep room on the volume", error)
        }
        return news
    }

    /// The configuration is as it was written last but for this.
    private func applyRoom() throws(SystemError) -> Bool {
        try written.withLock { written throws(SystemError) in
            let isFull = room.withLock { $0.keeping.isFull }
            guard var settings = written.settings, settings.isReadOnly != isFull else { return false }
            settings.isReadOnly = isFull
            try layout.write(settings.configuration(layout), to: layout.configFile)
            written.texts = []
            written.settings = settings
            written.isUntold = true
            return true
        }
    }

    /// Ends what was writing when clients were told to read: what began later has asked for it. Never cancels: a commit
    /// that waits for a standby and is cancelled is told to its client as done, where the image has no guard. One that waits
    /// already is left alone, as it writes no more.
    private func endWriters(since: Moment) async throws {
        let age = max(BootClock.now() - since - Self.reloadPatience, Self.writersPatience)
        let rows = try await control.query(
            """
            SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE backend_type = 'client backend' AND backend_xid IS NOT NULL AND usename <> '\(PostgresSettings.supervisor)'
              AND wait_event IS DISTINCT FROM 'SyncRep'
              AND xact_start < clock_timestamp() - interval '\(age.milliseconds) milliseconds'
            """, within: Self.controlDeadline)
        guard !rows.isEmpty else { return }
        logger.warning("the volume is nearly full: long writers are ended", metadata: ["count": "\(rows.count)"])
    }

    /// There is less than the reserve.
    var isShortOfRoom: Bool {
        VolumeRoom(ofVolume: layout.outside(layout.volume)).map { RoomKeeping.isShort($0) } ?? false
    }

    /// The end of the log of a Postgres that does not start for want of room, flushed. Nil: it has room, it runs, or there
    /// is log of which only recovery can say whether it counts.
    func endWithoutRoom(within deadline: Duration) async -> LogEnd? {
        guard !isRunning, isShortOfRoom, let found = try? await endOfStoppedLog(within: deadline),
            (try? hasLeftovers(above: found.timeline)) == false
        else { return nil }
        let folder = layout.outside(layout.data + "/pg_wal")
        let isFlushed: Void? = try? await BlockingCall.run { () throws(SystemError) in try LogFiles(folder).flush() }
        return isFlushed.map { found }
    }

    /// Before Postgres starts: without any room it could not even recover.
    func makeRoomToStart() async throws(SystemError) {
        let (volume, ballast) = (layout.outside(layout.volume), ballast)
        try await BlockingCall.run { () throws(SystemError) in
            guard let sample = VolumeRoom(ofVolume: volume), ballast.state == .held,
                sample.free < RoomKeeping.reserve(of: sample.size)
            else { return }
            try ballast.carryOut(.give)
        }
    }
}
