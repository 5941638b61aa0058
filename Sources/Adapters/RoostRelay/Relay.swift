import Glibc
public import RoostLinux
import RoostModel
import RoostRelayWire

/// The loop of a relay: one thread, many sockets, and the orders of the supervisor. It ends when those end.
public final class Relay {
    /// One is at work, one may begin anew before its end was noticed; the rest is somebody who must not be there.
    static let receiversMax = 4
    /// That have not proven anything yet, from one address.
    static let provingEachMax = 4
    /// Warm ones of each peer: one, and one whose end was not noticed yet.
    static let idleEachMax = 2
    /// One of each other member: as many as Postgres's places are shared out for (decisions/0028); the others are for its
    /// supervisor, and for copies and questions.
    static let streamsMax = PostgresNames.membersMax - 1
    private static let acceptsMax = 16
    private static let listenPause = Duration.seconds(1)
    private static let waitMax = Duration.seconds(1)

    private let desk: RelayDesk
    private let input: OrdersInput
    private let receivers: Link
    private var peers: (listener: Link, at: IPv6Address)?
    private var listenAt = Moment.zero
    private var near: [ReceiverParty] = []
    private var called: [CalledParty] = []

    /// Serves until the input ends.
    ///
    /// - Parameters:
    ///   - input: orders, a line of JSON each.
    ///   - output: the number of each that was taken, a line each.
    /// - Throws: where the receiver's socket cannot be made, and where the input is no orders.
    public static func serve(_ place: RelayPlace, input: Int32, output: Int32) throws(SystemError) {
        let relay = try Relay(place, input: input, output: output)
        while try relay.turn() {}
    }

    private init(_ place: RelayPlace, input: Int32, output: Int32) throws(SystemError) {
        desk = RelayDesk(place)
        self.input = OrdersInput(input, output)
        receivers = Link(try UnixSocket.listen(place.socket))
    }

    private var parties: [any Party] { near as [any Party] + called + Array(desk.warm.values) }

    /// - Returns: false: the orders have ended.
    private func turn() throws(SystemError) -> Bool {
        tend(BootClock.now())
        wait()
        let now = BootClock.now()
        switch try input.read() {
        case .none: break
        case .orders(let orders):
            desk.take(orders)
            input.acknowledge(orders.number)
        case .ended: return false
        }
        acceptReceivers(now)
        acceptPeers(now)
        for party in parties { party.act(now) }
        boundStreams()
        near.removeAll { $0.isOver }
        called.removeAll { $0.isOver }
        return true
    }

    private func wait() {
        let links = [input.link, receivers] + [peers?.listener].compactMap { $0 } + parties.flatMap(\.links)
        let now = BootClock.now()
        Readiness.wait(for: links, until: (parties.compactMap(\.wakeAt) + [now + Self.waitMax]).min() ?? now)
    }

    /// Its own address may come later than the relay, and change.
    private func tend(_ now: Moment) {
        guard let address = desk.orders?.address, peers?.at != address, now >= listenAt else { return }
        listenAt = now + Self.listenPause
        peers = nil
        do throws(SystemError) {
            peers = (Link(try RelaySocket.listen(at: address, port: desk.place.port)), address)
        } catch {
            // Tried again: members follow directly meanwhile.
        }
    }

    private func acceptReceivers(_ now: Moment) {
        guard receivers.isReadable else { return }
        for _ in 0..<Self.acceptsMax {
            let file = accept(receivers.file, nil, nil)
            guard file >= 0 else { return }
            _ = fcntl(file, F_SETFD, FD_CLOEXEC)
            let link = Link(file)
            if near.count < Self.receiversMax { near.append(ReceiverParty(link, desk, now: now)) }
        }
    }

    private func acceptPeers(_ now: Moment) {
        guard let listener = peers?.listener, listener.isReadable, let own = desk.orders?.member else { return }
        for _ in 0..<Self.acceptsMax {
            guard let (file, address) = RelaySocket.accept(listener.file) else { return }
            let link = Link(file)
            let mayBe = desk.members(at: address)
            // A stranger is not even greeted.
            guard !mayBe.isEmpty, !Self.isFull(called, of: mayBe) else { continue }
            boundIdle(mayBe)
            called.append(CalledParty(link, desk, own: own, mayBe: mayBe, now: now))
        }
    }

    /// Whoever else is at one member's address keeps no other member away.
    static func isFull(_ called: [CalledParty], of members: [MemberName]) -> Bool {
        called.count { $0.isProving && $0.mayBe == members } >= provingEachMax
    }

    /// The oldest make room: the other side has forgotten them.
    private func boundIdle(_ members: [MemberName]) {
        let idle = called.filter { party in party.isIdle && party.member.map(members.contains) ?? false }
        for party in idle.dropLast(Self.idleEachMax - 1) { party.close() }
    }

    /// A member has one receiver: what it asked for before is nobody's any more, and holds the slot and a place of Postgres's.
    private func boundStreams() {
        for party in CalledParty.superseded(called, streamsMax: Self.streamsMax) { party.close() }
    }
}
