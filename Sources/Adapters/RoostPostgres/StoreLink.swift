import FoundationEssentials
import RoostFailover
import RoostLinux
import RoostModel
import RoostWire

/// The store, as a member reaches it through its host's socket. All calls block and are made on threads of their own.
struct StoreLink: Sendable {
    let socket: HostSocket
    let deadline: Duration

    /// The host repeats what it knows at least this often, or the stream is taken for dead.
    static let watchSilenceMax = Duration.seconds(30)

    func read() throws -> ClusterView {
        let answer = try socket.request("GET", "/v1/cluster", within: deadline)
        return try JSONDecoder().decode(ClusterView.self, from: Data(answer))
    }

    /// What the host has heard last, where the store does not answer.
    func last() throws -> ClusterView {
        let answer = try socket.request("GET", "/v1/cluster/last", within: deadline)
        return try JSONDecoder().decode(ClusterView.self, from: Data(answer))
    }

    /// Who this member is, and where the others are: as the store has it, or as the host has heard it last.
    func readOrLast() throws -> ClusterView {
        do { return try read() } catch {
            if let view = try? last() { return view }
            throw error
        }
    }

    func holdLease(_ word: LeaseWord) throws {
        _ = try socket.request(
            "PUT", "/v1/cluster/lease", body: Array(try JSONEncoder().encode(word)), within: deadline)
    }

    func changeRule(_ rule: ClusterRule, expectedRevision: Int64) -> StoreAnswer {
        change("rule", ChangeRuleRequest(rule: rule, expectedRevision: expectedRevision))
    }

    func renew(_ heartbeat: Heartbeat, ruleRevision: Int64) -> StoreAnswer {
        change("heartbeat", HeartbeatRequest(heartbeat: heartbeat, ruleRevision: ruleRevision))
    }

    func report(_ report: MemberReport) -> StoreAnswer { change("report", report) }

    func setGate(isOpen: Bool, sequence: UInt64) throws {
        let body = Array(try JSONEncoder().encode(GateRequest(isOpen: isOpen, sequence: sequence)))
        _ = try socket.request("PUT", "/v1/cluster/gate", body: body, within: deadline)
    }

    /// Returns when `receive` says no, and by throwing when the stream breaks.
    ///
    /// - Parameter connected: called when the first view is there.
    func watch(_ receive: (ClusterView) -> Bool, connected: () -> Void) throws {
        var isFirst = true
        try socket.stream("/v1/cluster/watch", silenceMax: Self.watchSilenceMax) { line in
            guard let view = try? JSONDecoder().decode(ClusterView.self, from: Data(line)) else { return false }
            if isFirst { connected() }
            isFirst = false
            return receive(view)
        }
    }

    /// Of what a host says, as it comes into a report.
    static let wordsMax = 300

    /// Whether a refusal is also the host's word that nothing was done, and whether asking again is of use.
    static func answer(to status: Int, _ body: String) -> StoreAnswer {
        let said = try? JSONDecoder().decode(ErrorBody.self, from: Data(body.utf8))
        let code = Refusal.Code(status: status, word: said?.code)
        guard code.changedNothing else { return .unknown }
        guard code == .invalid || code == .failedPrecondition, let said else { return .unavailable }
        return .denied(String(said.error.prefix(wordsMax)))
    }

    private func change(_ what: String, _ body: some Encodable) -> StoreAnswer {
        do {
            let bytes = Array(try JSONEncoder().encode(body))
            let answer = try socket.request("PUT", "/v1/cluster/\(what)", body: bytes, within: deadline)
            guard let outcome = try? JSONDecoder().decode(ChangeOutcome.self, from: Data(answer)) else {
                return .unknown
            }
            return outcome.isApplied ? .applied(revision: outcome.revision) : .refused
        } catch let error as HostSocketError {
            return switch error.cause {
            case .unreachable: .unavailable
            case .unclear: .unknown
            case .status(let status, let body): Self.answer(to: status, body)
            }
        } catch {
            return .unavailable
        }
    }
}

extension StoreView {
    init(_ view: ClusterView) {
        self.init(
            revision: view.revision, members: view.spec.members.map(\.name), rule: view.rule,
            ruleRevision: view.ruleRevision, heartbeat: view.heartbeat, reports: view.reports,
            wallClock: WallClock.milliseconds(), hostTakesWord: view.takesLeaseWord ?? false,
            hostTakesVotes: view.takesVotes ?? false)
    }
}
