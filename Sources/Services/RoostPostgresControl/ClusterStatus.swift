import RoostControl
import RoostFailover
import RoostHost
import RoostLinux
import RoostModel
import RoostPlacement
import RoostPlanet
import RoostPlans
import RoostWire

/// A cluster's records put together into what a person asks for.
enum ClusterStatus {
    /// Without passwords: see ``ClusterBody/with(_:)``.
    ///
    /// - Parameters:
    ///   - known: where the members' machines and the operations on the cluster are known from; nil: the same planet.
    ///   - loser: who has lost the store, where the planet is what it said before; nil: what it says now.
    ///   - silence: for how long this host has heard nothing new of whom.
    static func body(
        of name: AppName, in planet: Planet, beside known: Planet? = nil, lostBy loser: HostName? = nil,
        silence: ClusterSilence = ClusterSilence()
    ) -> ClusterBody? {
        guard let records = planet.clusters[name], let spec = records.spec else { return nil }
        let known = known ?? planet
        let members = spec.members.map { body(of: $0, records, known, loser == nil ? silence : ClusterSilence()) }
        let isBeingMade = known.isMaking(spec)
        let (status, words) =
            loser.map { lastHeard(by: $0, spec, records, isBeingMade: isBeingMade) }
            ?? verdict(spec, records, silence, isBeingMade: isBeingMade)
        // What the hosts met while they worked on it says more than what is missing. Of a cluster that is well it is about readers.
        let readers = readers(spec, records, known, loser == nil ? silence : ClusterSilence())
        let isWhole = status == .ready && readers?.contains { !$0.isServing } != true
        let isQuiet = isWhole || loser != nil && isReady(spec, records, ClusterSilence())
        let obstacle = isQuiet ? nil : records.obstacle?.reason
        let pause = spec.isDestroying ? nil : records.rule.flatMap { Self.pause(of: $0, silence) }
        let unrest =
            loser == nil ? Self.unrest(of: spec, records, silence, status, isPaused: pause != nil) : nil
        let parts = [words, obstacle, unrest, pause.map { Self.words(for: $0) }]
        let detail = parts.compactMap(\.self).joined(separator: "; ")
        let standbys = max((records.rule?.members ?? spec.members.map(\.name)).count - 1, 0)
        let rule = records.rule.map {
            $0.confirmations == 0 ? "no standby confirms" : "ANY \($0.confirmations) of \(standbys)"
        }
        var shown = ClusterBody(
            name: name, status: status, detail: detail.isEmpty ? nil : detail, epoch: records.rule?.epoch ?? .none,
            leader: records.rule?.leader, rule: rule ?? "not initialised yet",
            writeURL: url(spec, port: 5432), readURL: url(spec, port: 5433),
            authorityCertificate: records.secrets?.authorityCertificate ?? "", members: members,
            switchover: records.rule?.switchover.map {
                SwitchoverState(id: $0.id, target: $0.target, refusal: $0.refusal)
            }, allow: allow(spec), sharedHosts: spec.isDestroying ? nil : SharedHosts.of(spec, records),
            pause: pause, restart: records.rule?.restart.map { Self.restart($0, silence) },
            change: records.rule?.change.map(ChangeState.init),
            replaceAfter: spec.isDestroying ? nil : spec.replaceAfter ?? .standard,
            survival: spec.isDestroying ? nil : survival(spec, records, known, silence, status))
        shown.forced = records.rule?.forced.map { forced in
            let givenUp = records.rule?.givenUp ?? []
            let kept = spec.members.map(\.name).filter { givenUp.contains($0) }
            return ForcedState(forced, at: TimeText.of(forced.at), kept: kept)
        }
        shown.leftovers = ClusterLeftovers.of(spec, records, in: known)
        shown.readers = readers
        return shown
    }

    /// A leader or two are named by a failover and what an operator asks for; more mean that something keeps them from leading.
    private static let electionsToTellMin = 3

