import CLinux
import Glibc
public import Logging
import RoostLinux
public import RoostModel
public import RoostWire
public import ServiceLifecycle
import Synchronization

/// Announces the edge's prefixes with BIRD, as long as the edge is well by its own word: ``EdgeGuard`` takes that word and
/// commands BIRD, a process of its own.
///
/// Run it as a service. Guard and BIRD outlive it, and the next one finds them: what is announced depends on the edge and
/// on what was wanted last. ``end()`` ends them.
public final class BirdAnnouncer: Service {
    private let configuration: AnycastConfiguration
    private let starter: any GuardStarter
    private let logger: Logger
    private let state: Mutex<State>

    private struct State {
        var wanted: EdgeHealth
        /// The guard's ends of the links to edges, for a guard that is started anew.
        var edges: [PassingSocket] = []
        var link: GuardLink?
        var status: AnnouncementStatus?
        var heardAt = Moment.zero
        /// Since when each status has said that clients are led here.
        var leadsSince: Moment?
        /// Whom BIRD runs as; nil is root.
        var user: String?
    }

    /// A guard speaks at least every half second; one that does not is replaced, and with it its BIRD.
    static let silenceMax = Duration.seconds(5)
    /// For the guard to withdraw and end BIRD.
    private static let finishPatience = Duration.seconds(2)
    /// For a guard that was started to listen.
    private static let startPatience = Duration.seconds(5)
    private static let startInterval = Duration.milliseconds(5)
    private static let restartDelayMin = Duration.milliseconds(200)
    private static let restartDelayMax = Duration.seconds(5)

    /// - Parameter wanted: what is to be announced of an edge that is well, until something else is said.
    public convenience init(
        configuration: AnycastConfiguration, wanted: EdgeHealth = .healthy,
        logger: Logger = Logger(label: "roost.anycast")
    ) throws(AnycastError) {
        try configuration.validate()
        let starter = GuardProcessStarter(
            command: configuration.guardCommand)
        self.init(configuration: configuration, starter: starter, wanted: wanted, logger: logger)
    }

    init(configuration: AnycastConfiguration, starter: any GuardStarter, wanted: EdgeHealth, logger: Logger) {
        self.configuration = configuration
        self.starter = starter
        self.logger = logger
        state = Mutex(State(wanted: wanted))
    }

    /// Announce at most this. Holds until something else is said, also when this process is gone.
    public func want(_ health: EdgeHealth) {
        let link = state.withLock { state in
            state.wanted = health
            return state.link
        }
        link?.tell(.want(health))
    }

    /// Another edge, which says by the other end of this socket how it is. The descriptor becomes this object's own.
    /// - Returns: whether it was given to a guard that runs. Where it was not, the next guard gets it. Whoever has another
    ///   link to a guard keeps that until then: the guard that runs, which we may not have reached yet, knows no other.
    @discardableResult public func watch(_ descriptor: Int32) -> Bool {
        let edge = PassingSocket(descriptor: descriptor)
        let link = state.withLock { state in
            state.edges = state.edges.filter { !Self.isOver($0) }.suffix(GuardJudgement.edgesMax - 1) + [edge]
            return state.link
        }
        return link?.tell(.watch, files: [edge.descriptor]) ?? false
    }

    /// Its other end has closed.
    private static func isOver(_ edge: PassingSocket) -> Bool {
        var entry = pollfd(fd: edge.descriptor, events: 0, revents: 0)
        return poll(&entry, 1, 0) > 0 && entry.revents & Int16(POLLHUP) != 0
    }

    /// What BIRD said last. `down` without sessions when it has not been heard of lately.
    public func status() async -> AnnouncementStatus {
        state.withLock { state in
            guard let status = state.status, BootClock.now() - state.heardAt < Self.silenceMax else {
                return AnnouncementStatus(
                    announced: .down,
                    sessions: configuration.uplinks.map { .init(uplink: $0.name, isEstablished: false) }
                        .sorted { $0.uplink < $1.uplink })
            }
            return status
        }
    }

    /// Whether clients have been led here all this time: announced, and to a neighbour that listens, where there are any. An
    /// edge that ends again and again, or has just come, is none to rely on.
    public func hasLed(for time: Duration) -> Bool {
        state.withLock { state in
            let now = BootClock.now()
            guard let since = state.leadsSince, now - state.heardAt < Self.silenceMax else { return false }
            return now - since >= time
        }
    }

    /// - Throws: ``AnycastError`` when BIRD does not accept the configuration or the prefixes cannot be made local.
    public func run() async throws {
        let isChanged = try await prepare()
        let wake = try Bell()
        await cancelWhenGracefulShutdown {
            await withTaskCancellationHandler {
                await self.keepGuard(wake: wake.descriptor, isChanged: isChanged)
            } onCancel: {
                wake.ring()
            }
        }
    }

