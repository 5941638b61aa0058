public import RoostModel

/// What is to be done next for a machine. Every step can be cut off anywhere and be repeated.
public enum MachineStep: Hashable, Sendable {
    /// See what really is there.
    case look
    /// Launch process 1 under this name.
    case launch(attempt: String)
    /// Wait for the end of process 1, at most until then.
    case watch(attempt: String, until: Moment?)
    /// Send process 1 the signal.
    case signal(attempt: String, String)
    /// End every process of the machine.
    case kill
    /// Take apart what a launch left.
    case remove
    /// Let go of the machine's volumes.
    case release
    /// End every process and take everything apart, the machine's link and address too.
    case dismantle
    /// Nothing, until an order comes or that time.
    case rest(until: Moment?)
    /// Nothing any more.
    case gone

    /// An order that changes something ends the step before its time. The others are short.
    public var isInterruptible: Bool {
        switch self {
        case .launch, .watch, .rest: true
        case .look, .signal, .kill, .remove, .release, .dismantle, .gone: false
        }
    }
}

/// What came of a step.
public enum MachineFinding: Hashable, Sendable {
    /// The step is done, or was broken off: there is nothing to tell but what a look will show.
    case nothing
    case seen(MachineObservation)
    /// - Parameter isPermanent: trying again would come to the same.
    case launchFailed(attempt: String, why: String, isPermanent: Bool)
    case signalled(attempt: String)
    /// The machine's volumes are let go.
    case released
    /// Nothing of the machine is left on the host.
    case dismantled
}

/// Something worth telling those who ask what became of a machine. Its id and its time are given by who writes it down.
public struct MachineNews: Hashable, Sendable {
    public var kind: MachineEvent.Kind
    /// The state that it led to.
    public var status: MachineState
    public var source: MachineEvent.Source
    public var exit: MachineEvent.Exit?
    public var message: String?

    init(
        _ kind: MachineEvent.Kind, _ status: MachineState, by source: MachineEvent.Source,
        exit: MachineEvent.Exit? = nil, message: String? = nil
    ) {
        self.kind = kind
        self.status = status
        self.source = source
        self.exit = exit
        self.message = message
    }
}

/// The next step and what is worth telling. A life that changed is written down before the step is taken.
public struct MachineTurn: Hashable, Sendable {
    public var step: MachineStep
    public var news: [MachineNews]

    init(_ step: MachineStep, _ news: MachineNews...) {
        self.step = step
        self.news = news
    }
}