    private static func unrest(
        of spec: ClusterSpec, _ records: Planet.ClusterRecords, _ silence: ClusterSilence,
        _ status: ClusterBody.Status, isPaused: Bool
    ) -> String? {
        guard silence.elections >= electionsToTellMin, !spec.isDestroying else { return nil }
        let span = HearingLedger.electionsSpan.components.seconds / 60
        // A pause keeps a leader that comes up slowly. Of one that says nothing it would keep the successor away.
        let isLeaderHeard =
            words(for: silence.leader, max: ClusterSilence.leaderMax) == nil && !silence.isLeaderUnheard
            && records.rule.map { $0.recruitment == nil } ?? false
        // The same one may have been chosen each time.
        return "a leader was chosen \(silence.elections) times in \(span) minutes"
            + (status == .unavailable && isLeaderHeard && !isPaused ? adviceToPause(spec.name) : "")
    }

    private static func adviceToPause(_ name: AppName) -> String {
        " (to have the one that leads kept: roost pg pause \(name))"
    }

    /// Of the members that the rule names, by what is heard of them now, and of the store, by where its members are.
    private static func survival(
        _ spec: ClusterSpec, _ records: Planet.ClusterRecords, _ planet: Planet, _ silence: ClusterSilence,
        _ status: ClusterBody.Status
    ) -> SurvivalBody {
        var body = SurvivalBody(wanted: spec.survive, home: spec.home, now: nil, hosts: nil, regions: nil)
        if let rule = records.rule, Homecoming.isLedByHand(spec, rule) { body.isLedByHand = true }
        guard status == .ready || status == .degraded, let rule = records.rule else { return body }
        let seats = rule.members.compactMap { member in
            let isSilent = words(for: silence.members[member], max: ClusterSilence.reportMax) != nil
            return records.placements[member].map {
                Survival.Seat(
                    host: $0.host, region: $0.region,
                    isHere: member == rule.leader || records.confirms(member) && !isSilent)
            }
        }
        let survival = Survival(
            seats, count: rule.members.count, confirmations: rule.confirmations,
            store: StoreSites(planet.storeHosts.map { .init(host: $0.host, region: $0.region) }))
        body.now = survival.goals
        body.hosts = survival.hosts.isEmpty ? nil : survival.hosts
        body.regions = survival.regions.isEmpty ? nil : survival.regions
        body.store = survival.store
        return body
    }

    /// When its time is over, nobody begins any more. Who has begun is not in the rule, and still ends it.
    static func restart(_ wish: RestartRequest, _ silence: ClusterSilence = ClusterSilence()) -> RestartState {
        restart(wish, left: silence.left(of: wish.term, at: WallClock.milliseconds()))
    }

    /// - Parameter left: of its time.
    static func restart(_ wish: RestartRequest, left: Duration) -> RestartState {
        let isLate = !wish.hasEnded && left <= .zero
        return RestartState(
            id: wish.id, left: wish.left, done: wish.done,
            refusal: isLate ? "its time was over before all were done" : wish.refusal)
    }

    /// Nil when it is over.
    static func pause(
        of rule: ClusterRule, _ silence: ClusterSilence, at wallClock: Int64 = WallClock.milliseconds()
    ) -> PauseState? {
        rule.pause.flatMap { pause(left: silence.left(of: $0, at: wallClock), at: wallClock) }
    }

    /// As ``pause(of:_:at:)``, where it is decided what to do.
    static func pause(
        of rule: ClusterRule, hearing voices: ClusterVoices, at wallClock: Int64 = WallClock.milliseconds()
    ) -> PauseState? {
        rule.pause.flatMap { pause(left: voices.left(of: $0, at: wallClock), at: wallClock) }
    }

    /// Not by what the record says, which may be any number.
    private static func pause(left: Duration, at wallClock: Int64) -> PauseState? {
        left > .zero ? PauseState(endsAt: TimeText.of(wallClock + left.milliseconds)) : nil
    }

