public import RoostModel
public import RoostRouting

/// One client connection of a Postgres edge, from its first byte to its last: what happens goes in, what is to be done
/// comes out. Sockets, queues and clocks are the shell's (`Session` in RoostEdge) or a simulation's.
///
/// What several sessions share (the queue, the places for logins, what is known of silent members) is asked for by an
/// action, and the answer comes as an event, before anything else does.
///
/// Events and what they lead to, by phase, are in `SessionCore+Client`, `+Search` and `+Backend`.
public struct SessionCore: Sendable {
    public struct Limits: Hashable, Sendable {
        /// From accepting a connection to the whole startup packet, TLS handshake included.
        public var startupTime = Duration.seconds(10)
        /// One attempt to connect to a member.
        public var connectTime = Duration.seconds(1)
        /// From the startup packet to the member's first answer: a frozen Postgres still has a kernel that accepts.
        public var firstReplyTime = Duration.seconds(5)
        /// From the member's first answer to the end of the login. A place at the cluster is taken meanwhile, before
        /// anybody knows who asks.
        public var loginTime = Duration.seconds(10)
        /// From sending a client its last bytes until they have left this host.
        public var farewellTime = Duration.seconds(60)
        /// From then until the client has ended its side. Closing with something unread would take back what was sent.
        public var lingerTime = Duration.seconds(1)
        /// How long a cancel request may take, all members together.
        public var cancelTime = Duration.seconds(3)
        /// From the startup packet to a member that answers.
        public var waitMax = Duration.seconds(15)
        public var replicas = ReplicaLimits()
        /// What a client may say before it is its turn.
        public var earlyBytesMax = 64 << 10

        public init() {}
    }

    public enum Event: Sendable {
        // The client.
        case clientSaid([UInt8])
        case clientSaidAll
        case clientGone
        case tlsBegan(protocolName: String?)
        case farewellSent
        // What is shared: answers to `join`, `enqueue`, `askPlace` and `pick`; `called` and `placed` may come later too.
        case joined
        case turnedAway(Admission.Refusal)
        case decided(HoldQueue.Decision)
        case called
        case placed
        case placeDue
        /// `ofSource`: only its own source has too many that wait.
        case placesCrowded(ofSource: Bool)
        case picked(Backend)
        case cancelHandled
        // The member. An attempt that was given up is not heard any more.
        case backendConnected(attempt: Int)
        case backendFailed(attempt: Int, ConnectFailure)
        case backendSaid(attempt: Int, [UInt8])
        case backendEnded(attempt: Int)
        // The world.
        case routeChanged(ClusterRoute?)
        case reviewDue
        case deadlinePassed
    }

    public enum ConnectFailure: Hashable, Sendable {
        case unreachable
        /// This host is out of something: no sign against the member.
        case short(Shortage)
    }

    /// What a host can be out of.
    public enum Shortage: String, Hashable, Sendable {
        case ports = "local ports"
        case files = "open files"
        case memory = "memory for sockets"
    }

    public enum Action: Hashable, Sendable {
        // To the client.
        case send([UInt8])
        case beginTLS(TLSIdentity, early: [UInt8])
        /// Send this, then nothing more; say when it has left.
        case farewell([UInt8])
        /// Close everything; the session is over.
        case close
        // To what is shared.
        case join(AppName)
        case enqueue(Door, isOpen: Bool)
        case enqueueAgain(Door, HoldTicket?)
        case leaveQueue(Door, HoldTicket)
        case retryLater(Door)
        /// A member has answered: whoever waits may go.
        case reached(Door, HoldTicket?)
        case askPlace(AppName)
        case leavePlaces(AppName)
        case returnPlace(AppName)
        case pick([Backend])
        case cancel(CancelRequest, at: AppName, targets: [Backend])
        // To the member.
        case connect(Backend, attempt: Int)
        case sendBackend([UInt8])
        case closeBackend
        /// The client has said all.
        case finishBackend
        /// From now on what the client says goes to the member, unseen.
        case relayClient
        /// From now on what the member says goes to the client, unseen.
        case relayBackend
        case note(Note)
    }

