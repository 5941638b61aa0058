public import RoostModel

/// Where a machine's life stands. What is valid only in one phase exists only there.
///
/// |              | start         | stop       | restart  | destroy                  | its process ends        |
/// |--------------|---------------|------------|----------|--------------------------|-------------------------|
/// | `created`    | `due`         | –          | refused  | `destroying`             | –                       |
/// | `due`        | at once       | `settling` | refused  | by force `destroying`    | –                       |
/// | `launching`  | –             | `ending`   | refused  | by force `destroying`    | `due` or `settling`     |
/// | `running`    | –             | `ending`   | `ending` | by force `destroying`    | `due` or `settling`     |
/// | `ending`     | then launched | then rests | refused  | by force `destroying`    | `due` or `settling`     |
/// | `settling`   | `due`         | –          | refused  | by force `destroying`    | –                       |
/// | `resting`    | `due`         | –          | refused  | `destroying`             | –                       |
/// | `destroying` | refused       | –          | refused  | –                        | –                       |
/// | `destroyed`  | refused       | –          | refused  | –                        | –                       |
public enum MachinePhase: Hashable, Sendable {
    /// Known to its host, never launched, and nobody asked for it. Becomes `due` or `destroying`, each by an order.
    case created
    /// Shall be launched, at once or after a pause. Becomes `launching`; by an order `settling` or `destroying`; and
    /// `running`, if a launch that was taken for failed runs after all.
    case due(Due)
    /// A launch of this name may have come to any point between "not begun" and "has ended". Becomes `running`; `due` or
    /// `settling` when it fails or has ended; by an order `ending` or `destroying`.
    case launching(attempt: String)
    /// Process 1 of this launch was seen running. Becomes `ending` or `destroying` by an order; when the process ends,
    /// by the restart policy, `due`, `settling` or (`auto_destroy`) `destroying`.
    case running(attempt: String)
    /// A launch that is to end: the stop signal, and when its time is over, the end of every process. Becomes `settling`
    /// or `due`, as ``Ending/then`` says; by an order `destroying`.
    case ending(Ending)
    /// Nothing runs; what a launch left is cleared away. Becomes `resting`; by an order `due` or `destroying`.
    case settling(Rest)
    /// Nothing is there, and nothing will be but by an order. Becomes `due` or `destroying`.
    case resting(Rest)
    /// All of it is to go, at once. Becomes `destroyed` and nothing else.
    case destroying
    /// Gone; only what is written of it is left. Becomes nothing.
    case destroyed
}

extension MachinePhase {
    /// A launch to come.
    public struct Due: Hashable, Sendable {
        /// There was no launch before, so nothing of one can be there.
        public var isFirst: Bool
        /// Nil: at once.
        public var notBefore: Moment?

        public init(isFirst: Bool, notBefore: Moment? = nil) {
            self.isFirst = isFirst
            self.notBefore = notBefore
        }

        /// What is left of the pause.
        func pause(at now: Moment) -> Duration {
            guard let notBefore, notBefore > now else { return .zero }
            // Longer than any pause: it was written before the host was booted, on a clock that began anew since.
            return notBefore - now > RestartHistory.pauseMax ? .zero : notBefore - now
        }
    }

    /// How a launch is being ended.
    public struct Ending: Hashable, Sendable {
        /// What follows the end.
        public enum Sequel: String, Hashable, Sendable, Codable { case rest, launch }

        public var attempt: String
        public var then: Sequel
        public var signal: String
        /// From the signal (or, if it could not be sent, from the order) to the end of every process.
        public var timeout: Duration
        public var since: Moment
        public var isSignalled: Bool
        /// Its process was seen running.
        public var hasRun: Bool

        public init(
            attempt: String, then: Sequel, signal: String, timeout: Duration, since: Moment, isSignalled: Bool,
            hasRun: Bool
        ) {
            self.attempt = attempt
            self.then = then
            self.signal = signal
            self.timeout = timeout
            self.since = since
            self.isSignalled = isSignalled
            self.hasRun = hasRun
        }

        /// When the time for ending by itself is over.
        func deadline(at now: Moment) -> Moment {
            // In the future: the host was booted since, and its clock began anew.
            since > now ? now : since + timeout
        }
    }

    /// Why nothing runs.
    public enum Rest: Hashable, Sendable {
        /// Stopped before it had begun.
        case calledOff
        /// Its process has ended, as ordered or as the restart policy lets it.
        case ended(MachineExit)
        /// Its process has ended so often in a row that the restart policy gives up.
        case gaveUp(MachineExit)
        /// It could not be launched.
        case unlaunchable(String)

        /// What the API calls it.
        public var state: MachineState {
            switch self {
            case .calledOff, .ended: .stopped
            case .gaveUp, .unlaunchable: .failed
            }
        }
    }

    /// What the API calls the phase.
    public var state: MachineState {
        switch self {
        case .created: .created
        case .due(let due): due.isFirst ? .created : .starting
        case .launching: .starting
        case .running: .started
        case .ending(let ending):
            switch ending.then {
            case .rest: .stopping
            case .launch: .restarting
            }
        case .settling: .stopping
        case .resting(let rest): rest.state
        case .destroying: .destroying
        case .destroyed: .destroyed
        }
    }

    /// Only an order changes anything from here on (or nothing ever does).
    public var isAtRest: Bool {
        switch self {
        case .created, .resting, .destroyed: true
        case .due, .launching, .running, .ending, .settling, .destroying: false
        }
    }

    /// A process of the machine may accept connections.
    public var mayServe: Bool {
        switch self {
        case .running, .ending: true
        case .created, .due, .launching, .settling, .resting, .destroying, .destroyed: false
        }
    }
}
