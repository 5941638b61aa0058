import Logging
import RoostFailover
import RoostLinux
import RoostModel
import RoostReaders
import RoostWire
import Synchronization

// A reader has its Postgres follow a standby, and may be told of another one at any time; a standby feeds the readers that say
// that they follow it.
extension Operations {
    /// As `upstream`. A reader that knows nobody to follow runs all the same, and follows when it does.
    func upstreamToFollow(
        _ leader: MemberName, _ epoch: Epoch, _ view: ClusterView
    ) throws -> PostgresSettings.Upstream? {
        if view.isReader, state.withLock({ $0.seat?.member == nil }) { return nil }
        return try upstream(leader, epoch, view)
    }

    /// For what could not be told to Postgres.
    private static let seatPause = Duration.seconds(1)

    /// Of a reader: whom it is to follow from now on. Said after each event, by the thread that starts operations.
    func sit(at seat: ReaderSeat) {
        let former = state.withLock { state -> (task: Task<Void, Never>?, epoch: Epoch)? in
            state.seat = seat
            // An operation that has yet to end looks whom to follow when it comes to it; or follows nobody.
            guard state.running == nil, let epoch = state.follows, state.led != seat else { return nil }
            (state.led, state.seated) = (seat, nil)
            return (state.task, epoch)
        }
        guard let former else { return }
        logger.info("follows another one", metadata: ["upstream": "\(seat.member?.text ?? "nobody")"])
        // As an operation's: the next one ends it first.
        let task = Task {
            await self.giveUp(former.task)
            guard !Task.isCancelled else { return }
            await self.follow(seat, former.epoch)
        }
        state.withLock { state in
            if state.running == nil { state.task = task }
        }
    }

    private func follow(_ seat: ReaderSeat, _ epoch: Epoch) async {
        do {
            let source = try seat.member.map { try upstream($0, epoch, known.view) }
            try await configure(.standby(upstream: source))
            try instance.reloadIfChanged()
            state.withLock { state in
                state.follower = FollowerDoubt()
                state.follower.upstream = source
                // It may be for another one already.
                if state.led == seat, source?.leader == seat.member { state.seated = seat }
            }
        } catch {
            logger.warning("the reader was not led to its upstream", metadata: ["why": "\(error)"])
            try? await Task.sleep(for: Self.seatPause)
            state.withLock { $0.led = nil }
        }
    }

    /// One that gets nothing itself shows nothing new, and passes nothing on.
    static let feedingMax = Duration.seconds(10)

    /// Of a standby, every second: who says that it follows this one, and has a place, has its way in and its slot; all others
    /// have none.
    func tendReaders() async throws {
        let view = known.view
        let now = BootClock.now()
        let epoch = state.withLock { state -> Epoch? in
            guard state.running == nil, now - state.streamedAt < Self.feedingMax else { return nil }
            return state.follows
        }
        var chosen: [MemberName] = []
        if let epoch, !view.isReader {
            let calls = FedReaders.calls(for: view.member, in: epoch, view.spec, view.reports)
            let active = calls.isEmpty ? [] : try await instance.activeSlots()
            let streaming = calls.map(\.member).filter { active.contains(StreamName(member: $0, epoch: epoch).slot) }
            chosen = state.withLock { $0.readers.choose(calls, streaming: Set(streaming), now) }
        }
        let addresses = view.placements.filter { chosen.contains($0.member) }.map(\.address)
        fed.withLock { $0 = addresses }
        let ofMembers = view.ofMembers.map(\.address)
        try await instance.admit(fed: addresses, members: ofMembers)
        // A reload ends no session.
        try await instance.endSessions(butOf: ofMembers, fed: addresses)
        try await instance.keepReaderSlots(
            chosen.map { StreamName(member: $0, epoch: epoch ?? .none).slot }, among: members)
    }

    func noteFollowing(_ source: PostgresSettings.Upstream?, _ epoch: Epoch) {
        state.withLock { state in
            (state.follower.upstream, state.follows, state.streamedAt) = (source, epoch, BootClock.now())
            // It was led as of the seat of some moment ago, or has to be led as of another one.
            let seat = state.seat.flatMap { $0.member == source?.leader ? $0 : nil }
            (state.led, state.seated) = (seat, seat)
        }
    }

    /// Of a leader, before it may let anybody in: the slots of its standbys, and the fence of readers. What it writes now nobody
    /// has confirmed, and nobody may get it, or confirm it, on a stream of before. Where that cannot be proven it does not lead.
    /// Whether there are readers now says nothing: one that was taken off may stream yet.
    func takeSlots(of epoch: Epoch, for standbys: [MemberName], within limit: Duration) async throws {
        await keepSlots(of: epoch, for: standbys)
        try await instance.endStreams(
            butBySlots: standbys.map { StreamName(member: $0, epoch: epoch).slot }, among: members,
            butFrom: known.view.ofMembers.map(\.address), within: min(limit, Self.fenceMax))
    }

    private static let fenceMax = Duration.seconds(10)

    /// Behind the fence nobody is fed, and who was holds places that others may need soon. Nobody waits for it.
    func dismissReaders() {
        let fed = fed.withLock { fed in
            defer { fed = [] }
            return fed
        }
        guard !fed.isEmpty || known.view.spec.readers != nil, instance.isRunning else { return }
        let (members, addresses) = (members, known.view.ofMembers.map(\.address))
        Task {
            do {
                try await self.instance.endSessions(butOf: addresses)
                try await self.instance.dropSlots(among: members)
            } catch {
                self.logger.debug("readers were not sent away", metadata: ["why": "\(error)"])
            }
        }
    }
}
