import Glibc
import Logging
import RoostEdgeLink
import RoostLinux
import RoostModel
import RoostPostgresWire
import RoostWire

/// What the keeper does, round by round, on one thread: there is one edge that serves, or two while one replaces the
/// other, and perhaps some that serve their last sessions.
struct EdgeRounds {
    /// The longest that nothing is looked at.
    private static let roundMax = Duration.milliseconds(200)
    /// While an edge is awaited.
    private static let roundMin = Duration.milliseconds(10)
    private static let beatInterval = Duration.seconds(1)
    /// Of one edge, in a round: others are waiting.
    private static let readingsMax = 16
    /// For an edge that was ended to be gone. One that the kernel does not let go is no edge any more.
    private static let deathPatience = Duration.seconds(5)
    /// For a new edge to have its routes, before the old one goes on alone.
    private static let readyPatience = Duration.seconds(15)
    private static let bindInterval = Duration.seconds(1)
    /// Between two starts: none the first time, then twice as long each time up to this.
    private static let startDelayMin = Duration.milliseconds(200)
    private static let startDelayMax = Duration.seconds(10)
    /// An edge that lived so long has earned a quick restart.
    private static let goodLife = Duration.seconds(30)
    /// Edges that serve their last sessions. The oldest of more is ended.
    private static let retiringMax = 4
    private static var drainSeconds: Int { Int(EdgeKeeper.drainTime.components.seconds) }

    private let keeper: EdgeKeeper
    /// The oldest first.
    private var edges: [RunningEdge] = []
    private var sockets: [(port: UInt16, descriptor: Int32)] = []
    private var lastRound = BootClock.now()
    private var nextBeat = Moment.zero
    private var nextBind = Moment.zero
    private var nextStart = Moment.zero
    private var startDelay = Duration.zero
    private var nextReplacement = Moment.zero
    private var isReplacementDue = false
    private var said: Set<String> = []

    private var logger: Logger { keeper.logger }

    /// Takes up the edges that run.
    init(_ keeper: EdgeKeeper) {
        self.keeper = keeper
        let names = (try? FolderListing.names(in: keeper.folder)) ?? []
        edges = names.compactMap(RunningEdge.number(ofFile:)).sorted().map {
            RunningEdge(number: $0, folder: keeper.folder, child: nil, now: lastRound)
        }
    }

    /// Waits until something happens or a moment has passed, and does what has become due.
    mutating func next() {
        var entries = [keeper.bell.descriptor].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        for connection in edges.compactMap(\.connection) {
            entries.append(pollfd(fd: connection.descriptor, events: Int16(POLLIN), revents: 0))
        }
        let isWaiting = edges.contains { $0.connection == nil } || edges.isEmpty
        let time = isWaiting ? Self.roundMin : Self.roundMax
        if poll(&entries, nfds_t(entries.count), Int32(clamping: time.milliseconds)) > 0, entries[0].revents != 0 {
            keeper.bell.wait(within: .zero)
        }
        let now = BootClock.now()
        let passed = min(now - lastRound, Self.beatInterval)
        lastRound = now
        let orders = keeper.takeOrders()
        if orders.isReplacementDue {
            isReplacementDue = true
            // Somebody asks: what failed before may be mended.
            nextReplacement = now
        }
        for edge in edges { attend(edge, orders, passed: passed, now: now) }
        bury(now: now)
        hearCapabilities()
        // Until those that were found have spoken, nobody knows what is missing. One that was ended for its silence and does
        // not go is no reason to leave things as they are for good.
        let isWholeKnown = edges.allSatisfy {
            $0.isKnown || $0.isForeign || $0.child != nil || $0.isLost(at: now)
        }
        if isWholeKnown { listen(orders, now: now) }
        // Those that have spoken are served whatever the others do.
        engage(orders)
        if isWholeKnown { decide(orders, now: now) }
        beat(now: now)
    }

    /// This roostd ends; the edges go on.
    mutating func end() {
        for socket in sockets { close(socket.descriptor) }
        sockets = []
    }

    // MARK: - What the edges say