    /// For counters, the log, and what is known of members.
    public enum Note: Hashable, Sendable {
        case encrypted
        case held
        case refused
        case attemptFailed(Backend, BackendLogin.Unfit)
        case short(Shortage)
        case silent(Backend)
        case answered(Backend)
        /// The login is over; `isIn`: the member let the client in.
        case established(Backend, isIn: Bool)
        case cut(SessionStanding.Reason)
    }

    enum Phase {
        /// Reads what the client says first. Becomes joining, cancelling or farewell.
        case opening(Opening)
        /// Asks whether the cluster has room for one more client. Becomes queueing or farewell.
        case joining(Search)
        /// Asks whether it may try at once. Becomes held, placing or farewell.
        case queueing(Search)
        /// Waits for its cluster to have a member that answers. Becomes placing or farewell.
        case held(Search, HoldTicket)
        /// Waits for a place to log in. Becomes choosing or farewell.
        case placing(Search)
        /// Asks which of the candidates to try. Has a place. Becomes connecting.
        case choosing(Search)
        /// Connects to a member. Has a place. Becomes login, choosing, queueing or farewell.
        case connecting(Search, Attempt)
        /// The member has the startup packet, the client has seen nothing. Has a place. Becomes authenticating,
        /// relaying, choosing, queueing or farewell.
        case login(Search, Attempt, BackendLogin)
        /// The client has seen a part of this member's login: there is no other for it. Has a place. Becomes relaying
        /// or farewell.
        case authenticating(Attempt, BackendLogin, AppName)
        /// Bytes go through unseen. Becomes farewell or closed.
        case relaying(Attempt, AppName)
        /// Its cancel request is on its way. Becomes closed.
        case cancelling
        /// The client's last bytes are being sent. Becomes lingering or closed.
        case farewell(clientHasEnded: Bool)
        /// Everything is sent; what the client still says is dropped. Becomes closed.
        case lingering
        /// Both connections are closed, and nobody knows the session any more.
        case closed
    }

    struct Opening {
        var reader = StartupReader()
        var isTLS = false
        /// TLS without asking: the client must name the protocol in the handshake.
        var mustNegotiate = false
    }

    /// What a client came for, kept until a member has answered it.
    struct Search {
        let app: AppName
        /// What the member gets first: the startup packet, and what came behind it.
        var startup: [UInt8]
        /// The search is in vain after this.
        let deadline: Moment
        /// Members that failed in this round of attempts.
        var tried: Set<MemberName> = []
        /// A place in the queue, if it had to wait.
        var ticket: HoldTicket?
        /// What this host was out of at the last attempt.
        var shortage: Shortage?
    }

    struct Attempt {
        let number: Int
        let backend: Backend
        var standing: SessionStanding
    }

    public let id: SessionID
    /// Where the client is.
    let client: IPv4Address
    public let address: IPv4Address
    public let access: Access
    let limits: Limits
    var route: ClusterRoute?
    var phase = Phase.opening(Opening())
    /// Tells an attempt that was given up from the present one.
    var attempts = 0
    /// The client has said all, while its member still speaks.
    var clientHasEnded = false
    /// When the present phase is too long; nil: never.
    public internal(set) var deadline: Moment?
    /// Of the event that is being handled.
    var now: Moment
    var actions: [Action] = []

    /// A connection to `address` was accepted. `route`: what is served there.
    public init(
        id: SessionID, client: IPv4Address, address: IPv4Address, access: Access, route: ClusterRoute?, limits: Limits,
        now: Moment
    ) {
        self.client = client
        self.id = id
        self.address = address
        self.access = access
        self.route = route
        self.limits = limits
        self.now = now
        deadline = now + limits.startupTime
    }

    public mutating func receive(_ event: Event, now: Moment) -> [Action] {
        self.now = now
        actions = []
        handle(event)
        defer { actions = [] }
        return actions
    }

