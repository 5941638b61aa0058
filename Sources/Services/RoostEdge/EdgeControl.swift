import Glibc
public import Logging
import RoostEdgeLink
import RoostEdgeWire
import RoostLinux
import RoostModel
import RoostWire
import Synchronization

/// An edge's end of its link to roostd: takes orders from it, and says how the edge is, to roostd and to the guard of the
/// announcement.
///
/// roostd comes to the edge and not the other way round, so that one that was started anew finds the edge that runs.
/// While there is none, the edge serves by the routes it has.
public final class EdgeControl: Sendable {
    /// Between two words to the guard, which takes six missing ones for the death of this edge.
    static let guardInterval = Duration.milliseconds(100)
    /// How long what a check has found is told: two checks that take as long as they may, and a pause.
    static let findingMax = Duration.milliseconds(1_200)
    /// Between two reports to roostd when nothing changes.
    static let reportInterval = Duration.seconds(1)
    /// Without a word from roostd for so long, the routes may be of yesterday: who can goes to another edge.
    static let roostdPatience = Duration.seconds(10)
    /// Once this edge accepts nobody any more, it stands at the guard for its successor: until that one has taken the
    /// sockets and answered, connections wait in their queues.
    static let successionTime = Duration.seconds(3)
    private static let backlog: Int32 = 8

    private struct State {
        var connection: EdgeConnection?
        var heardAt = Moment.zero
        /// The guard's link. Nil before roostd gave it, and for good once this edge retires.
        var guardLink: PassingSocket?
        var health = EdgeHealth.down
        /// By the last check that came to its end.
        var finding: (isHealthy: Bool, at: Moment)?
        var retiredAt: Moment?
        var reported: EdgeReportBody?
        var reportedAt = Moment.zero
    }

    private let service: EdgeService
    private let listener: Int32
    private let release: String
    private let trustedUser: uid_t
    private let logger: Logger
    private let bell: Bell
    private let state = Mutex(State())

    /// - Parameters:
    ///   - listener: a bound UNIX socket. This process listens on it: so roostd is told by the kernel whom it reached.
    ///   - trustedUser: whose orders are taken.
    public init(
        _ service: EdgeService, listener: Int32, release: String, trustedUser: uid_t = 0,
        logger: Logger = Logger(label: "roost.edge")
    ) throws {
        self.service = service
        self.listener = listener
        self.release = release
        self.trustedUser = trustedUser
        self.logger = logger
        bell = try Bell()
        guard listen(listener, Self.backlog) == 0 else { throw SystemError("listen on", "the socket for roostd") }
    }

    /// Until the task is cancelled.
    public func run() async {
        await withTaskCancellationHandler {
            await withDiscardingTaskGroup { group in
                group.addTask { await BlockingCall.run { self.serve() } }
                group.addTask { await self.watchHealth() }
            }
        } onCancel: {
            bell.ring()
        }
    }

    // MARK: - Saying how it is

    /// A check may take as long as the guard is patient: what it found last is told meanwhile, until it is too old.
    private func watchHealth() async {
        await withDiscardingTaskGroup { group in
            group.addTask {
                while !Task.isCancelled {
                    let isHealthy = await self.service.health()
                    self.state.withLock { $0.finding = (isHealthy, .present) }
                    try? await Task.sleep(for: Self.guardInterval)
                }
            }
            while !Task.isCancelled {
                if let last = state.withLock({ $0.finding }) {
                    tell(last.isHealthy && Moment.present - last.at < Self.findingMax)
                }
                try? await Task.sleep(for: Self.guardInterval)
            }
        }
    }

    private func tell(_ isHealthy: Bool) {
        let stats = service.stats()
        let (isInformed, isRetiring) = (service.isInformed, service.isRetiring)
        let now = Moment.present
        let report = EdgeReportBody(
            isHealthy: isHealthy, isInformed: isInformed, isRetiring: isRetiring, sessions: stats.sessions,
            counters: stats.byName)
        let (connection, guardLink, health) = state.withLock { state in
            let isAlone = now - state.heardAt > Self.roostdPatience
            if isRetiring {
                let since = state.retiredAt ?? now
                state.retiredAt = since
                if now - since > Self.successionTime { state.guardLink = nil }
            } else {
                state.health = !isHealthy ? .down : isAlone ? .draining : .healthy
            }
            let isNews = state.reported.map { Self.isNews(report, after: $0) } ?? true
            let isDue = isNews || now - state.reportedAt >= Self.reportInterval
            if isDue, state.connection != nil {
                state.reported = report
                state.reportedAt = now
            }
            return (isDue ? state.connection : nil, state.guardLink, state.health)
        }
        // The guard first: what roostd then does about it relies on what the guard knows.
        if let guardLink { Self.say(health, to: guardLink) }
        guard let connection else { return }
        do {
            try connection.send(.report(report), waits: false)
        } catch {
            // Somebody who has not read for minutes. When he wakes up he sees that the link has ended, and comes again.
            connection.end()
        }
    }