    private mutating func attend(_ edge: RunningEdge, _ orders: EdgeKeeper.Orders, passed: Duration, now: Moment) {
        var hasSpoken = false
        var link = EdgePatience.Sight.open
        do {
            if edge.connection == nil { try contact(edge, now: now) }
            // What is left is there in the next round, which begins at once.
            for _ in 0..<Self.readingsMax {
                guard let connection = edge.connection else { break }
                guard let received = try connection.receive() else {
                    edge.disconnect()
                    link = .failed
                    break
                }
                if received.isEmpty { break }
                hasSpoken = true
                edge.mustBeGoneBy = nil
                for item in received { hear(item, of: edge, orders) }
            }
        } catch {
            complain(of: edge, "the link to the edge has failed", error)
            edge.disconnect()
            link = Self.isOwnLack(error) ? .lack : .failed
        }
        edge.patience.pass(
            passed, hasSpoken: hasSpoken, isKnown: edge.isKnown || edge.isForeign, link: link)
    }

    /// What this process lacks says nothing of an edge, which may serve its clients well. Files that came and had no place
    /// here are such an error too; those that are missing otherwise were not sent.
    static func isOwnLack(_ error: any Error) -> Bool {
        guard let error = error as? SystemError else { return false }
        return [EMFILE, ENFILE, ENOMEM, ENOBUFS].contains(error.code)
    }

    private mutating func contact(_ edge: RunningEdge, now: Moment) throws {
        switch try edge.connect(as: keeper.program.account.user, release: Release.version) {
        case .made, .busy: break
        case .none:
            // Whoever found it so will not see it come back; ours may still be on its way.
            guard edge.child == nil else { return }
            if edge.process > 0, !edge.isRetiring { lament(edge, now: now) }
            forget(edge)
        case .stranger(let peer):
            logger.error(
                "somebody else listens where an edge should; it is told nothing",
                metadata: ["path": "\(edge.path)", "user": "\(peer.user)", "process": "\(peer.process)"])
            forget(edge)
        }
    }

    private mutating func hear(
        _ received: EdgeConnection.Received, of edge: RunningEdge, _ orders: EdgeKeeper.Orders
    ) {
        switch received.message {
        case .greeting(let greeting):
            edge.greeting = greeting
            edge.hasSpoken = true
            if greeting.isRetiring == true { edge.retires() }
            if edge.child == nil {
                logger.notice(
                    "an edge runs and is taken over",
                    metadata: ["process": "\(edge.process)", "release": "\(greeting.release)"])
                guard !edge.isRetiring else { return }
                if edge.isForeign || keeper.program.isOutdated(edge.process) { isReplacementDue = true }
            }
        case .listeners(let body):
            edge.hasShownSockets = true
            edge.isListening = !body.ports.isEmpty
            guard sockets.isEmpty, edge.isListening, orders.isAccepting, !edge.isRetiring else {
                for file in received.files { close(file) }
                return
            }
            sockets = Array(zip(body.ports, received.files)).map { (port: $0, descriptor: $1) }
        case .report(let report):
            edge.isInformed = report.isInformed
            edge.isAccepting = report.listenersOpen > 0
            edge.mayLetIn = edge.isAccepting
            if report.isRetiring { edge.retires() }
            if !edge.isRetiring { keeper.note(report.counters) }
        case .routes, .guarding, .retire, .beat:
            for file in received.files { close(file) }
        }
    }

    /// What all of them can do counts: a client may come to any. Of one that says nothing, or whose link has just failed,
    /// nobody knows what it can do, and what was said before stays.
    private func hearCapabilities() {
        let serving = edges.filter(\.servesClients)
        let said = serving.compactMap(\.capabilities)
        guard said.count == serving.count, let first = said.first else { return }
        keeper.note(said.dropFirst().reduce(first) { $0.intersection($1) })
    }

    // MARK: - The end of edges

    private mutating func bury(now: Moment) {
        for edge in edges {
            if edge.connection == nil, edge.hasEnded {
                if !edge.isRetiring { lament(edge, now: now) }
                forget(edge)
            } else if edge.patience.isOver {
                logger.error(
                    "the edge is silent, or drops every link, and is ended", metadata: ["process": "\(edge.process)"])
                edge.disconnect()
                edge.kill()
                edge.patience = EdgePatience()
                if edge.mustBeGoneBy == nil { edge.mustBeGoneBy = now + Self.deathPatience }
            }
        }
        let retiring = edges.filter(\.isRetiring)
        if retiring.count > Self.retiringMax, let oldest = retiring.first {
            logger.warning(
                "too many edges serve their last sessions; the oldest is ended",
                metadata: ["process": "\(oldest.process)"])
            oldest.disconnect()
            oldest.kill()
        }
    }

