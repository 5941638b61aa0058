import Glibc
import Logging
import RoostLinux
import RoostModel
import RoostRelayWire
import RoostWire
import Synchronization

/// Starts this member's relay (`roost-pg relay`), tells it what it goes by, and sees that it lives. Whatever happens to it,
/// the member follows: straight, as long as there is none, also when one that was ended does not die.
final class RelayKeeper: Sendable {
    private static let interval = Duration.milliseconds(500)
    /// One that has taken no orders from so many looks in a row, 2 s, is ended: its own receiver would wait at it for ever, and
    /// on a leader's side no standby's stream passes and nothing is confirmed. Less than half of what either end of
    /// replication waits for the other (5 s), so that the way straight is taken before they give up; more than a busy
    /// computer lets a process wait for its turn. Looks are counted, not time: where all stood still, it was not the relay.
    private static let missedMax = 4
    /// The same as long as it has taken none at all: its program is still to be read.
    private static let missedAtStartMax = 10
    /// That were ended and are not gone yet: they wait in the kernel, for a disk that hangs.
    private static let dyingMax = 3
    private static let pauseFirst = Duration.milliseconds(200)
    private static let pauseMax = Duration.seconds(10)
    /// One that has lived so long did not fail at its start.
    private static let soundAge = Duration.seconds(30)

    /// What runs, and the way to it.
    private struct Running {
        var child: ChildProcess
        var socket: Int32
        var startedAt: Moment
        /// The number of the last orders that it has taken.
        var taken: UInt64 = 0
        /// It said so since the last look, and for how many looks before it has not.
        var hasAnswered = false
        var missed = 0
        var unread: [UInt8] = []
        /// It does not read, or what it says is no answer.
        var isFailed = false

        var isSilent: Bool { missed >= (taken == 0 ? missedAtStartMax : missedMax) }
    }

    private struct State {
        var upstream: RelayOrders.Upstream?
        /// Of the last orders.
        var number: UInt64 = 0
        var running: Running?
        var dying: [ChildProcess] = []
        /// Of this time of following: see ``RelayOrders/Upstream/following``.
        var following: UInt64 = 0
    }

    private let line: [String]
    private let socket: String
    private let endReceivers: @Sendable () -> Void
    private let endPatience: Duration
    private let known: KnownCluster
    private let logger: Logger
    private let bell: Bell
    private let state = Mutex(State())

    /// - Parameters:
    ///   - line: the relay's program and its arguments; see ``line(_:program:port:)``.
    ///   - socket: where it is waited for; see ``socket(_:)``.
    ///   - endPatience: for one to go, when the member ends.
    ///   - endReceivers: begins to end this member's receivers that wait at a relay; it does not wait.
    init(
        _ line: [String], socket: String, _ known: KnownCluster, logger: Logger, endPatience: Duration = .seconds(1),
        endReceivers: @escaping @Sendable () -> Void
    ) throws(SystemError) {
        self.line = line
        self.socket = socket
        self.endPatience = endPatience
        self.endReceivers = endReceivers
        self.known = known
        self.logger = logger
        bell = try Bell()
    }

    /// As Postgres's user: it has that user's rights and no more.
    static func line(_ layout: PostgresLayout, program: String, port: UInt16) -> [String] {
        layout.asOwner([program] + arguments(layout, port: port))
    }

    static func arguments(_ layout: PostgresLayout, port: UInt16) -> [String] {
        [
            "relay", "--socket-folder", layout.relayFolder, "--log-folder", "\(layout.data)/pg_wal",
            "--postgres-folder", layout.runFolder, "--postgres-port", "\(port)",
        ]
    }

    /// The relay's for this member's receiver, as it is seen from here.
    static func socket(_ layout: PostgresLayout) -> String {
        layout.outside("\(layout.relayFolder)/.s.PGSQL.\(RelayOrders.portDefault)")
    }

    /// The process that runs.
    var process: pid_t? { state.withLock { $0.running?.child.pid } }

    /// Whom the member follows from now on. Waits so long at most until the relay knows: a receiver that came before it does
    /// would be sent away, to the leader itself.
    @available(*, noasync, message: "it waits; use a BlockingCall")
    func lead(to upstream: RelayOrders.Upstream, within limit: Duration) {
        let number = state.withLock { state in
            var upstream = upstream
            upstream.following = state.following
            state.upstream = upstream
            tell(&state)
            return state.number
        }
        let end = BootClock.now() + limit
        while BootClock.now() < end {
            let (isDone, socket) = state.withLock { state in
                hear(&state)
                guard let running = state.running, !running.isFailed else { return (true, Int32(-1)) }
                return (running.taken >= number, running.socket)
            }
            guard !isDone else { return }
            var entry = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
            _ = poll(&entry, 1, Int32(clamping: max((end - BootClock.now()).milliseconds, 1)))
        }
    }

