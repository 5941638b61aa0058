import RoostFailover
import RoostLinux
import RoostModel
import RoostWire

/// A standby without a stream asks its leader itself whether it could ever go on: does the leader still have the log from
/// here on, and is what is here a part of it?
///
/// It asks as its receiver would, on a connection of its own, in the replication protocol: what it hears comes from the
/// leader's walsender and from nowhere else. Nothing that a client writes is in it.
struct LeaderTrial: Sendable {
    enum Verdict: Hashable, Sendable {
        /// It could go on.
        case canFollow
        /// Never: the leader is of this epoch, and has removed the log from here on, or its history is another.
        case cannotFollow(String)
        /// Never: the leader is of this epoch, of the same history, and has less than it had sent. The log of a leader that
        /// only went on would be longer; it is the leader that has lost something, and a copy of it would lose it here too.
        case leaderLostLog(String)
        /// Never: what is here and what the leader has were not made by the same initdb. No copy is made for that: it may
        /// be the store that is mistaken about who leads, and this the only data that counts.
        case otherData(String)
        /// Nobody knows: no answer, or none of the leader of this epoch.
        case unclear(String)
    }

    /// How far a standby is.
    struct Position: Hashable, Sendable {
        /// Which database this is: initdb draws the number.
        var system: String
        /// The end of the last record that it has replayed, whole. What was received beyond may be a part of a record that
        /// its leader never finished, and writes anew: that is no other history.
        var replayed: LSN
        /// Of the last replayed byte.
        var timeline: UInt32
        /// Where each of its timelines begins, but the first.
        var forks: [TimelineFork] = []
        /// What it has received, replayed or not.
        var received: LSN
    }

    /// Each question's.
    static let questionDeadline = Duration.seconds(3)
    /// `undefined_file` (errcodes.txt): what a walsender says of a segment that is gone (walsender.c, WalSndSegmentOpen).
    private static let undefinedFile = "58P01"

    private let database: Database
    private let leader: MemberName
    private let slot: String
    private let begun: TimelineFork?
    private let isReader: Bool

    /// - Parameters:
    ///   - parameters: libpq's, of a connection that may replicate.
    ///   - slot: only the leader of the epoch in its name has it.
    ///   - begun: the timeline that the leader's own reign began, as the rule has it; nil when nobody knows.
    ///   - isReader: it is a reader that asks, of the standby that feeds it.
    init(
        _ leader: MemberName, slot: String, begun: TimelineFork?, isReader: Bool = false, parameters: [(String, String)]
    ) throws(SystemError) {
        self.leader = leader
        self.slot = slot
        self.begun = begun
        self.isReader = isReader
        database = try Database(
            leader.text, parameters: parameters + [("replication", "true")], connectDeadline: Self.questionDeadline)
    }

    func ask(for position: Position) async -> Verdict {
        do {
            if let why = try await obstacleToBelief() { return .unclear("\(leader): \(why)") }
            let (system, timeline, flushed) = try await identify()
            guard system == position.system else {
                return .otherData(
                    "has the data of database system \(position.system), and \(leader) has that of \(system): it is kept"
                )
            }
            // A standby that is behind gets there.
            if isReader, (position.timeline, position.replayed) > (timeline, flushed) {
                return .unclear("\(leader) is not so far yet")
            }
            if let verdict = try await comparison(of: position, with: timeline, flushed) { return verdict }
            return try await tryLog(from: position, of: timeline)
        } catch {
            return .unclear("\(error)")
        }
    }

    /// Why it is not the leader of the epoch; nil when it is.
    private func obstacleToBelief() async throws(DatabaseError) -> String? {
        let found = try await ask("READ_REPLICATION_SLOT \"\(slot)\"")
        // A row of nothing when there is no such slot (PostgreSQL manual, 53.4).
        guard found.first?.first == "physical" else { return "it has no slot \(slot)" }
        let answer = try await ask("SHOW in_hot_standby").first?.first
        return Self.obstacle(whenItSays: answer ?? nil, toReader: isReader)
    }

    /// By `in_hot_standby`: whoever says neither on nor off is believed neither.
    static func obstacle(whenItSays answer: String?, toReader isReader: Bool) -> String? {
        if isReader { return answer == "on" ? nil : "it is no standby" }
        // A leader that stepped down may have the slot still.
        return answer == "off" ? nil : "it does not lead"
    }

    private func identify() async throws(DatabaseError) -> (system: String, timeline: UInt32, flushed: LSN) {
        let row = try await ask("IDENTIFY_SYSTEM").first ?? []
        guard row.count >= 3, let system = row[0], let timeline = row[1].flatMap({ UInt32($0) }),
            let flushed = row[2].flatMap({ LSN(text: $0) })
        else { throw unexpected("IDENTIFY_SYSTEM") }
        return (system, timeline, flushed)
    }