    private mutating func lament(_ edge: RunningEdge, now: Moment) {
        if let other = edges.last(where: { $0 !== edge && !$0.isRetiring }) {
            // One was to replace the other, and there is one still.
            let isNew = edge.number > other.number
            logger.error(
                isNew
                    ? "the new edge has ended before it was ready; the old one goes on"
                    : "the edge that was being replaced has ended; the new one takes over at once",
                metadata: ["process": "\(edge.process)"])
            if isNew { postponeReplacement(now: now) }
            return
        }
        if now - edge.since > Self.goodLife { startDelay = .zero }
        nextStart = now + startDelay
        logger.error(
            "the edge has ended and is started again",
            metadata: ["process": "\(edge.process)", "after_ms": "\(startDelay.milliseconds)"])
        startDelay = min(max(startDelay * 2, Self.startDelayMin), Self.startDelayMax)
    }

    private mutating func forget(_ edge: RunningEdge) {
        edges.removeAll { $0 === edge }
        unlink(edge.path)
        ProgramCgroup.remove(RunningEdge.name(edge.number), below: keeper.program.cgroupParent)
    }

    // MARK: - What they are told

    /// The listening sockets: bound once, kept for every edge that comes.
    private mutating func listen(_ orders: EdgeKeeper.Orders, now: Moment) {
        if orders.isAccepting, sockets.isEmpty, now >= nextBind {
            do throws(SystemError) {
                try bind()
                said.remove("bind")
            } catch {
                nextBind = now + Self.bindInterval
                sayOnce("bind", "cannot listen, trying again every second", "\(error)")
            }
            for edge in edges { edge.isListening = false }
        }
        guard !orders.isAccepting, !sockets.isEmpty || edges.contains(where: \.isListening) else { return }
        for socket in sockets { close(socket.descriptor) }
        sockets = []
        for edge in edges where edge.isListening { attempt(edge) { try pass([], to: $0) } }
    }

    private mutating func bind() throws(SystemError) {
        var bound: [(port: UInt16, descriptor: Int32)] = []
        do throws(SystemError) {
            for port in keeper.program.ports {
                for _ in 0..<keeper.program.socketsPerPort {
                    bound.append((port: port, descriptor: try BoundSocket.tcp(port: port)))
                }
            }
        } catch {
            for socket in bound { close(socket.descriptor) }
            throw error
        }
        sockets = bound
    }

    private func pass(_ sockets: [(port: UInt16, descriptor: Int32)], to edge: RunningEdge) throws {
        try edge.connection?.send(
            .listeners(EdgeListenersBody(ports: sockets.map(\.port))), files: sockets.map(\.descriptor))
        edge.isListening = !sockets.isEmpty
    }

    /// Brings every edge up to what is wanted of it. Those that serve their last sessions hear of routes too: a primary
    /// that leads no more must be left by them as well.
    private mutating func engage(_ orders: EdgeKeeper.Orders) {
        for edge in edges where edge.isKnown {
            attempt(edge) { edge in
                // What an edge knows may be newer than what was on our disk.
                if let table = orders.table, orders.isLive || edge.greeting?.isInformed != true {
                    for address in try edge.tell(table) {
                        logger.error(
                            "the certificate or route of a cluster is too long for the edge; nobody is served there",
                            metadata: ["address": "\(address)"])
                    }
                }
                guard !edge.isRetiring else { return try edge.tellToRetire(within: Self.drainSeconds) }
                // Two that accept at one socket would wake each other for nothing. Whoever connects meanwhile waits.
                let isFree = edges.allSatisfy { $0 === edge || !$0.mayAccept(at: lastRound) }
                if !edge.isListening, !sockets.isEmpty, isFree { try pass(sockets, to: edge) }
                if !edge.isGuarded { try putUnderGuard(edge) }
            }
        }
    }

    /// The guard has the new link before the edge hears of it: the edge then drops the one that it has, and a guard that
    /// knew of no other would withdraw. Where the guard has not been reached yet, in a later round.
    private func putUnderGuard(_ edge: RunningEdge) throws {
        let (guardEnd, edgeEnd) = try UnixSocket.pair(.packets)
        defer { close(edgeEnd) }
        guard keeper.watch(guardEnd) else { return }
        try edge.connection?.send(.guarding, files: [edgeEnd])
        edge.isGuarded = true
    }