    /// What somebody who ends a pause is told of the one that was there.
    ///
    /// - Parameter voices: as of before it was ended.
    static func resumed(
        _ pause: WishTerm?, hearing voices: ClusterVoices, at wallClock: Int64 = WallClock.milliseconds()
    ) -> ResumedState {
        guard let pause else { return ResumedState(wasPaused: false, endsAt: nil) }
        let left = voices.left(of: pause, at: wallClock)
        // What is over may say any number.
        guard left > .zero else {
            let isPlausible = pause.length > .zero && pause.endsAt > 0
            return ResumedState(wasPaused: false, endsAt: isPlausible ? TimeText.of(pause.endsAt) : nil)
        }
        return ResumedState(wasPaused: true, endsAt: TimeText.of(wallClock + left.milliseconds))
    }

    private static func words(for pause: PauseState) -> String {
        "paused until \(pause.endsAt): nobody is made the leader by itself"
    }

    /// The body of a host whose copy may be older than this pause: in its words, too.
    static func body(_ body: ClusterBody, paused pause: PauseState?) -> ClusterBody {
        var body = body
        var words = body.detail.map { [$0] } ?? []
        // It comes last; see `body(of:in:)`.
        if let former = body.pause.map({ Self.words(for: $0) }), let detail = body.detail, detail.hasSuffix(former) {
            let rest = detail.dropLast(former.count)
            words = rest.isEmpty ? [] : [String(rest.hasSuffix("; ") ? rest.dropLast(2) : rest)]
        }
        // Who does it once more makes it longer.
        if pause != nil, let last = words.popLast() {
            let advice = adviceToPause(body.name)
            words.append(last.hasSuffix(advice) ? String(last.dropLast(advice.count)) : last)
        }
        words += pause.map { [Self.words(for: $0)] } ?? []
        body.pause = pause
        body.detail = words.isEmpty ? nil : words.joined(separator: "; ")
        return body
    }

    static func allow(_ spec: ClusterSpec) -> [String]? { spec.allowedClients.flatMap { $0.isEmpty ? nil : $0 } }

    /// What makes a client notice within ten seconds that an edge's host has died: an anycast address goes on being
    /// answered, by an edge that knows nothing of the connection, only when the client has something to say. A client
    /// that waits for an answer asks whether the other end is there after 4 s, then every 2 s; one that has sent
    /// something gives up after 10 s without an acknowledgement
    /// (https://www.postgresql.org/docs/17/libpq-connect.html#LIBPQ-PARAMKEYWORDS). libpq sets both before it connects, so
    /// they count during the login, too.
    ///
    /// `connect_timeout` finds no dead edge, and may not: it is for the whole way to the login, and an edge that lives
    /// holds a client for up to 15 s while no member is open (`HoldQueue.Limits.waitMax`), and then says why. A client
    /// that gave up after ten would lose the login that a failover brings, and the reason when none comes.
    private static let liveness =
        "connect_timeout=20&keepalives_idle=4&keepalives_interval=2&keepalives_count=3&tcp_user_timeout=10000"

    private static let user = "postgres://postgres"

    private static func url(_ spec: ClusterSpec, port: Int) -> String {
        "\(user)@\(spec.address):\(port)/postgres?sslmode=verify-full&" + liveness
    }

    static func url(_ url: String, password: String) -> String {
        guard url.hasPrefix(user + "@") else { return url }
        return "\(user):\(password)" + url.dropFirst(user.count)
    }

