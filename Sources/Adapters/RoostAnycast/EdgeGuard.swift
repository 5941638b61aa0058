import CLinux
import Glibc
import RoostLinux
import RoostModel

/// The dead man's switch between roostd and BIRD, a process of its own: `roostd edge-guard …`.
///
/// It announces what roostd reports, as long as roostd reports. When nothing has come for
/// ``DeadManSwitch/patience`` it withdraws; when roostd is gone (its end of the socket has closed) it withdraws, ends
/// BIRD and ends itself; and when it dies itself, the kernel kills BIRD, and the neighbours see the session close.
/// A BIRD that does not answer is killed, for its silence means that nobody could withdraw.
public struct EdgeGuard {
    /// Its arguments, ``arguments``, are made by ``BirdAnnouncer`` and only ever read by ``init(arguments:)``.
    public struct Configuration: Hashable, Sendable {
        public var directory: String
        public var recoversRoutes: Bool
        public var networkNamespace: String?
        /// Whom BIRD runs as; nil: as the guard itself, root.
        public var user: String?

        public init(
            directory: String, recoversRoutes: Bool, networkNamespace: String? = nil, user: String? = nil
        ) {
            self.directory = directory
            self.recoversRoutes = recoversRoutes
            self.networkNamespace = networkNamespace
            self.user = user
        }

        /// - Parameter arguments: what follows `edge-guard` on the command line.
        public init(arguments: [String]) throws(AnycastError) {
            var directory: String?
            recoversRoutes = false
            networkNamespace = nil
            user = nil
            var rest = arguments[...]
            while let word = rest.popFirst() {
                switch word {
                case "--directory": directory = rest.popFirst()
                case "--recover-routes": recoversRoutes = true
                case "--namespace": networkNamespace = rest.popFirst()
                case "--user": user = rest.popFirst()
                default: throw AnycastError(operation: "read", subject: "edge-guard", cause: "unknown option \(word)")
                }
            }
            guard let directory else {
                throw AnycastError(operation: "read", subject: "edge-guard", cause: "--directory is missing")
            }
            self.directory = directory
        }

        var arguments: [String] {
            ["--directory", directory] + (recoversRoutes ? ["--recover-routes"] : [])
                + (networkNamespace.map { ["--namespace", $0] } ?? []) + (user.map { ["--user", $0] } ?? [])
        }

        /// The words before a program that is to run as ``user``: with no right but those to the network that BIRD
        /// needs (its port, routes, links, keys of sessions), and none to get more.
        var userWords: [String] {
            guard let user else { return [] }
            let rights = "+net_admin,+net_bind_service,+net_raw"
            return [
                "--reuid", user, "--regid", user, "--clear-groups", "--no-new-privs", "--inh-caps", rights,
                "--ambient-caps", rights, "--bounding-set", "-all," + rights,
            ]
        }

        var birdPath: String { directory + "/bird.conf" }
        /// What BIRD itself writes; the rest of the folder is not its to write, since root reads and writes there.
        var birdFolder: String { directory + "/bird" }
        var controlPath: String { birdFolder + "/bird.ctl" }
        var pidPath: String { birdFolder + "/bird.pid" }
        var lockPath: String { directory + "/guard.lock" }
    }

    private let configuration: Configuration
    private let link: Int32

    private var deadMan = DeadManSwitch()
    private var bird: BirdProcess?
    private var birdAnswered = false
    /// What BIRD was last told; nil when that is not known.
    private var applied: EdgeHealth?
    private var lastAnswerAt = Moment.zero
    private var nextLookAt = Moment.zero
    private var nextStartAt = Moment.zero
    private var startDelay = EdgeGuard.startDelayMin

    /// How often BIRD is asked how it is.
    private static let lookInterval = Duration.milliseconds(500)
    /// How long a BIRD that once answered may be silent, and how long one that has just started.
    private static let silenceMax = Duration.seconds(1)
    private static let firstAnswerMax = Duration.seconds(5)
    private static let startDelayMin = Duration.milliseconds(200)
    private static let startDelayMax = Duration.seconds(10)
    /// A BIRD that lived this long has earned a quick restart.
    private static let goodLife = Duration.seconds(30)
    private static let pauseBeforeRetry = Duration.milliseconds(20)
    /// For the guard before us, which has seen its roostd die, to finish.
    private static let lockPatience = Duration.seconds(2)

    /// Runs until the other end of `link` is closed; then what was announced is withdrawn and BIRD has ended.
    ///
    /// - Parameters:
    ///   - configuration: ``BirdAnnouncer`` has written BIRD's configuration in its folder.
    ///   - link: the guard's end of the socket pair. The default is the standard input of `roostd edge-guard`.
    public static func run(configuration: Configuration, link: Int32 = 0) throws(AnycastError) {
        // On a busy host, whoever withdraws must come first. Not being allowed to is no reason not to guard.
        setpriority(Int32(PRIO_PROCESS.rawValue), 0, -10)
        signal(SIGPIPE, SIG_IGN)
        let lock = try takeLock(configuration)
        defer { lock.release() }
        var edgeGuard = EdgeGuard(configuration: configuration, link: link)
        edgeGuard.serve()
        edgeGuard.finish()
    }