    private mutating func beat(now: Moment) {
        guard now >= nextBeat else { return }
        nextBeat = now + Self.beatInterval
        for edge in edges where edge.isKnown { attempt(edge) { try $0.connection?.send(.beat) } }
    }

    private func attempt(_ edge: RunningEdge, _ work: (RunningEdge) throws -> Void) {
        do { try work(edge) } catch {
            complain(of: edge, "the edge takes no orders", error)
            edge.disconnect()
        }
    }

    private func complain(of edge: RunningEdge, _ what: String, _ error: any Error) {
        guard edge.troubles.isNew("\(what): \(error)", lastRound) else { return }
        logger.error(
            "\(what)",
            metadata: ["edge": "\(edge.number)", "process": "\(edge.process)", "error": "\(error)"])
    }

    // MARK: - Which edges there are to be

    private mutating func decide(_ orders: EdgeKeeper.Orders, now: Moment) {
        let serving = edges.filter { !$0.isRetiring && !$0.isLost(at: now) }
        guard let newest = serving.last else {
            guard now >= nextStart else { return }
            // What is started is what is installed.
            isReplacementDue = false
            start(now: now)
            return
        }
        if serving.count == 1 {
            guard isReplacementDue, newest.isKnown || newest.isForeign, now >= nextReplacement else { return }
            isReplacementDue = false
            logger.notice("the edge is replaced", metadata: ["process": "\(newest.process)"])
            start(now: now)
        } else if newest.isKnown, newest.isGuarded, newest.isInformed {
            for edge in serving.dropLast() { retire(edge) }
        } else if now - newest.since > Self.readyPatience {
            logger.error(
                "the new edge does not become ready; the old one goes on", metadata: ["process": "\(newest.process)"])
            postponeReplacement(now: now)
            newest.isRetiring = true
            newest.disconnect()
            newest.kill()
        }
    }

    /// The one that serves goes on, and is to be replaced as before.
    private mutating func postponeReplacement(now: Moment) {
        nextReplacement = now + keeper.replacementInterval
        isReplacementDue = true
    }

    private func retire(_ edge: RunningEdge) {
        // One whose link is just being made again hears of it in a later round.
        guard edge.isKnown || edge.isForeign else { return }
        edge.isRetiring = true
        edge.mustRetire = true
        logger.notice("the edge before serves its sessions to their end", metadata: ["process": "\(edge.process)"])
        guard edge.isKnown else {
            // It does not speak as we do; this every program understands.
            _ = kill(edge.process, SIGTERM)
            return
        }
        attempt(edge) { try $0.tellToRetire(within: Self.drainSeconds) }
    }

    private mutating func start(now: Moment) {
        let number = (edges.map(\.number).max() ?? 0) + 1
        let name = RunningEdge.name(number)
        do throws(SystemError) {
            let socket = try UnixSocket.bind(RunningEdge.path(number, in: keeper.folder))
            defer { close(socket) }
            let child = try keeper.program.start(socket: socket)
            edges.append(RunningEdge(number: number, folder: keeper.folder, child: child, now: now))
            said.remove("start")
            bound(child.pid, name)
        } catch {
            nextStart = now + max(startDelay, Self.startDelayMin)
            startDelay = min(max(startDelay * 2, Self.startDelayMin), Self.startDelayMax)
            if edges.contains(where: { !$0.isRetiring }) { postponeReplacement(now: now) }
            sayOnce("start", "the edge cannot be started; trying again", "\(error)")
        }
    }

    private mutating func bound(_ process: pid_t, _ name: String) {
        do throws(SystemError) {
            let group = try ProgramCgroup(
                name, below: keeper.program.cgroupParent, memoryMax: keeper.program.memoryMax,
                processesMax: EdgeProgram.processesMax)
            try group.add(process)
            said.remove("cgroup")
        } catch {
            sayOnce("cgroup", "the memory of the edge is not bounded", "\(error)")
        }
    }

    /// Once for each kind of trouble, until it is over.
    private mutating func sayOnce(_ kind: String, _ what: String, _ error: String) {
        guard said.insert(kind).inserted else { return }
        logger.error("\(what)", metadata: ["error": "\(error)"])
    }
}