    /// Withdraws, and ends the guard and BIRD, whoever has started them. A client on this host then finds the next edge.
    public func end() async {
        await Self.end(
            directory: configuration.directory, prefixes: configuration.prefixes,
            networkNamespace: configuration.networkNamespace)
    }

    /// The same on a host that is no edge any more.
    public static func end(directory: String, prefixes: [IPv4Prefix], networkNamespace: String? = nil) async {
        let path = EdgeGuard.Configuration(directory: directory, recoversRoutes: false).socketPath
        guard access(path, F_OK) == 0 else { return }
        await BlockingCall.run {
            guard let link = try? GuardLink(path: path) else { return }
            link.tell(.finish)
            let deadline = BootClock.now() + finishPatience
            while BootClock.now() < deadline {
                if case .closed = link.next(within: deadline - BootClock.now(), wake: nil) { return }
            }
            AdoptedGuard(process: link.guardProcess).end(after: .zero)
        }
        unlink(path)
        try? await setLocal(false, prefixes, in: networkNamespace)
    }

    private func keepGuard(wake: Int32, isChanged: Bool) async {
        var isChanged = isChanged
        var delay = Self.restartDelayMin
        while !Task.isCancelled {
            let startedAt = BootClock.now()
            let failure = await BlockingCall.run { [isChanged] () -> AnycastError? in
                do throws(AnycastError) { try self.liveWithGuard(wake: wake, isChanged: isChanged) } catch {
                    return error
                }
                return nil
            }
            isChanged = false
            if Task.isCancelled { return }
            let why = failure.map { "\($0)" } ?? "it ended"
            logger.error("the edge's guard is started again; the prefixes are withdrawn", metadata: ["why": "\(why)"])
            if BootClock.now() - startedAt > Self.restartDelayMax { delay = Self.restartDelayMin }
            do { try await Task.sleep(for: delay) } catch { return }
            delay = min(delay * 2, Self.restartDelayMax)
        }
    }

    /// One guard, from its start, or from our own, to its end. On a thread of its own.
    private func liveWithGuard(wake: Int32, isChanged: Bool) throws(AnycastError) {
        let (link, running) = try findGuard(isChanged: isChanged)
        let (wanted, edges) = state.withLock { state in
            state.link = link
            state.edges.removeAll { Self.isOver($0) }
            return (state.wanted, state.edges)
        }
        link.tell(.want(wanted))
        for edge in edges { link.tell(.watch, files: [edge.descriptor]) }
        defer {
            state.withLock { state in
                state.link = nil
                state.status = nil
                state.leadsSince = nil
            }
        }
        var silentSince = BootClock.now()
        while true {
            switch link.next(within: Self.silenceMax - (BootClock.now() - silentSince), wake: wake) {
            case .status(let status):
                silentSince = BootClock.now()
                let former = state.withLock { state in
                    defer {
                        state.status = status
                        state.heardAt = silentSince
                        state.leadsSince = status.leadsClients ? state.leadsSince ?? silentSince : nil
                    }
                    return state.status
                }
                note(status, after: former)
            case .woken: return
            case .silence:
                guard BootClock.now() - silentSince >= Self.silenceMax else { continue }
                running.end(after: .zero)
                throw AnycastError(
                    operation: "hear of", subject: "the guard", cause: "nothing for \(Self.silenceMax.words)")
            case .closed:
                running.end(after: Self.finishPatience)
                return
            }
        }
    }

    /// What the neighbours are told, and which of them listen.
    private func note(_ status: AnnouncementStatus, after former: AnnouncementStatus?) {
        guard status != former else { return }
        let sessions = status.sessions.filter(\.isEstablished).map(\.uplink).joined(separator: ",")
        let words = status.announced == .down ? "withdrawn" : "announced"
        logger.info(
            status.announced == former?.announced ? "sessions changed" : "\(words)",
            metadata: ["as": "\(status.announced)", "sessions": "\(sessions.isEmpty ? "none" : sessions)"])
    }