    private init(configuration: Configuration, link: Int32) {
        self.configuration = configuration
        self.link = link
    }

    private static func takeLock(_ configuration: Configuration) throws(AnycastError) -> FileLock {
        let deadline = BootClock.now() + lockPatience
        while true {
            do throws(SystemError) {
                if let lock = try FileLock.attempt(configuration.lockPath) { return lock }
            } catch {
                throw AnycastError(operation: "lock", subject: configuration.lockPath, cause: error.description)
            }
            guard BootClock.now() < deadline else {
                throw AnycastError(
                    operation: "lock", subject: configuration.lockPath,
                    cause: "another guard of this folder is running; it ends with its roostd")
            }
            usleep(useconds_t(pauseBeforeRetry.milliseconds * 1000))
        }
    }

    private mutating func serve() {
        while true {
            let now = BootClock.now()
            tendBird(now: now)
            let wanted = deadMan.wanted(at: now)
            if wanted != applied { apply(wanted) }
            let times = [deadMan.deadline(at: now), bird == nil ? nextStartAt : nextLookAt].compactMap { $0 }
            var wait = (times.min() ?? now + Self.lookInterval) - BootClock.now()
            if bird != nil, applied != deadMan.wanted(at: now) { wait = min(wait, Self.pauseBeforeRetry) }
            guard receiveReports(within: max(wait, .zero)) else { return }
        }
    }

    /// - Returns: false when the other end is gone.
    private mutating func receiveReports(within time: Duration) -> Bool {
        var entry = pollfd(fd: link, events: Int16(POLLIN), revents: 0)
        guard poll(&entry, 1, Int32(clamping: time.milliseconds + 1)) > 0 else { return true }
        var buffer = [UInt8](repeating: 0, count: 64)
        while true {
            let count = recv(link, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            if count == 0 { return false }
            if count < 0 { return errno == EAGAIN || errno == EINTR }
            if let health = GuardMessage.health(of: buffer[count - 1]) { deadMan.report(health, at: BootClock.now()) }
        }
    }

    private mutating func tendBird(now: Moment) {
        if let running = bird, running.child.hasEnded() {
            say("BIRD has ended and is started again")
            lose(running, now: now)
        }
        if bird == nil, now >= nextStartAt {
            do throws(AnycastError) {
                bird = try BirdProcess(configuration)
                birdAnswered = false
                lastAnswerAt = BootClock.now()
                nextLookAt = lastAnswerAt + Self.pauseBeforeRetry
            } catch {
                say("\(error)")
                delayStart(now: now)
            }
        }
        guard let running = bird, now >= nextLookAt else { return }
        do throws(AnycastError) {
            report(try running.status())
        } catch {
            let patience = birdAnswered ? Self.silenceMax : Self.firstAnswerMax
            nextLookAt = BootClock.now() + Self.pauseBeforeRetry
            if BootClock.now() - lastAnswerAt > patience {
                say("BIRD is killed: \(error)")
                running.child.end()
                lose(running, now: BootClock.now())
            }
        }
    }

    private mutating func report(_ status: AnnouncementStatus) {
        let now = BootClock.now()
        birdAnswered = true
        lastAnswerAt = now
        nextLookAt = now + Self.lookInterval
        // Somebody else's hand, by `birdc`: our word counts.
        if status.announced != applied { applied = nil }
        let text = Array(GuardMessage.text(of: status).utf8)
        send(link, text, text.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
    }

    private mutating func apply(_ wanted: EdgeHealth) {
        guard let running = bird else { return }
        do throws(AnycastError) {
            try running.announce(wanted)
            applied = wanted
            report(try running.status())
        } catch {
            applied = nil
            guard birdAnswered, wanted == .down else { return }
            say("BIRD is killed since it does not withdraw: \(error)")
            running.child.end()
            lose(running, now: BootClock.now())
        }
    }

    private mutating func lose(_ running: BirdProcess, now: Moment) {
        if now - running.startedAt > Self.goodLife { startDelay = Self.startDelayMin }
        bird = nil
        applied = nil
        delayStart(now: now)
    }

    private mutating func delayStart(now: Moment) {
        nextStartAt = now + startDelay
        startDelay = min(startDelay * 2, Self.startDelayMax)
    }

    /// roostd is gone. Withdrawing before BIRD ends spares the neighbours a session that breaks with routes in it.
    private mutating func finish() {
        guard let running = bird else { return }
        do throws(AnycastError) { try running.announce(.down) } catch { say("\(error)") }
        running.child.end()
        unlink(configuration.pidPath)
    }

    private func say(_ text: String) {
        let line = Array("edge guard: \(text)\n".utf8)
        write(2, line, line.count)
    }
}
