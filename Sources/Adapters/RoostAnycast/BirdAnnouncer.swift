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
            command: configuration.guardCommand, arguments: configuration.guardConfiguration.arguments)
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
        let wake = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
        guard wake >= 0 else { throw SystemError("open", "eventfd") }
        defer { close(wake) }
        await cancelWhenGracefulShutdown {
            await withTaskCancellationHandler {
                await self.keepGuard(wake: wake)
            } onCancel: {
                eventfd_write(wake, 1)
            }
        }
        // A client on this host is to find the next edge.
        for prefix in configuration.prefixes { _ = try? await ip(["route", "del", "local", "\(prefix)", "dev", "lo"]) }
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
            running = try starter.start(link: theirs)
        } catch {
            close(theirs)
            throw error
        }
        close(theirs)
        state.withLock { $0.link = link }
        defer { state.withLock { $0 = State() } }
        var silentSince = BootClock.now()
        while true {
            switch link.next(within: Self.silenceMax - (BootClock.now() - silentSince), wake: wake) {
            case .status(let status):
                silentSince = BootClock.now()
                state.withLock { state in
                    state.status = status
                    state.heardAt = silentSince
                }
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

    private func prepare() async throws(AnycastError) {
        let paths = configuration.guardConfiguration
        do throws(SystemError) {
            try DurableFile.makeFolder(paths.directory)
            try DurableFile.write(BirdText(configuration: configuration).text, to: paths.birdPath, mode: 0o600)
        } catch {
            throw AnycastError(operation: "write", subject: paths.birdPath, cause: error.description)
        }
        do throws(CommandError) {
            try await Command("bird", ["-p", "-c", paths.birdPath]).run()
        } catch {
            throw AnycastError(operation: "check", subject: paths.birdPath, cause: error.description)
        }
        try await ip(["link", "set", "dev", "lo", "up"])
        // Every address of the prefix is the host's own (AnyIP), without listing them.
        for prefix in configuration.prefixes { try await ip(["route", "replace", "local", "\(prefix)", "dev", "lo"]) }
    }

    private func ip(_ arguments: [String]) async throws(AnycastError) {
        let command =
            configuration.networkNamespace.map { Command("nsenter", ["--net=" + $0, "--", "ip"] + arguments) }
            ?? Command("ip", arguments)
        do throws(CommandError) { try await command.run() } catch {
            throw AnycastError(operation: "route", subject: "the prefixes", cause: error.description)
        }
    }
}