    private static func body(
        of member: ClusterSpec.MemberSpec, _ records: Planet.ClusterRecords, _ planet: Planet,
        _ silence: ClusterSilence
    ) -> MemberBody {
        let placement = records.placements[member.name]
        let report = records.reports[member.name]
        let machine = placement.flatMap { placement in
            planet.machine(placement.machine, on: placement.host)
        }
        let isLeader = records.rule?.leader == member.name
        // What it said last is not how it is.
        let isSilent = words(for: silence.members[member.name], max: ClusterSilence.reportMax) != nil
        let isUnheard = isUnheard(member.name, records, silence)
        let absence = records.absence(of: member.name)
        let state: String =
            if let absence, absence != .joining {
                absence.words
            } else if placement == nil {
                absence?.words ?? "unplaced"
            } else if let machine, machine.state != .started, absence == nil || !machine.state.isOnItsWay {
                "machine \(machine.state.rawValue)"
            } else if let absence, report == nil || !isSilent && !isUnheard {
                absence.words
            } else if isSilent {
                "silent"
            } else if isUnheard {
                "unknown"
            } else {
                report?.state.rawValue ?? "starting"
            }
        let isUnknown = isSilent || isUnheard
        let isPast = machine.map { $0.state != .started && (absence == nil || !$0.state.isOnItsWay) } ?? false
        return MemberBody(
            name: member.name, machine: placement?.machine, volume: placement?.volume, host: placement?.host,
            region: member.region, address: placement?.address, role: isLeader ? .primary : .standby,
            state: state, timeline: isUnknown ? 0 : report?.timeline ?? 0,
            lagBytes: isUnknown ? nil : isLeader ? 0 : lagBytes(of: member.name, records),
            lagSeconds: isUnknown ? nil : lagSeconds(of: member.name, records),
            detail: details(of: member.name, records, silence, isPast: isPast))
    }

    /// Nil where nobody knows: of a standby that its leader does not see, or that has no data which could lag behind.
    static func lagBytes(of member: MemberName, _ records: Planet.ClusterRecords) -> UInt64? {
        guard let report = records.reports[member], ![.empty, .initializing, .cloning].contains(report.state) else {
            return nil
        }
        if let standbys = records.heartbeat?.standbys,
            standbys.first(where: { $0.member == member })?.behindBytes == nil
        {
            return nil
        }
        return records.lagBytes(of: member)
    }

    /// How old what the member shows is. Nil where it shows nothing: of one that has no data yet, that copies, waits or follows
    /// nobody.
    static func lagSeconds(of member: MemberName, _ records: Planet.ClusterRecords) -> Double? {
        guard let report = records.reports[member] else { return nil }
        if records.rule?.leader == member { return 0 }
        guard report.role == .standby, report.state == .running else { return nil }
        return Double(report.lagMilliseconds) / 1000
    }

    private static func details(
        of member: MemberName, _ records: Planet.ClusterRecords, _ silence: ClusterSilence, isPast: Bool
    ) -> String? {
        let own = records.reports[member]?.detail
        let words =
            words(for: silence.members[member], max: ClusterSilence.reportMax)
            ?? (isUnheard(member, records, silence) ? "not heard from yet" : nil)
        // What others know of it is no word of its own.
        guard words == nil, !isPast else {
            let all = [words, own.map { "it said last: \($0)" }].compactMap(\.self)
            return all.isEmpty ? nil : all.joined(separator: "; ")
        }
        return own ?? whatItWaitsFor(member, records)
    }

    /// One that is joining waits for its leader, which knows for what.
    private static func whatItWaitsFor(_ member: MemberName, _ records: Planet.ClusterRecords) -> String? {
        switch records.absence(of: member) {
        case nil, .leaving: return nil
        case .unnamed where records.rule?.givenUp.contains(member) == true:
            return
                "given up by a failover that a person has decided; what it has, and nobody else may have, stays on its "
                + "volume until it is removed"
        case .unnamed:
            return "the rule does not name it, and nobody has asked for that: nothing of it is destroyed until it is "
                + "removed"
        case .joining: break
        }
        guard let rule = records.rule else { return nil }
        if records.placements[member] == nil { return "waits for a place" }
        guard rule.joining == member else { return "waits for its turn" }
        let leaders = records.confirms(member) ? records.reports[rule.leader]?.detail : nil
        return leaders ?? (records.reports[member] == nil ? "its machine starts" : "copies what \(rule.leader) has")
    }

