/// One change of a member's phase.
package struct PhaseStep: Hashable, Sendable, CustomStringConvertible {
    package var from: FailoverStatus.Phase
    package var to: FailoverStatus.Phase

    package init(from: FailoverStatus.Phase, to: FailoverStatus.Phase) {
        self.from = from
        self.to = to
    }

    package var description: String { "\(from.rawValue) -> \(to.rawValue)" }

    package var isLegal: Bool { from.successors.contains(to) }

    /// All there are, in the order of the phases.
    package static var legal: [PhaseStep] {
        FailoverStatus.Phase.allCases.flatMap { from in from.successors.map { PhaseStep(from: from, to: $0) } }
    }
}

extension FailoverStatus.Phase {
    /// What a phase may become. A running member does not ask: whoever tries one does, the simulation at every event.
    /// Why it becomes the one or the other is said at ``MemberPhase``.
    ///
    /// A machine may be asked to stop at any time, so that every phase but the last has `leaving`. A higher epoch fences off
    /// whoever may have a Postgres that runs, or may be changing its data: those have `severing`.
    package var successors: [Self] {
        switch self {
        case .starting: [.empty, .initializing, .founding, .reading, .exchanging, .claiming, .quarantined, .leaving]
        case .empty: [.initializing, .cloning, .discarding, .quarantined, .leaving]
        case .initializing: [.empty, .founding, .leaving]
        case .founding: [.reading, .claiming, .quarantined, .leaving]
        case .severing: [.empty, .reading, .exchanging, .quarantined, .leaving]
        case .reading: [.severing, .waiting, .cloning, .leaving]
        case .waiting:
            [.severing, .reading, .cloning, .discarding, .rewinding, .following, .claiming, .quarantined, .leaving]
        case .cloning: [.empty, .severing, .reading, .waiting, .exchanging, .leaving]
        case .exchanging: [.severing, .reading, .leaving]
        case .discarding: [.empty, .severing, .leaving]
        case .rewinding: [.severing, .following, .leaving]
        case .following: [.severing, .leaving]
        case .claiming: [.severing, .promoting, .restarting, .resigning, .leaving]
        case .promoting: [.severing, .leading, .suspended, .resigning, .leaving]
        case .restarting: [.severing, .leading, .suspended, .resigning, .leaving]
        case .leading: [.severing, .restarting, .draining, .suspended, .resigning, .leaving]
        case .draining: [.severing, .restarting, .leading, .suspended, .resigning, .leaving]
        case .suspended: [.severing, .claiming, .leaving]
        case .quarantined: [.severing, .leaving]
        case .resigning: [.severing, .leaving]
        case .leaving: []
        }
    }
}