    /// The guard that runs; where there is none, a new one.
    private func findGuard(isChanged: Bool) throws(AnycastError) -> (GuardLink, any RunningGuard) {
        let paths = configuration.guardConfiguration(user: state.withLock { $0.user })
        if let link = try? GuardLink(path: paths.socketPath) {
            if isChanged { link.tell(.configure) }
            return (link, AdoptedGuard(process: link.guardProcess))
        }
        let socket: Int32
        do throws(SystemError) { socket = try UnixSocket.bind(paths.socketPath, .packets) } catch {
            throw AnycastError(operation: "open", subject: "the guard's socket", cause: error.description)
        }
        defer { close(socket) }
        let running = try starter.start(paths, socket: socket)
        let deadline = BootClock.now() + Self.startPatience
        while true {
            if let link = try? GuardLink(path: paths.socketPath) { return (link, running) }
            guard !running.hasEnded() else {
                throw AnycastError(operation: "start", subject: "the guard", cause: "it ended at once")
            }
            guard BootClock.now() < deadline else {
                running.end(after: .zero)
                throw AnycastError(
                    operation: "start", subject: "the guard",
                    cause: "it does not listen after \(Self.startPatience.words)")
            }
            usleep(useconds_t(Self.startInterval.milliseconds * 1000))
        }
    }

    /// - Returns: whether BIRD's configuration is another than the one that was there.
    private func prepare() async throws(AnycastError) -> Bool {
        let paths = configuration.guardConfiguration()
        let user = BirdUser.find()
        let text = BirdText(configuration: configuration).text
        let old = (try? DurableFile.read(paths.birdPath)) ?? nil
        do throws(SystemError) {
            try DurableFile.makeFolder(paths.birdFolder)
            try user?.give(paths.birdFolder, mode: 0o750)
        } catch {
            throw AnycastError(operation: "write", subject: paths.birdFolder, cause: error.description)
        }
        // The one that is compared comes last: a start that breaks off before is followed by one that finds it changed.
        for health in [EdgeHealth.healthy, .draining, .down] {
            let path = paths.birdPath(announcing: health)
            try await write(BirdText(configuration: configuration, announced: health).text, to: path, for: user)
        }
        try await chooseUser(user, paths)
        try await Self.setLocal(true, configuration.prefixes, in: configuration.networkNamespace)
        return old != Array(text.utf8)
    }

    private func write(_ text: String, to path: String, for user: BirdUser?) async throws(AnycastError) {
        do throws(SystemError) {
            // It may hold passwords of sessions: for BIRD to read, for nobody to write.
            try await BlockingCall.run { () throws(SystemError) in
                try DurableFile.write(
                    text, to: path, mode: user == nil ? 0o600 : 0o640,
                    owner: user.map { DurableFile.Owner(user: 0, group: $0.group) })
            }
        } catch {
            throw AnycastError(operation: "write", subject: path, cause: error.description)
        }
        do throws(CommandError) {
            try await Command("bird", ["-p", "-c", path]).run()
        } catch {
            throw AnycastError(operation: "check", subject: path, cause: error.description)
        }
    }

    /// BIRD runs as its own user where that user can come to its folder.
    private func chooseUser(_ user: BirdUser?, _ paths: EdgeGuard.Configuration) async throws(AnycastError) {
        guard user != nil else {
            logger.warning("BIRD runs as root: there is no user '\(BirdUser.name)' on this host")
            return
        }
        var asUser = paths
        asUser.user = BirdUser.name
        do throws(CommandError) {
            let reached = try await Command(
                "setpriv", asUser.userWords + ["--", "test", "-r", paths.birdPath, "-a", "-w", paths.birdFolder]
            ).outcome()
            guard reached.status == 0 else {
                logger.warning(
                    "BIRD runs as root: its user cannot come to its folder",
                    metadata: ["user": "\(BirdUser.name)", "folder": "\(paths.directory)"])
                return
            }
        } catch {
            throw AnycastError(operation: "look for", subject: "BIRD's user", cause: error.description)
        }
        state.withLock { $0.user = BirdUser.name }
    }

    /// Makes every address of the prefixes the host's own (AnyIP), without listing them, or no longer.
    private static func setLocal(
        _ isWanted: Bool, _ prefixes: [IPv4Prefix], in networkNamespace: String?
    ) async throws(AnycastError) {
        try await NetworkNamespace.run(
            in: networkNamespace,
            failing: { AnycastError(operation: "enter", subject: "the edge's namespace", cause: $0.description) }
        ) { () throws(AnycastError) in
            do throws(NetlinkError) {
                let socket = try RouteSocket()
                guard let loopback = try socket.link("lo") else { throw NetlinkError("look at link lo", code: ENODEV) }
                try socket.perform(
                    [RouteMessage.setUp(loopback.index)]
                        + prefixes.map {
                            RouteMessage.anyAddress(of: $0, over: loopback.index, isWanted: isWanted)
                        })
            } catch {
                throw AnycastError(operation: "route", subject: "the prefixes", cause: error.description)
            }
        }
    }
}