    /// Nothing of it was seen to come, and no leader that is heard sees it confirm.
    private static func isUnheard(
        _ member: MemberName, _ records: Planet.ClusterRecords, _ silence: ClusterSilence
    ) -> Bool {
        guard silence.unheard.contains(member) else { return false }
        guard !silence.isLeaderUnheard, let rule = records.rule, let beat = records.heartbeat, beat.epoch == rule.epoch
        else { return true }
        return member != rule.leader && beat.standbys?.contains { $0.member == member && $0.isConfirming } != true
    }

    private static func words(for silence: Duration?, max: Duration) -> String? {
        guard let silence, silence > max else { return nil }
        return "not heard from for \(silence.components.seconds) s"
    }

    /// In words that another host can pass on.
    private static func lastHeard(
        by host: HostName, _ spec: ClusterSpec, _ records: Planet.ClusterRecords, isBeingMade: Bool
    ) -> (ClusterBody.Status, String?) {
        let before = verdict(spec, records, ClusterSilence(), isBeingMade: isBeingMade).0
        let words =
            "host \(host) has lost the store; what it heard last is shown, the cluster was \(before.rawValue) then"
        guard before == .ready || before == .degraded, let rule = records.rule else { return (.unheard, words) }
        // All that this host can know of now: it may be the only one that has lost the store, or the others' programs older.
        let company =
            rule.confirmations == 0
            ? "" : " as long as it and \(counted(rule.confirmations, "other member")) hear each other"
        return (.unheard, "\(words); \(rule.leader) may go on without the store\(company)")
    }

    /// - Parameter silence: of whom nothing was heard; those were ready once, if they say so.
    static func isReady(_ spec: ClusterSpec, _ records: Planet.ClusterRecords, _ silence: ClusterSilence) -> Bool {
        let members = records.rule?.members ?? []
        return verdict(spec, records, silence, isBeingMade: false).0 == .ready
            && !members.contains { isUnheard($0, records, silence) }
    }

    /// Why a primary lets nobody in.
    private static func closure(of rule: ClusterRule, _ records: Planet.ClusterRecords, isNew: Bool) -> String {
        let leader = rule.leader
        let target = rule.switchover?.target.map { " to \($0)" } ?? ""
        if records.isHandingOver { return "the primary \(leader) hands over\(target)" }
        // What a member said that did not lead yet is about something else.
        let report = records.reports[leader].flatMap { $0.promised >= rule.epoch ? $0 : nil }
        var words =
            if let detail = report?.detail {
                detail
            } else if report?.state == .starting {
                "the Postgres of the primary \(leader) is starting"
            } else {
                "the primary \(leader) does not accept writes" + (isNew ? " yet" : "")
            }
        if let wish = rule.switchover, wish.refusal == nil { words += "; \(leader) is asked to hand over\(target)" }
        return words
    }

    /// Of standbys by which the leader sees nothing confirmed: whether it sees them at all.
    private static func lacks(of missing: [MemberName], _ heartbeat: Heartbeat) -> [String] {
        let seen = Set((heartbeat.standbys ?? []).filter { $0.behindBytes != nil }.map(\.member))
        func list(_ words: String, _ members: [MemberName]) -> String? {
            members.isEmpty ? nil : words + members.map(\.text).joined(separator: ", ")
        }
        return [
            list("not streaming: ", missing.filter { !seen.contains($0) }),
            list("not confirming yet: ", missing.filter { seen.contains($0) }),
        ].compactMap(\.self)
    }

    /// By the answers in the store, as members count them. What a member says itself may be of before, and about something
    /// else.
    private static func words(
        for recruitment: Recruitment, under rule: ClusterRule, _ reports: [MemberName: MemberReport]
    ) -> String {
        let said = rule.members.compactMap { reports[$0] }
        let tally = RecruitmentTally(rule: rule.asCalled(by: said), reports: said)
        return "recruiting for epoch \(recruitment.epoch) (\(recruitment.reason.rawValue))"
            + (tally?.obstacle.map { ": \($0)" } ?? "")
    }