    private mutating func handle(_ event: Event) {
        switch event {
        case .clientSaid(let bytes): clientSaid(bytes)
        case .clientSaidAll: clientSaidAll()
        case .clientGone: finish()
        case .tlsBegan(let name): tlsBegan(name)
        case .farewellSent: farewellSent()
        case .joined: joined()
        case .turnedAway(let refusal): turnedAway(refusal)
        case .decided(let decision): decided(decision)
        case .called: called()
        case .placed: placed()
        case .placeDue: return
        case .placesCrowded(let ofSource): placesCrowded(ofSource: ofSource)
        case .picked(let backend): picked(backend)
        case .cancelHandled: cancelHandled()
        case .backendConnected(let attempt): backendConnected(attempt)
        case .backendFailed(let attempt, let failure): backendFailed(attempt, failure)
        case .backendSaid(let attempt, let bytes): backendSaid(attempt, bytes)
        case .backendEnded(let attempt): backendEnded(attempt)
        case .routeChanged(let route):
            self.route = route
            review()
        case .reviewDue: review()
        case .deadlinePassed: deadlinePassed()
        }
    }

    // MARK: - What the shell must know

    public var isClosed: Bool {
        if case .closed = phase { true } else { false }
    }

    /// Bytes go through unseen.
    public var isRelaying: Bool {
        if case .relaying = phase { true } else { false }
    }

    /// Something of the client is to be read and told. (What is relayed is the shell's own business.)
    public var readsClient: Bool {
        switch phase {
        case .opening, .lingering: true
        case .joining, .queueing, .held, .placing, .choosing, .connecting, .login, .authenticating, .relaying,
            .cancelling, .farewell, .closed:
            false
        }
    }

    /// Something of the member is to be read and told.
    public var readsBackend: Bool {
        switch phase {
        case .login, .authenticating: true
        case .opening, .joining, .queueing, .held, .placing, .choosing, .connecting, .relaying, .cancelling, .farewell,
            .lingering, .closed:
            false
        }
    }

    var attempt: Attempt? {
        switch phase {
        case .connecting(_, let attempt), .login(_, let attempt, _), .authenticating(let attempt, _, _),
            .relaying(let attempt, _):
            attempt
        case .opening, .joining, .queueing, .held, .placing, .choosing, .cancelling, .farewell, .lingering, .closed:
            nil
        }
    }

    // MARK: - Ways of ending

    func door(of app: AppName) -> Door { Door(app: app, access: access) }

    mutating func enter(_ phase: Phase, until deadline: Moment?) {
        self.phase = phase
        self.deadline = deadline
    }

    /// Ends the session with an error of the edge's own.
    mutating func refuse(_ response: ErrorResponse) {
        actions.append(.note(.refused))
        sayFarewell(response.bytes)
    }

    /// The member is let go; the client gets its last bytes, whatever time it takes within the bound.
    mutating func sayFarewell(_ bytes: [UInt8]) {
        release()
        enter(.farewell(clientHasEnded: clientHasEnded), until: now + limits.farewellTime)
        actions.append(.farewell(bytes))
    }

    mutating func farewellSent() {
        guard case .farewell(let hasEnded) = phase else { return }
        guard !hasEnded else { return finish() }
        enter(.lingering, until: now + limits.lingerTime)
    }

    mutating func finish() {
        if case .closed = phase { return }
        release()
        enter(.closed, until: nil)
        actions.append(.close)
    }

    /// Gives back everything that the present phase holds.
    private mutating func release() {
        switch phase {
        case .opening, .joining, .cancelling, .farewell, .lingering, .closed: return
        case .queueing(let search): leaveQueue(search)
        case .held(let search, _): leaveQueue(search)
        case .placing(let search):
            actions.append(.leavePlaces(search.app))
            leaveQueue(search)
        case .choosing(let search):
            actions.append(.returnPlace(search.app))
            leaveQueue(search)
        case .connecting(let search, _), .login(let search, _, _):
            actions.append(.closeBackend)
            actions.append(.returnPlace(search.app))
            leaveQueue(search)
        case .authenticating(_, _, let app):
            actions.append(.closeBackend)
            actions.append(.returnPlace(app))
        case .relaying:
            actions.append(.closeBackend)
        }
    }

    private mutating func leaveQueue(_ search: Search) {
        guard let ticket = search.ticket else { return }
        actions.append(.leaveQueue(door(of: search.app), ticket))
        actions.append(.retryLater(door(of: search.app)))
    }
}
