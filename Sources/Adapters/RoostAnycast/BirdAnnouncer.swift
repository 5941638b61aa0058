import CLinux
import Glibc
public import Logging
import RoostLinux
import RoostModel
public import ServiceLifecycle
import Synchronization

/// Announces the edge's prefixes with BIRD, guarded by a process of its own (``EdgeGuard``).
///
/// Run it as a service, and call ``report(_:)`` every ``heartbeatInterval``. The prefixes are withdrawn at the start
/// and stay so until the first healthy report. When the service is shut down they are withdrawn and BIRD ends: drain
/// before.
public final class BirdAnnouncer: Announcer, Service {
    /// Between two reports. The guard withdraws when six of them are missing.
    public static let heartbeatInterval = Duration.milliseconds(100)

    private let configuration: AnycastConfiguration
    private let starter: any GuardStarter
    private let logger: Logger
    private let state = Mutex(State())

    private struct State {
        var link: GuardLink?
        var status: AnnouncementStatus?
        var heardAt = Moment.zero
        /// Whom BIRD runs as; nil is root.
        var user: String?
    }

    /// A guard speaks at least every half second; one that does not is replaced, and with it its BIRD.
    static let silenceMax = Duration.seconds(5)
    /// For the guard to withdraw and end BIRD.
    private static let finishPatience = Duration.seconds(2)
    private static let restartDelayMin = Duration.milliseconds(200)
    private static let restartDelayMax = Duration.seconds(5)

    public convenience init(
        configuration: AnycastConfiguration, logger: Logger = Logger(label: "roost.anycast")
    ) throws(AnycastError) {
        try configuration.validate()
        let starter = GuardProcessStarter(
            command: configuration.guardCommand)
        self.init(configuration: configuration, starter: starter, logger: logger)
    }

    init(configuration: AnycastConfiguration, starter: any GuardStarter, logger: Logger) {
        self.configuration = configuration
        self.starter = starter
        self.logger = logger
    }

    public func report(_ health: EdgeHealth) async {
        state.withLock { $0.link }?.report(health)
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

    /// - Throws: ``AnycastError`` when BIRD does not accept the configuration or the prefixes cannot be made local.
    public func run() async throws {
        try await prepare()
        let wake = try Bell()
        await cancelWhenGracefulShutdown {
            await withTaskCancellationHandler {
                await self.keepGuard(wake: wake.descriptor)
            } onCancel: {
                wake.ring()
            }
        }
        // A client on this host is to find the next edge.
        try? await setLocal(false)
    }

    private func keepGuard(wake: Int32) async {
        var delay = Self.restartDelayMin
        while !Task.isCancelled {
            let startedAt = BootClock.now()
            let failure = await BlockingCall.run { () -> AnycastError? in
                do throws(AnycastError) { try self.liveWithGuard(wake: wake) } catch { return error }
                return nil
            }
            if Task.isCancelled { return }
            let why = failure.map { "\($0)" } ?? "it ended"
            logger.error("the edge's guard is started again; the prefixes are withdrawn", metadata: ["why": "\(why)"])
            if BootClock.now() - startedAt > Self.restartDelayMax { delay = Self.restartDelayMin }
            do { try await Task.sleep(for: delay) } catch { return }
            delay = min(delay * 2, Self.restartDelayMax)
        }
    }

    /// One guard, from its start to its end. On a thread of its own.
    private func liveWithGuard(wake: Int32) throws(AnycastError) {
        let (link, theirs) = try GuardLink.pair()
        let running: any RunningGuard
        do throws(AnycastError) {
            running = try starter.start(
                configuration.guardConfiguration(user: state.withLock { $0.user }), link: theirs)
        } catch {
            close(theirs)
            throw error
        }
        close(theirs)
        state.withLock { $0.link = link }
        defer { state.withLock { $0 = State(user: $0.user) } }
        var silentSince = BootClock.now()
        while true {
            switch link.next(within: Self.silenceMax - (BootClock.now() - silentSince), wake: wake) {
            case .status(let status):
                silentSince = BootClock.now()
                let former = state.withLock { state in
                    defer {
                        state.status = status
                        state.heardAt = silentSince
                    }
                    return state.status
                }
                note(status, after: former)
            case .woken:
                link.finish()
                running.end(after: Self.finishPatience)
                return
            case .silence:
                guard BootClock.now() - silentSince >= Self.silenceMax else { continue }
                running.end(after: .zero)
                throw AnycastError(operation: "hear of", subject: "the guard", cause: "nothing for \(Self.silenceMax)")
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

    private func prepare() async throws(AnycastError) {
        let paths = configuration.guardConfiguration()
        let user = BirdUser.find()
        do throws(SystemError) {
            try DurableFile.makeFolder(paths.birdFolder)
            try user?.give(paths.birdFolder, mode: 0o750)
            // It may hold passwords of sessions: for BIRD to read, for nobody to write.
            try DurableFile.write(
                BirdText(configuration: configuration).text, to: paths.birdPath, mode: user == nil ? 0o600 : 0o640,
                owner: user.map { DurableFile.Owner(user: 0, group: $0.group) })
        } catch {
            throw AnycastError(operation: "write", subject: paths.birdPath, cause: error.description)
        }
        do throws(CommandError) {
            try await Command("bird", ["-p", "-c", paths.birdPath]).run()
        } catch {
            throw AnycastError(operation: "check", subject: paths.birdPath, cause: error.description)
        }
        try await chooseUser(user, paths)
        try await setLocal(true)
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
    private func setLocal(_ isWanted: Bool) async throws(AnycastError) {
        let prefixes = configuration.prefixes
        try await NetworkNamespace.run(
            in: configuration.networkNamespace,
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