    /// The member follows nobody. Waits for nothing, and the fence does not rest on it: see
    /// ``PostgresInstance/stopFollowing()``.
    func leadNowhere() {
        state.withLock { state in
            state.upstream = nil
            // A relay that stands still meanwhile sees only the last orders.
            state.following += 1
            tell(&state)
        }
    }

    /// Looks after it on the calling thread, as long as `goesOn`.
    func run(while goesOn: () -> Bool) {
        var pause = Self.pauseFirst
        while goesOn() {
            guard look() else {
                bell.wait(within: Self.interval)
                continue
            }
            if let age = endLast() {
                if age >= Self.soundAge { pause = Self.pauseFirst }
                logger.notice("the relay has ended, and is started anew")
                bell.wait(within: pause)
                pause = min(pause * 2, Self.pauseMax)
            }
            guard goesOn() else { break }
            guard !isFull() else {
                bell.wait(within: Self.pauseMax)
                continue
            }
            do throws(SystemError) { try start() } catch {
                logger.warning("no relay: the member follows straight", metadata: ["why": "\(error)"])
                bell.wait(within: Self.pauseMax)
            }
        }
        _ = endLast()
        let end = BootClock.now() + endPatience
        while BootClock.now() < end, hasDying() { bell.wait(within: .milliseconds(20)) }
    }

    private func hasDying() -> Bool {
        state.withLock { state in
            state.dying.removeAll { $0.hasEnded() }
            return !state.dying.isEmpty
        }
    }

    private func isFull() -> Bool { hasDying() && state.withLock { $0.dying.count >= Self.dyingMax } }

    /// Wakes ``run(while:)``.
    func wake() { bell.ring() }

    private func start() throws(SystemError) {
        let (ours, theirs) = try UnixSocket.pair()
        defer { close(theirs) }
        let child: ChildProcess
        do throws(SystemError) {
            child = try ChildProcess(line[0], arguments: Array(line.dropFirst()), input: theirs)
        } catch {
            close(ours)
            throw error
        }
        let now = BootClock.now()
        state.withLock { state in
            state.running = Running(child: child, socket: ours, startedAt: now)
        }
    }

    /// - Returns: whether one has to be started.
    private func look() -> Bool {
        state.withLock { state in
            state.dying.removeAll { $0.hasEnded() }
            // What it said while we stood still ourselves counts.
            hear(&state)
            guard var running = state.running else { return true }
            running.missed = running.hasAnswered ? 0 : running.missed + 1
            running.hasAnswered = false
            state.running = running
            if running.isFailed || running.isSilent || running.child.hasEnded() { return true }
            tell(&state)
            return state.running?.isFailed ?? true
        }
    }

    /// - Returns: how old it was; nil: there was none.
    private func endLast() -> Duration? {
        let last = state.withLock { state in
            defer { state.running = nil }
            return state.running
        }
        guard let last else { return nil }
        close(last.socket)
        // Before it is ended: it may wait for a disk that hangs and not die, and its socket would go on taking receivers that
        // nobody answers. Without the name libpq takes its next host.
        unlink(socket)
        if !last.child.hasEnded() {
            // One that stands still takes no other word. Nobody waits for it: not the fence, and not the next one.
            last.child.sendKill()
            state.withLock { $0.dying.append(last.child) }
            // Those that are at it already hear nothing of it as long as it does not die, and Postgres bounds no wait there.
            endReceivers()
        }
        return BootClock.now() - last.startedAt
    }

    private func tell(_ state: inout State) {
        guard state.running != nil else { return }
        let view = known.view
        guard let own = view.placements.first(where: { $0.member == view.member }) else { return }
        state.number += 1
        let orders = RelayOrders(
            number: state.number, member: view.member, address: own.address,
            password: view.secrets.replicationPassword,
            peers: view.otherMembers.map {
                RelayOrders.Peer(member: $0.member, address: $0.address)
            }, upstream: state.upstream)
        guard let socket = state.running?.socket, var bytes = try? JSONFile.encode(orders) else { return }
        bytes.append(UInt8(ascii: "\n"))
        let count = send(socket, bytes, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
        // The kernel has room for many: it has not read them.
        if count != bytes.count { state.running?.isFailed = true }
    }

    private func hear(_ state: inout State) {
        guard var running = state.running else { return }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = recv(running.socket, &bytes, bytes.count, Int32(MSG_DONTWAIT))
        if count == 0 { running.isFailed = true }
        if count > 0 {
            running.unread += bytes[..<count]
            if let end = running.unread.lastIndex(of: UInt8(ascii: "\n")) {
                let last = running.unread[..<end].split(separator: UInt8(ascii: "\n")).last ?? []
                if let number = UInt64(String(decoding: last, as: UTF8.self)), number <= state.number {
                    running.taken = number
                    running.hasAnswered = true
                } else {
                    running.isFailed = true
                }
                running.unread.removeFirst(end + 1)
            }
            if running.unread.count > bytes.count { running.isFailed = true }
        }
        state.running = running
    }
}
