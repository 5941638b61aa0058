import Glibc
import RoostLinux
import RoostModel
import RoostRelayWire

/// The connection to one peer's relay that waits to become a stream, made anew whenever it is gone.
final class WarmParty: Party {
    /// To connect and to prove.
    private static let provingMax = Duration.seconds(3)

    private enum Stage {
        case none
        case proving(Link, CallingHandshake, until: Moment)
        case ready(Link, WarmWatch)
    }

    let peer: RelayOrders.Peer
    private unowned let desk: RelayDesk
    private var stage = Stage.none
    private var pause = WarmPause()

    init(_ peer: RelayOrders.Peer, _ desk: RelayDesk) {
        self.peer = peer
        self.desk = desk
    }

    let isOver = false

    /// It stands, and the other side has answered lately.
    func isWarm(_ now: Moment) -> Bool {
        switch stage {
        case .none, .proving: false
        case .ready(_, let watch): watch.isWarm(now)
        }
    }

    var links: [Link] {
        switch stage {
        case .none: []
        case .proving(let link, _, _), .ready(let link, _): [link]
        }
    }

    var wakeAt: Moment? {
        switch stage {
        case .none: pause.nextAt
        case .proving(_, _, let until): until
        case .ready(_, let watch): watch.wakeAt
        }
    }

    /// It is a stream's from now on. What has come of an answer to the last question goes with it.
    func take() -> (link: Link, unread: [UInt8])? {
        guard case .ready(let link, let watch) = stage else { return nil }
        stage = .none
        return (link, watch.unread)
    }

    func act(_ now: Moment) {
        switch stage {
        case .none: if now >= pause.nextAt { begin(now) }
        case .proving(let link, let handshake, let until):
            guard now < until else { return fail(now) }
            if link.isConnecting, link.isWritable {
                guard RelaySocket.failure(of: link.file) == 0 else { return fail(now) }
                link.isConnecting = false
            }
            if link.isReadable { prove(link, handshake, until, now) }
        case .ready(let link, let watch): look(link, watch, now)
        }
    }

    private func look(_ link: Link, _ watch: WarmWatch, _ now: Moment) {
        var watch = watch
        link.flush()
        if link.isReadable {
            switch link.read() {
            case .nothing: break
            case .ended: return fail(now)
            case .bytes(let bytes): guard watch.read(bytes, now: now) else { return fail(now) }
            }
        }
        switch watch.tick(now) {
        case .more: break
        case .ask(let question): link.put(question)
        case .giveUp: return fail(now)
        }
        stage = .ready(link, watch)
    }

    private func begin(_ now: Moment) {
        guard let orders = desk.orders else { return }
        do throws(SystemError) {
            let link = Link(
                try RelaySocket.connect(to: peer.address, from: orders.address, port: desk.place.port))
            link.isConnecting = true
            let handshake = CallingHandshake(from: orders.member, to: peer.member, challenge: desk.challenge())
            stage = .proving(link, handshake, until: now + Self.provingMax)
        } catch {
            fail(now)
        }
    }

    private func prove(_ link: Link, _ handshake: CallingHandshake, _ until: Moment, _ now: Moment) {
        var handshake = handshake
        switch link.read() {
        case .nothing: return
        case .ended: fail(now)
        case .bytes(let bytes):
            switch handshake.read(bytes, desk.seal) {
            case .more: stage = .proving(link, handshake, until: until)
            case .send(let answer):
                link.put(answer)
                stage = .proving(link, handshake, until: until)
            case .proven:
                pause.succeeded(now)
                stage = .ready(link, WarmWatch(now))
            case .refused: fail(now)
            }
        }
    }

    private func fail(_ now: Moment) {
        pause.failed(now)
        stage = .none
    }
}