    /// How the log here differs from the leader's for good; nil when it is a part of it.
    private func comparison(of position: Position, with timeline: UInt32, _ flushed: LSN) async throws(DatabaseError)
        -> Verdict?
    {
        let here = "has log up to \(position.replayed) of timeline \(position.timeline)"
        if position.timeline > timeline {
            let words = "\(here), but \(leader) is on timeline \(timeline)"
            // A Postgres that somebody promoted here goes on from the leader's log, too. Only the timeline that the rule
            // let the leader begin was the leader's.
            guard let begun, begun.timeline == position.timeline, begun == position.forks.last else {
                return .cannotFollow(words)
            }
            let forks = try await forks(of: timeline)
            let isAhead = position.forks.filter { $0.timeline <= timeline } == forks
            return isAhead ? .leaderLostLog(words) : .cannotFollow(words)
        }
        if position.timeline == timeline {
            // The leader's end only grows: asked after the position here was read, it cannot be a moment old.
            guard position.replayed > flushed else { return nil }
            let words = "\(here), but that of \(leader) ends at \(flushed)"
            // Two forks may bear one number.
            return try await forks(of: timeline) == position.forks ? .leaderLostLog(words) : .cannotFollow(words)
        }
        guard let common = try await ancestors(of: timeline).first(where: { $0.timeline == position.timeline }) else {
            return .cannotFollow("\(here), which is not in the history of \(leader)")
        }
        guard position.replayed > common.end else { return nil }
        return .cannotFollow("\(here), but \(leader) left that timeline at \(common.end)")
    }

    private func forks(of timeline: UInt32) async throws(DatabaseError) -> [TimelineFork] {
        TimelineHistory(ancestors: try await ancestors(of: timeline)).forks(to: timeline)
    }

    private func ancestors(of timeline: UInt32) async throws(DatabaseError) -> [TimelineHistory.Ancestor] {
        guard timeline > 1 else { return [] }
        let text = try await ask("TIMELINE_HISTORY \(timeline)").first?.dropFirst().first ?? nil
        guard let text else { throw unexpected("TIMELINE_HISTORY \(timeline)") }
        return TimelineHistory(text: text).ancestors
    }

    /// A receiver asks from the beginning of a segment (walreceiverfuncs.c, RequestXLogStreaming).
    private func tryLog(from position: Position, of timeline: UInt32) async throws(DatabaseError) -> Verdict {
        guard let size = try await segmentSize() else { throw unexpected("SHOW wal_segment_size") }
        let end = max(position.received, position.replayed).offset
        let start = LSN(end - end % size)
        do throws(DatabaseError) {
            _ = try await database.begin(
                "START_REPLICATION PHYSICAL \(start) TIMELINE \(position.timeline)", within: Self.questionDeadline)
            return .canFollow
        } catch {
            guard case .refused(Self.undefinedFile, let message) = error.cause else { throw error }
            return .cannotFollow("\(leader) no longer has the log from \(start) on: \(message)")
        }
    }

    /// `4MB`: no setting, but what the data was made with.
    private func segmentSize() async throws(DatabaseError) -> UInt64? {
        guard let text = try await ask("SHOW wal_segment_size").first?.first ?? nil else { return nil }
        let number = UInt64(text.prefix { $0.isNumber })
        let unit: UInt64? =
            switch text.drop(while: { $0.isNumber }) {
            case "B": 1
            case "kB": 1 << 10
            case "MB": 1 << 20
            case "GB": 1 << 30
            default: nil
            }
        guard let number, let unit, number > 0 else { return nil }
        return number * unit
    }

    private func ask(_ statement: String) async throws(DatabaseError) -> [Database.Row] {
        try await database.query(statement, within: Self.questionDeadline)
    }

    private func unexpected(_ statement: String) -> DatabaseError {
        DatabaseError(database: leader.text, statement: statement, cause: .connection("unexpected answer"))
    }
}

extension PostgresInstance {
    /// Asks the leader whether this standby, which runs and has no stream, could ever follow it.
    func trial(
        of upstream: PostgresSettings.Upstream, _ rule: ClusterRule?, _ settings: PostgresSettings,
        _ secrets: MemberSecrets, isReader: Bool = false
    ) async -> LeaderTrial.Verdict {
        do {
            let (system, timeline) = try await identify()
            let recovery = try await recovery()
            guard recovery.isInRecovery else { return .unclear("Postgres is a primary") }
            let slot = StreamName(member: member, epoch: upstream.epoch).slot
            let trial = try LeaderTrial(
                upstream.leader, slot: slot, begun: rule?.begun(in: upstream.epoch), isReader: isReader,
                parameters: settings.trialParameters(upstream, secrets))
            return await trial.ask(
                for: LeaderTrial.Position(
                    system: system, replayed: recovery.replayed, timeline: timeline, forks: try forks(of: timeline),
                    received: recovery.received))
        } catch {
            return .unclear("\(error)")
        }
    }
}

extension ClusterRule {
    /// The timeline that the leader of this epoch began, and where; nil when the rule does not say.
    func begun(in epoch: Epoch) -> TimelineFork? {
        guard let timeline, let reign = history.last, self.epoch == epoch, reign.epoch == epoch, reign.leader == leader
        else { return nil }
        return TimelineFork(timeline: timeline, begin: reign.begin)
    }
}

extension PostgresSettings {
    fileprivate func trialParameters(_ upstream: Upstream, _ secrets: MemberSecrets) -> [(String, String)] {
        [
            ("host", "\(upstream.address)"), ("port", "\(upstream.port)"), ("user", Self.replicator),
            ("password", secrets.replicationPassword), ("application_name", "roost_look"), ("sslmode", "disable"),
            ("gssencmode", "disable"),
        ]
    }
}
