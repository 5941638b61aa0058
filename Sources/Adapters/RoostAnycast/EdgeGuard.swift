import CLinux
import Glibc
import RoostLinux
import RoostModel
import RoostWire

/// The dead man's switch between the edge and BIRD, a process of its own: `roostd edge-guard …`. Like the edge it outlives
/// roostd.
///
/// It announces what the edge reports, as long as it reports, and no more than roostd wants. When nothing has come from
/// the edge for ``DeadManSwitch/patience``, or the edge is gone (its end of a socket has closed), it withdraws; and when
/// it dies itself, the kernel kills BIRD, and the neighbours see the session close. A BIRD that does not answer is
/// killed, for its silence means that nobody could withdraw.
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

        /// What BIRD starts with: it announces nothing then.
        var birdPath: String { birdPath(announcing: .down) }
        /// What a BIRD that runs reads anew: it takes from the file whether a protocol is disabled.
        func birdPath(announcing health: EdgeHealth) -> String {
            switch health {
            case .down: directory + "/bird.conf"
            case .draining, .healthy: directory + "/bird-\(health.rawValue).conf"
            }
        }
        /// What BIRD itself writes; the rest of the folder is not its to write, since root reads and writes there.
        var birdFolder: String { directory + "/bird" }
        var controlPath: String { birdFolder + "/bird.ctl" }
        var pidPath: String { birdFolder + "/bird.pid" }
        var lockPath: String { directory + "/guard.lock" }
        /// Where roostd finds the guard.
        var socketPath: String { directory + "/guard.sock" }
    }

    private let configuration: Configuration
    /// Where roostd comes to.
    private let listener: Int32

    private var admission = GuardAdmission()
    private var roostd: PassingSocket?
    private var edges: [PassingSocket] = []
    private var judgement = GuardJudgement()
    private var isFinished = false
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
    /// For the guard before us, which was told to finish, to do so.
    private static let lockPatience = Duration.seconds(2)
    private static let backlog: Int32 = 4
    /// Looks at what has come before something is decided, and messages that one socket is asked for at a look: whoever fills
    /// a socket faster than it is read holds up no withdrawal.
    private static let roundsMax = 16
    private static let messagesMax = 64

    /// Runs until roostd says that it is over; then what was announced is withdrawn and BIRD has ended.
    ///
    /// - Parameters:
    ///   - configuration: ``BirdAnnouncer`` has written BIRD's configuration in its folder.
    ///   - socket: bound, for the guard to listen on. The default is the standard input of `roostd edge-guard`.
    public static func run(configuration: Configuration, socket: Int32 = 0) throws(AnycastError) {
        // On a busy host, whoever withdraws must come first. Not being allowed to is no reason not to guard.
        setpriority(Int32(PRIO_PROCESS.rawValue), 0, -10)
        signal(SIGPIPE, SIG_IGN)
        let lock = try takeLock(configuration)
        defer { lock.release() }
        guard Glibc.listen(socket, backlog) == 0 else {
            throw AnycastError(
                operation: "listen on", subject: configuration.socketPath, cause: SystemError("listen", "").description)
        }
        var edgeGuard = EdgeGuard(configuration: configuration, listener: socket)
        edgeGuard.serve()
        edgeGuard.finish()
    }

    private init(configuration: Configuration, listener: Int32) {
        self.configuration = configuration
        self.listener = listener
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
                    cause: "another guard of this folder is running, and does not answer roostd")
            }
            usleep(useconds_t(pauseBeforeRetry.milliseconds * 1000))
        }
    }

    private mutating func serve() {
        while !isFinished {
            let now = BootClock.now()
            tendBird(now: now)
            let wanted = judgement.wanted(at: now)
            if wanted != applied { apply(wanted) }
            let times = [
                judgement.deadline(at: now), bird == nil ? nextStartAt : nextLookAt, admission.nextTry(at: now),
            ].compactMap { $0 }
            var wait = (times.min() ?? now + Self.lookInterval) - BootClock.now()
            if bird != nil, applied != judgement.wanted(at: now) { wait = min(wait, Self.pauseBeforeRetry) }
            receive(within: max(wait, .zero))
        }
    }

    /// All that has come: nothing is decided by a part of it, unless there is no end to it.
    private mutating func receive(within time: Duration) {
        var isMoreLikely = attend(milliseconds: time.milliseconds + 1)
        // An edge drops a link when roostd has brought us its next one, which may have come since we looked.
        for _ in 1..<Self.roundsMax where isMoreLikely { isMoreLikely = attend(milliseconds: 0) }
    }

    /// roostd first: an edge that it brings may have spoken already, and the edge before it may have gone.
    /// - Returns: whether an edge is gone or a roostd has come.
    private mutating func attend(milliseconds: Int64) -> Bool {
        // The kernel passes over what is below 0.
        let files =
            [admission.nextTry(at: BootClock.now()) == nil ? listener : -1] + [roostd?.descriptor].compactMap { $0 }
            + edges.map(\.descriptor)
        var entries = files.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        guard poll(&entries, nfds_t(entries.count), Int32(clamping: milliseconds)) > 0 else { return false }
        // A roostd that comes takes the place of another, whose last orders were given before.
        takeOrders()
        let isVisited = entries[0].revents != 0 && admit()
        takeOrders()
        let count = edges.count
        for edge in edges { listen(to: edge) }
        return isVisited || edges.count < count
    }

    private mutating func takeOrders() {
        for _ in 0..<Self.messagesMax {
            guard let roostd, let reading = Self.read(roostd) else { return }
            guard case .bytes(let bytes, let files) = reading else {
                self.roostd = nil
                return
            }
            obey(GuardOrder(bytes), files)
        }
    }

    /// What has come; nil when nothing has. A socket that fails has ended.
    private static func read(_ socket: PassingSocket) -> PassingSocket.Reading? {
        guard let reading = try? socket.receive() else { return .end }
        if case .nothing = reading { return nil }
        return reading
    }

    /// - Returns: whether somebody has come.
    private mutating func admit() -> Bool {
        let accepted = accept(listener, nil, nil)
        guard accepted >= 0 else {
            let error = SystemError("accept", configuration.socketPath)
            if GuardAdmission.isOfOneVisitor(error.code) { return false }
            if admission.failed(at: BootClock.now()) { say("roostd cannot come in: \(error)") }
            return false
        }
        admission.succeeded()
        _ = fcntl(accepted, F_SETFD, FD_CLOEXEC)
        let socket = PassingSocket(descriptor: accepted)
        guard let peer = try? socket.peer(), peer.user == geteuid() else {
            say("somebody else wants to give orders")
            return true
        }
        roostd = socket
        return true
    }

    private mutating func obey(_ order: GuardOrder?, _ files: [Int32]) {
        switch order {
        case .want(let health): judgement.order = health
        case .watch:
            for file in files { watch(PassingSocket(descriptor: file)) }
            return
        case .configure:
            do throws(AnycastError) { try bird?.configure() } catch { say("\(error)") }
            applied = nil
        case .finish: isFinished = true
        case nil: break
        }
        for file in files { close(file) }
    }

    private mutating func watch(_ edge: PassingSocket) {
        if edges.count == GuardJudgement.edgesMax { judgement.lose(edges.removeFirst().descriptor) }
        edges.append(edge)
        judgement.watch(edge.descriptor)
    }

    private mutating func listen(to edge: PassingSocket) {
        for _ in 0..<Self.messagesMax {
            guard let reading = Self.read(edge) else { return }
            guard case .bytes(let bytes, let files) = reading else {
                edges.removeAll { $0 === edge }
                judgement.lose(edge.descriptor)
                return
            }
            for file in files { close(file) }
            guard let health = bytes.last.flatMap({ EdgeHealth(byte: $0) }) else { continue }
            judgement.report(health, of: edge.descriptor, at: BootClock.now())
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
        try? roostd?.send(Array(GuardMessage.text(of: status).utf8), waits: false)
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

    /// Withdrawing before BIRD ends spares the neighbours a session that breaks with routes in it.
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