    /// - Parameter isBeingMade: it was never whole, as far as anybody has written down. The records of its members alone
    ///   do not show it: a primary that has closed for its first switchover looks as one that never opened.
    private static func verdict(
        _ spec: ClusterSpec, _ records: Planet.ClusterRecords, _ silence: ClusterSilence, isBeingMade: Bool
    ) -> (ClusterBody.Status, String?) {
        if spec.isDestroying { return (.destroying, "machines and volumes are being removed") }
        guard let rule = records.rule else {
            return (.creating, "the first member has not initialised the cluster yet")
        }
        let (reports, departed) = (records.reports, records.departed)
        let heard = records.membersWithProof.filter { member in
            words(for: silence.members[member], max: ClusterSilence.reportMax) == nil
                && !silence.unheard.contains(member)
        }
        // One that was removed, or that the rule never named, says nothing of the others where one of those is there to say it.
        let isMemberHeard = rule.members.contains { member in
            reports[member] != nil && !silence.unheard.contains(member)
                && words(for: silence.members[member], max: ClusterSilence.reportMax) == nil
        }
        let provers = isMemberHeard ? heard.filter(rule.members.contains) : heard.filter { !departed.contains($0) }
        let reversal = records.reversal(as: provers, of: spec.name)
        let isLeaderHeard = words(for: silence.leader, max: ClusterSilence.leaderMax) == nil && !silence.isLeaderUnheard
        let opens = records.heartbeat.map { $0.epoch == rule.epoch && $0.isOpen } ?? false
        if let reversal, provers.contains(rule.leader) || !isLeaderHeard || !opens { return (.unavailable, reversal) }
        let standbys = rule.members.filter { $0 != rule.leader }
        let confirming = standbys.filter(records.confirms)
        if let recruitment = rule.recruitment {
            return (.unavailable, words(for: recruitment, under: rule, reports))
        }
        if records.heartbeat != nil, let silence = silence.leader, silence > ClusterSilence.leaderMax {
            let words = "\(silence.components.seconds) s"
            // It may well be heard otherwise, as while it starts: it is the lease that is not renewed.
            return (.unavailable, "the primary \(rule.leader) has sent no heartbeat for \(words)")
        }
        // It may be of any time, as from an older copy of the store.
        if records.heartbeat?.epoch == rule.epoch, silence.isLeaderUnheard {
            return (.unheard, "the primary \(rule.leader) was not heard from yet; what the store says is shown")
        }
        guard let heartbeat = records.heartbeat, heartbeat.epoch == rule.epoch, heartbeat.isOpen else {
            let isNew = isBeingMade && rule.epoch == .first && confirming.count < rule.confirmations
            return (isNew ? .creating : .unavailable, closure(of: rule, records, isNew: isNew))
        }
        let missing = standbys.filter { !confirming.contains($0) }
        let silent =
            rule.members.compactMap { member in
                words(for: silence.members[member], max: ClusterSilence.reportMax).map { "\(member) was \($0)" }
            } + [reversal].compactMap(\.self)
        if !missing.isEmpty {
            let words = (lacks(of: missing, heartbeat) + silent).joined(separator: "; ")
            let isFirstClone = isBeingMade && rule.epoch == .first
            if isFirstClone, missing.allSatisfy({ reports[$0]?.position == nil }) { return (.creating, words) }
            guard confirming.count < rule.confirmations else { return (.degraded, words) }
            // The leader lets clients in, and what they commit waits.
            return (
                .unavailable,
                "commits wait for \(counted(rule.confirmations - confirming.count, "more standby")); \(words)"
            )
        }
        return silent.isEmpty ? (.ready, nil) : (.degraded, silent.joined(separator: ", "))
    }
}

extension MachineState {
    /// It was never started yet, or is about to be.
    fileprivate var isOnItsWay: Bool {
        switch self {
        case .created, .starting, .restarting: true
        case .started, .stopping, .stopped, .destroying, .destroyed, .failed, .unknown: false
        }
    }
}
