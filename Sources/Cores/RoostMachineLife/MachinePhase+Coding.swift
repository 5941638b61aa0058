import RoostModel

// How a phase is written in the ledger: its name, and what belongs to it. A name that this version does not know is an
// error: such a row is set aside, never guessed at.
extension MachinePhase: Codable {
    private enum Name: String, Codable {
        case created, due, launching, running, ending, settling, resting, destroying, destroyed
    }

    private enum RestName: String, Codable {
        case ended, unlaunchable
        case calledOff = "called_off"
        case gaveUp = "gave_up"
    }

    private enum CodingKeys: String, CodingKey {
        case name, attempt, then, signal, rest, exit, why
        case isFirst = "is_first"
        case notBefore = "not_before_ms"
        case timeout = "timeout_ms"
        case since = "since_ms"
        case isSignalled = "is_signalled"
        case hasRun = "has_run"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        func moment(_ key: CodingKeys) throws -> Moment? {
            try container.decodeIfPresent(Int64.self, forKey: key).map { Moment(sinceBoot: .milliseconds($0)) }
        }
        switch try container.decode(Name.self, forKey: .name) {
        case .created: self = .created
        case .due:
            self = .due(
                Due(isFirst: try container.decode(Bool.self, forKey: .isFirst), notBefore: try moment(.notBefore)))
        case .launching: self = .launching(attempt: try container.decode(String.self, forKey: .attempt))
        case .running: self = .running(attempt: try container.decode(String.self, forKey: .attempt))
        case .ending:
            self = .ending(
                Ending(
                    attempt: try container.decode(String.self, forKey: .attempt),
                    then: try container.decode(Ending.Sequel.self, forKey: .then),
                    signal: try container.decode(String.self, forKey: .signal),
                    timeout: .milliseconds(try container.decode(Int64.self, forKey: .timeout)),
                    since: try moment(.since) ?? .zero,
                    isSignalled: try container.decode(Bool.self, forKey: .isSignalled),
                    hasRun: try container.decode(Bool.self, forKey: .hasRun)))
        case .settling: self = .settling(try Self.rest(in: container))
        case .resting: self = .resting(try Self.rest(in: container))
        case .destroying: self = .destroying
        case .destroyed: self = .destroyed
        }
    }

    private static func rest(in container: KeyedDecodingContainer<CodingKeys>) throws -> Rest {
        switch try container.decode(RestName.self, forKey: .rest) {
        case .calledOff: .calledOff
        case .ended: .ended(try container.decode(MachineExit.self, forKey: .exit))
        case .gaveUp: .gaveUp(try container.decode(MachineExit.self, forKey: .exit))
        case .unlaunchable: .unlaunchable(try container.decode(String.self, forKey: .why))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        func write(_ rest: Rest) throws {
            switch rest {
            case .calledOff: try container.encode(RestName.calledOff, forKey: .rest)
            case .ended(let exit):
                try container.encode(RestName.ended, forKey: .rest)
                try container.encode(exit, forKey: .exit)
            case .gaveUp(let exit):
                try container.encode(RestName.gaveUp, forKey: .rest)
                try container.encode(exit, forKey: .exit)
            case .unlaunchable(let why):
                try container.encode(RestName.unlaunchable, forKey: .rest)
                try container.encode(why, forKey: .why)
            }
        }
        switch self {
        case .created: try container.encode(Name.created, forKey: .name)
        case .due(let due):
            try container.encode(Name.due, forKey: .name)
            try container.encode(due.isFirst, forKey: .isFirst)
            try container.encodeIfPresent(due.notBefore?.sinceBoot.milliseconds, forKey: .notBefore)
        case .launching(let attempt):
            try container.encode(Name.launching, forKey: .name)
            try container.encode(attempt, forKey: .attempt)
        case .running(let attempt):
            try container.encode(Name.running, forKey: .name)
            try container.encode(attempt, forKey: .attempt)
        case .ending(let ending):
            try container.encode(Name.ending, forKey: .name)
            try container.encode(ending.attempt, forKey: .attempt)
            try container.encode(ending.then, forKey: .then)
            try container.encode(ending.signal, forKey: .signal)
            try container.encode(ending.timeout.milliseconds, forKey: .timeout)
            try container.encode(ending.since.sinceBoot.milliseconds, forKey: .since)
            try container.encode(ending.isSignalled, forKey: .isSignalled)
            try container.encode(ending.hasRun, forKey: .hasRun)
        case .settling(let rest):
            try container.encode(Name.settling, forKey: .name)
            try write(rest)
        case .resting(let rest):
            try container.encode(Name.resting, forKey: .name)
            try write(rest)
        case .destroying: try container.encode(Name.destroying, forKey: .name)
        case .destroyed: try container.encode(Name.destroyed, forKey: .name)
        }
    }
}