    private static func isNews(_ report: EdgeReportBody, after last: EdgeReportBody) -> Bool {
        (report.isHealthy, report.isInformed, report.isRetiring, report.listenersOpen)
            != (last.isHealthy, last.isInformed, last.isRetiring, last.listenersOpen)
    }

    private static func say(_ health: EdgeHealth, to guardLink: PassingSocket) {
        // A guard that does not read takes the silence for what it is.
        try? guardLink.send([health.byte], waits: false)
    }

    // MARK: - Taking orders

    private func serve() {
        var assembly = RouteAssembly()
        while true {
            let connection = state.withLock { $0.connection }
            var entries = [bell.descriptor, listener].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            if let connection { entries.append(pollfd(fd: connection.descriptor, events: Int16(POLLIN), revents: 0)) }
            guard poll(&entries, nfds_t(entries.count), -1) > 0 else { continue }
            if entries[0].revents != 0 { return }
            if entries[1].revents != 0, admit() {
                assembly = RouteAssembly()
                continue
            }
            guard let connection, entries[2].revents != 0 else { continue }
            do {
                guard let received = try connection.receive() else {
                    lose(connection, "roostd is gone; serving by the routes there are")
                    continue
                }
                for item in received { try obey(item, &assembly) }
            } catch {
                lose(connection, "the link to roostd has failed: \(error)")
            }
        }
    }

    private func lose(_ connection: EdgeConnection, _ why: String) {
        logger.warning("\(why)")
        connection.end()
        state.withLock { if $0.connection === connection { $0.connection = nil } }
    }

    /// - Returns: whether there is a new roostd.
    private func admit() -> Bool {
        let accepted = accept(listener, nil, nil)
        guard accepted >= 0 else { return false }
        _ = fcntl(accepted, F_SETFD, FD_CLOEXEC)
        do {
            let connection = try EdgeConnection(descriptor: accepted)
            guard connection.peer.user == trustedUser else {
                logger.error(
                    "somebody else than roostd wants to give orders",
                    metadata: ["user": "\(connection.peer.user)", "process": "\(connection.peer.process)"])
                return false
            }
            try greet(connection)
            let old = state.withLock { state in
                let old = state.connection
                state.connection = connection
                state.heardAt = .present
                state.reported = nil
                return old
            }
            old?.end()
            return true
        } catch {
            logger.warning("the link to roostd cannot be made", metadata: ["error": "\(error)"])
            return false
        }
    }

    private func greet(_ connection: EdgeConnection) throws {
        try connection.send(
            .greeting(
                EdgeGreeting(release: release, isInformed: service.isInformed, isRetiring: service.isRetiring)))
        // Also when there are none: roostd waits for them, so that it opens none beside them.
        let sockets = service.copyPassedSockets()
        defer { for socket in sockets { close(socket.descriptor) } }
        try connection.send(
            .listeners(EdgeListenersBody(ports: sockets.map(\.port))), files: sockets.map(\.descriptor))
    }

    private func obey(_ received: EdgeConnection.Received, _ assembly: inout RouteAssembly) throws {
        state.withLock { $0.heardAt = .present }
        switch received.message {
        case .greeting(let greeting):
            guard greeting.protocolVersion == EdgeGreeting.protocolPresent else {
                throw EdgeConnection.Malformed(what: "it speaks protocol \(greeting.protocolVersion)")
            }
        case .routes(let step):
            if let table = try assembly.take(step) { service.update(table) }
        case .listeners(let body):
            service.listen(on: Array(zip(body.ports, received.files)).map { (port: $0, descriptor: $1) })
        case .guarding:
            for file in received.files { adopt(PassingSocket(descriptor: file)) }
        case .retire(let body):
            logger.notice("retiring: sessions are served to their end", metadata: ["seconds": "\(body.drainSeconds)"])
            service.retire(within: .seconds(max(body.drainSeconds, 0)))
        case .beat, .report: break
        }
    }

    /// The new link has the present word before the old one ends: the guard sees no moment without.
    private func adopt(_ guardLink: PassingSocket) {
        guard !service.isRetiring else { return }
        let old = state.withLock { state in
            Self.say(state.health, to: guardLink)
            let old = state.guardLink
            state.guardLink = guardLink
            return old
        }
        withExtendedLifetime(old) {}
    }
}
