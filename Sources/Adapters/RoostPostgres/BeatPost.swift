import Glibc
import Logging
import RoostFailover
import RoostLinux
import RoostModel
import RoostWire
import Synchronization

/// Carries beats from member to member, and with them calls and answers. What is not sealed by a member, was said before or is
/// for another is dropped; nobody is answered.
final class BeatPost: Sendable {
    /// Between two attempts to have the socket.
    private static let socketPause = Duration.seconds(1)
    /// So many are read at a time…
    private static let datagramsMax = 64
    /// …and when these were no beats, the kernel drops what comes for so long: a flood must not have the processor.
    private static let floodPause = Duration.milliseconds(10)
    private static let waitMax = Duration.seconds(1)
    private static let socketPoll = Duration.milliseconds(100)

    private struct State {
        var socket: BeatSocket?
        var retryAt = Moment.zero
        var password: String?
        var seal: BeatSeal?
        var known: [MemberName: BeatAcquaintance] = [:]
        var sent: UInt64 = 0
        /// When.
        var times: BeatTimes

        init(life: UInt64) { times = BeatTimes(of: life) }
    }

    private let life: UInt64
    private let port: UInt16
    private let cluster: KnownCluster
    private let logger: Logger
    private let state: Mutex<State>

    /// - Parameter port: the same at every member.
    init(_ cluster: KnownCluster, port: UInt16 = BeatSocket.port, logger: Logger) {
        self.cluster = cluster
        self.port = port
        self.logger = logger
        let life = UInt64.random(in: 1...UInt64.max)
        self.life = life
        state = Mutex(State(life: life))
    }

    /// To every other member that has a place.
    func send(_ beat: MemberBeat) {
        let view = cluster.view
        state.withLock { state in
            guard let socket = socket(&state, view), let seal = seal(&state, view) else { return }
            let others = view.otherMembers
            // Whoever names one of them has heard it after this.
            state.times.note(state.sent + 1, through: state.sent + UInt64(others.count), at: BootClock.now())
            for placement in others {
                let known = acquaintance(&state, placement.member)
                state.sent += 1
                let datagram = BeatDatagram(
                    beat, to: placement.member, life: life, number: state.sent, challenge: known.challenge,
                    echo: known.echo, heard: known.heard)
                let sealed = seal.seal(datagram.bytes)
                socket.send(sealed, to: placement.address, port: port)
            }
        }
    }

    /// Receives on the calling thread, as long as `goesOn`.
    ///
    /// - Parameter hear: is told after what moment the beat was sent; nil: that is not known.
    func listen(while goesOn: () -> Bool, _ hear: (MemberBeat, _ after: Moment?) -> Void) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: BeatDatagram.bytesMax + BeatSeal.bytes + 1, alignment: 8)
        defer { buffer.deallocate() }
        while goesOn() {
            let view = cluster.view
            guard let socket = state.withLock({ socket(&$0, view) }) else {
                usleep(UInt32(Self.socketPoll.milliseconds * 1000))
                continue
            }
            socket.wait(within: Self.waitMax)
            var beats = 0
            var all = 0
            while all < Self.datagramsMax,
                let beat = socket.receive(into: buffer, { admit($0, from: $1, view) })
            {
                all += 1
                if let (said, after) = beat {
                    beats += 1
                    hear(said, after)
                }
            }
            if all == Self.datagramsMax, beats < all { usleep(UInt32(Self.floodPause.milliseconds * 1000)) }
        }
    }

    private func admit(
        _ bytes: UnsafeRawBufferPointer, from address: IPv6Address, _ view: ClusterView
    ) -> (beat: MemberBeat, after: Moment?)? {
        guard let sender = view.otherMembers.first(where: { $0.address == address })?.member else { return nil }
        return state.withLock { state in
            guard let count = seal(&state, view)?.opened(bytes),
                let datagram = BeatDatagram(UnsafeRawBufferPointer(rebasing: bytes[..<count])),
                datagram.receiver == view.member, datagram.beat.member == sender
            else { return nil }
            var known = acquaintance(&state, sender)
            let isOfNow = known.admits(datagram, next: .random(in: 1...UInt64.max))
            state.known[sender] = known
            return isOfNow ? (datagram.beat, state.times.moment(of: datagram.heard)) : nil
        }
    }

    private func acquaintance(_ state: inout State, _ member: MemberName) -> BeatAcquaintance {
        if let known = state.known[member] { return known }
        let new = BeatAcquaintance(challenge: .random(in: 1...UInt64.max))
        state.known[member] = new
        return new
    }

    private func seal(_ state: inout State, _ view: ClusterView) -> BeatSeal? {
        let password = view.secrets.replicationPassword
        if state.password != password {
            state.password = password
            state.seal = BeatSeal(password: password)
        }
        return state.seal
    }

    private func socket(_ state: inout State, _ view: ClusterView) -> BeatSocket? {
        if let socket = state.socket { return socket }
        guard BootClock.now() >= state.retryAt,
            let own = view.placements.first(where: { $0.member == view.member })
        else { return nil }
        state.retryAt = BootClock.now() + Self.socketPause
        do throws(SystemError) {
            state.socket = try BeatSocket(at: own.address, port: port)
        } catch {
            logger.debug("no socket for beats", metadata: ["why": "\(error)"])
        }
        return state.socket
    }
}
