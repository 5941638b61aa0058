import Logging
import RoostFailover
import RoostLinux
import RoostModel
import RoostWire
import Synchronization

// A reader has its Postgres follow a standby, and may be told of another one at any time; a standby feeds the readers that say
// that they follow it.
extension Operations {
    /// As `upstream`. A reader that knows nobody to follow runs all the same, and follows when it does.
    func upstreamToFollow(
        _ leader: MemberName, _ epoch: Epoch, _ view: ClusterView
    ) throws -> PostgresSettings.Upstream? {
        if view.isReader, state.withLock({ $0.seat == nil }) { return nil }
        return try upstream(leader, epoch, view)
    }

    /// For what could not be told to Postgres.
    private static let seatPause = Duration.seconds(1)

    /// Of a reader: whom it is to follow from now on. Said after each event, by the thread that starts operations.
    func sit(at seat: MemberName?) {
        let former = state.withLock { state -> (task: Task<Void, Never>?, epoch: Epoch)? in
            state.seat = seat
            // An operation that has yet to end looks whom to follow when it comes to it; or follows nobody.
            guard state.running == nil, let epoch = state.follows, state.led != seat else { return nil }
            state.led = seat
            return (state.task, epoch)
        }
        guard let former else { return }
        logger.info("follows another one", metadata: ["upstream": "\(seat?.text ?? "nobody")"])
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

    private func follow(_ seat: MemberName?, _ epoch: Epoch) async {
        do {
            let source = try seat.map { try upstream($0, epoch, known.view) }
            try await configure(.standby(upstream: source))
            try instance.reloadIfChanged()
            state.withLock { state in
                state.follower = FollowerDoubt()
                state.follower.upstream = source
            }
        } catch {
            logger.warning("the reader was not led to its upstream", metadata: ["why": "\(error)"])
            try? await Task.sleep(for: Self.seatPause)
            state.withLock { $0.led = nil }
        }
    }

    /// Of a standby, every second: who says that it follows this one has its place and its slot; all others have none.
    func tendReaders() async throws {
        let readers = known.view.readersHere
        guard let epoch = state.withLock({ $0.running == nil ? $0.follows : nil }) else {
            return try await instance.dropSlots(among: members)
        }
        try await instance.admit(readers: readers.map(\.address))
        try await instance.keepReaderSlots(
            readers.map { StreamName(member: $0.member, epoch: epoch).slot }, among: members)
    }

    /// Behind the fence nobody is fed, and who was holds places that others may need soon. Nobody waits for it.
    func dismissReaders() {
        guard known.view.spec.readers != nil, instance.isRunning else { return }
        let members = members
        Task {
            do { try await self.instance.dropSlots(among: members) } catch {
                self.logger.debug("readers were not sent away", metadata: ["why": "\(error)"])
            }
        }
    }
}

extension ClusterView {
    var readerNames: [MemberName] { (spec.readers ?? []).map(\.name) }

    /// The places of those that follow the member that asks, in the order in which they came.
    var readersHere: [MemberPlacement] {
        guard !isReader else { return [] }
        let here = readerNames.filter { name in reports.contains { $0.member == name && $0.upstream == member } }
        return here.prefix(ClusterSpec.readersEachMax).compactMap { name in placements.first { $0.member == name } }
    }
}
