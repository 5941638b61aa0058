import Foundation
import RoostHost
import RoostLinux
import RoostModel
import RoostPlanet
import RoostStore
import RoostWire
import Testing

@testable import RoostPostgresControl

/// What people are told of a cluster, from its records alone.
@Suite struct ClusterStatusTests {
    let name: AppName
    let spec: ClusterSpec
    let members: [MemberName]

    init() throws {
        name = try AppName("orders")
        members = try (1...2).map { try MemberName("orders-\($0)") }
        let region = try RegionCode("ams")
        spec = ClusterSpec(
            name: name, address: try IPv4Address("203.0.113.1"), volumeSize: .gibibytes(1), guest: MachineGuest(),
            image: "dir:/x", members: members.map { .init(name: $0, region: region) }, createdAt: 0)
    }

    func entry(_ key: String, _ record: some Encodable) throws -> Entry {
        Entry(key: key, value: Array(try JSONEncoder().encode(record)), created: Revision(1), modified: Revision(7))
    }

    /// The cluster as the store has it, with more of its records.
    func planet(_ more: [Entry] = [], spec: ClusterSpec? = nil) throws -> Planet {
        let secrets = ClusterSecrets(
            ownerPassword: "secret", replicationPassword: "r", authorityCertificate: "pem", serverCertificate: "c",
            serverKey: "k")
        var planet = Planet()
        let unreadable = planet.apply(
            .listing(
                Listing(
                    entries: [
                        try entry(StoreKeys.clusterSpec(name), spec ?? self.spec),
                        try entry(StoreKeys.clusterSecrets(name), secrets),
                    ] + more, revision: Revision(9)))
        ).unreadable
        #expect(unreadable.isEmpty)
        return planet
    }

    private func obstacle(_ reason: String) throws -> Entry {
        try entry(StoreKeys.clusterObstacle(name), ClusterObstacle(reason: reason))
    }

    /// What began with the cluster.
    func creation(_ state: OperationRecord.State, of spec: ClusterSpec? = nil) throws -> Entry {
        var record = OperationRecord(
            id: try PlanetOperationID("0123456789ABCDEFGHJKMNPQ01"), kind: .createCluster, object: name,
            objectMadeAt: (spec ?? self.spec).createdAt, startedAt: 0, requestID: nil)
        record.state = state
        return try entry(StoreKeys.operation(record.id), record)
    }

    func report(
        _ member: MemberName, isStreaming: Bool, words: String? = nil, promised: Epoch = .first,
        state: MemberReport.State = .running
    ) throws -> Entry {
        try entry(
            StoreKeys.report(name, member),
            MemberReport(
                member: member, role: isStreaming ? .standby : .primary, state: state, promised: promised,
                position: Position(epoch: .first, end: LSN(1)), timeline: 1, replayed: LSN(1),
                isStreaming: isStreaming, lagBytes: 0, lagMilliseconds: 0, detail: words))
    }

    var rule: ClusterRule {
        ClusterRule(
            epoch: .first, leader: members[0], members: members, confirmations: 1,
            history: [Reign(epoch: .first, leader: members[0], begin: .zero)])
    }

    @Test func aClusterThatHasNoPlaceSaysWhy() throws {
        let reason = "orders-1 has no place: no host in region ams fits: ams1 needs 400 GiB of disk, has 20 GiB free"
        let planet = try planet([try obstacle(reason)])
        let body = try #require(ClusterStatus.body(of: name, in: planet))
        #expect(body.status == .creating)
        #expect(body.detail == "the first member has not initialised the cluster yet; \(reason)")
        #expect(body.members.map(\.state) == ["unplaced", "unplaced"])
    }

    @Test func whatIsNoMoreInTheWayIsNotToldAnyMore() throws {
        var planet = try planet([try obstacle("orders-1 has no place")])
        _ = planet.apply(.changes([.delete(key: StoreKeys.clusterObstacle(name))], revision: Revision(10)))
        #expect(planet.clusters[name]?.obstacle == nil)
        #expect(
            ClusterStatus.body(of: name, in: planet)?.detail == "the first member has not initialised the cluster yet")
    }

    @Test func aDegradedClusterSaysWhyItsMemberIsNotMadeAndAReadyOneIsQuiet() throws {
        let open = try entry(
            StoreKeys.clusterHeartbeat(name),
            Heartbeat(epoch: .first, leader: members[0], sequence: 1, isOpen: true))
        let records = [
            try entry(StoreKeys.clusterRule(name), rule), open, try report(members[0], isStreaming: false),
            try obstacle("orders-2 cannot be made: host ams2 cannot be reached"), try creation(.running),
        ]
        let incomplete = try #require(ClusterStatus.body(of: name, in: try planet(records)))
        #expect(incomplete.status == .creating)
        #expect(
            incomplete.detail == "not streaming: orders-2; orders-2 cannot be made: host ams2 cannot be reached")
        let whole = try planet(records + [try report(members[1], isStreaming: true)])
        let ready = try #require(ClusterStatus.body(of: name, in: whole))
        #expect(ready.status == .ready)
        #expect(ready.detail == nil)
        let stale = try #require(ClusterStatus.body(of: name, in: whole, lostBy: try HostName("iad1")))
        #expect(stale.status == .unheard)
        #expect(
            stale.detail
                == "host iad1 has lost the store; what it heard last is shown, the cluster was ready then; "
                + "\(members[0]) may go on without the store as long as it and 1 other member hear each other")
    }

    @Test("A cluster that was ready is not being created, whatever its members lack while it is in its first epoch")
    func creatingIsWhatWasNeverWhole() throws {
        let (first, closed) = (
            try entry(StoreKeys.clusterRule(name), rule),
            Heartbeat(epoch: .first, leader: members[0], sequence: 9, isOpen: false)
        )
        // The primary has closed and stopped for its first switchover; the same is to be seen before it ever opened.
        let handingOver = [
            first, try entry(StoreKeys.clusterHeartbeat(name), closed), try report(members[0], isStreaming: false),
            try report(members[1], isStreaming: false),
        ]
        // A standby that is copied anew.
        let beat = Heartbeat(epoch: .first, leader: members[0], sequence: 9, isOpen: true)
        let copying = [
            first, try entry(StoreKeys.clusterHeartbeat(name), beat), try report(members[0], isStreaming: false),
        ]
        let status = { (records: [Entry]) in ClusterStatus.body(of: name, in: try planet(records))?.status }
        for (records, later) in [
            (handingOver, ClusterBody.Status.unavailable), (copying, ClusterBody.Status.unavailable),
        ] {
            #expect(try status(records + [try creation(.running)]) == .creating)
            #expect(try status(records + [try creation(.succeeded)]) == later)
            // Operations that have ended are not kept for ever; and one of a former cluster of the name says nothing.
            #expect(try status(records) == later)
            var former = spec
            former.createdAt -= 1
            #expect(try status(records + [try creation(.running, of: former)]) == later)
        }
        // Known from elsewhere than the cluster's own records.
        let known = try planet([try creation(.running)])
        #expect(ClusterStatus.body(of: name, in: try planet(handingOver), beside: known)?.status == .creating)
    }

    @Test("The URLs of a cluster make a client notice a dead edge in ten seconds, and know whom it speaks to")
    func urls() throws {
        let body = try #require(ClusterStatus.body(of: name, in: try planet([try obstacle("no place")])))
        for (url, port) in [(body.writeURL, 5432), (body.readURL, 5433)] {
            let parts = url.split(separator: "?").map(String.init)
            #expect(parts.count == 2 && parts[0].hasPrefix("postgres://postgres@"))
            #expect(parts[0].hasSuffix(":\(port)/postgres"))
            let pairs = try #require(parts.last).split(separator: "&").map { $0.split(separator: "=").map(String.init) }
            let values = Dictionary(uniqueKeysWithValues: pairs.map { ($0[0], $0[1]) })
            #expect(values["sslmode"] == "verify-full")
            let number = { (name: String) throws -> Int in try #require(values[name].flatMap { Int($0) }, "\(name)") }
            let silence = try number("keepalives_idle") + number("keepalives_interval") * number("keepalives_count")
            #expect(silence <= 10, "a client that waits for an answer")
            #expect((1...10_000).contains(try number("tcp_user_timeout")), "a client that has sent something")
            // Longer than an edge holds a client while nobody leads.
            #expect((16...30).contains(try number("connect_timeout")))
        }
    }

    @Test("A status of a newer version is read, shown as it is, and taken for neither good nor bad")
    func aStatusOfTheFuture() throws {
        let body = try #require(ClusterStatus.body(of: name, in: try planet([try obstacle("no place")])))
        let written = String(decoding: try JSONEncoder().encode(body), as: UTF8.self)
        let newer = written.replacingOccurrences(of: "\"creating\"", with: "\"upgrading\"")
        #expect(newer != written)
        let read = try JSONDecoder().decode(ClusterBody.self, from: Data(newer.utf8))
        #expect(read.status == .unknown("upgrading"))
        #expect(!read.isServing && !read.status.isKnown)
        for status in ClusterBody.Status.known { #expect(ClusterBody.Status(rawValue: status.rawValue) == status) }
    }

    /// A cluster of three whose members say that all is well, as its leader sees it.
    func three(
        _ confirming: [Bool], isOpen: Bool = true, words: String? = nil, wish: SwitchoverRequest? = nil,
        and more: [Entry] = []
    ) throws -> Planet {
        let names = try (1...3).map { try MemberName("orders-\($0)") }
        var spec = spec
        spec.members = try names.map { .init(name: $0, region: try RegionCode("ams")) }
        var rule = rule
        rule.members = names
        rule.switchover = wish
        let standbys = zip(names.dropFirst(), confirming).map {
            StandbyView(member: $0, isConfirming: $1, behindBytes: $1 ? 3 : nil)
        }
        let beat = Heartbeat(epoch: .first, leader: names[0], sequence: 1, isOpen: isOpen, standbys: standbys)
        return try planet(
            [
                try entry(StoreKeys.clusterRule(name), rule), try entry(StoreKeys.clusterHeartbeat(name), beat),
                try report(names[0], isStreaming: false), try report(names[1], isStreaming: true),
                try report(names[2], isStreaming: true, words: words),
            ] + more, spec: spec)
    }

    @Test(
        "One that is joining says what it does itself; that its machine failed, or that it is silent, is not hidden by that"
    )
    func aMemberThatComes() throws {
        let comer = try MemberName("orders-3")
        var (spec, rule) = (spec, rule)
        spec.members.append(.init(name: comer, region: try RegionCode("ams")))
        rule.change = MemberChange(id: "a", steps: [.init(.add, comer)])
        let (host, machine) = (try HostName("ams1"), try MachineID("0123456789abcd"))
        let place = MemberPlacement(
            member: comer, host: host, region: try RegionCode("ams"), machine: machine,
            volume: try VolumeID("vol_0123456789abcdef"),
            address: MeshAddress.machine(machine, in: NetworkNumber(2)))
        func body(
            _ state: MachineState?, _ more: [Entry] = [], _ silence: ClusterSilence = ClusterSilence()
        ) throws -> MemberBody {
            let records = [
                try entry(StoreKeys.clusterRule(name), rule), try entry(StoreKeys.placement(name, comer), place),
            ]
            var planet = try planet(records + more, spec: spec)
            if let state {
                let record = MachineRecord(
                    id: machine, name: comer.text, app: name, region: spec.members[0].region, state: state,
                    instance: "01",
                    config: MachineConfig(image: "dir:/x"), network: NetworkNumber(2),
                    owner: MachineOwner(kind: .postgres, name: name, role: comer), createdAt: 0, updatedAt: 0)
                planet.put(
                    HostRecord(
                        host: host, region: spec.members[0].region, generation: Generation(1),
                        capacity: HostCapacity(cpus: 8, memory: .gibibytes(8), disk: .gibibytes(100)),
                        mesh: MeshIdentity(
                            publicKey: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", endpoint: "198.18.0.1:1",
                            probePort: 1, address: MeshAddress.host(host)),
                        isEdge: false, isStoreMember: false, machines: [record], volumes: []))
            }
            return try #require(ClusterStatus.body(of: name, in: planet, silence: silence)).members[2]
        }
        for state in [MachineState?.none, .created, .starting, .started] {
            let coming = try body(state)
            #expect(coming.state == "joining" && coming.detail == "its machine starts", "\(String(describing: state))")
        }
        #expect(try body(.failed).state == "machine failed")
        #expect(try body(.failed).detail == nil, "it has said nothing")
        let words = [try report(comer, isStreaming: false, words: "copies")]
        let copying = try body(.started, words)
        #expect(copying.state == "joining" && copying.detail == "copies")
        let silent = try body(.started, words, ClusterSilence(members: [comer: .seconds(9)]))
        #expect(silent.state == "silent" && silent.detail == "not heard from for 9 s; it said last: copies")
        let mute = [try report(comer, isStreaming: false)]
        let gone = try body(.started, mute, ClusterSilence(members: [comer: .seconds(9)]))
        #expect(gone.detail == "not heard from for 9 s", "what others would say of it is no word of its own")
        #expect(gone.lagBytes == nil && gone.timeline == 0)
    }

    @Test func whatTheLeaderSeesCountsMoreThanWhatStandbysSay() throws {
        let ready = try #require(ClusterStatus.body(of: name, in: try three([true, true])))
        #expect(ready.status == .ready)
        #expect(ready.members.map(\.lagBytes) == [0, 3, 3])
        let degraded = try #require(ClusterStatus.body(of: name, in: try three([true, false])))
        #expect(degraded.status == .degraded)
        #expect(degraded.detail == "not streaming: orders-3")
        #expect(degraded.members.map(\.lagBytes) == [0, 3, nil])
        // Every commit hangs.
        let hanging = try #require(ClusterStatus.body(of: name, in: try three([false, false])))
        #expect(hanging.status == .unavailable)
        #expect(hanging.detail == "commits wait for 1 more standby; not streaming: orders-2, orders-3")
        #expect(!hanging.isServing)
    }

    @Test func whoIsNotHeardFromIsNamed() throws {
        let planet = try three([true, true])
        let third = try MemberName("orders-3")
        let silent = ClusterSilence(leader: .seconds(1), members: [third: .seconds(11)])
        let degraded = try #require(ClusterStatus.body(of: name, in: planet, silence: silent))
        #expect(degraded.status == .degraded)
        #expect(degraded.detail == "orders-3 was not heard from for 11 s")
        #expect(degraded.members[2].detail == "not heard from for 11 s")
        let both = ClusterStatus.body(
            of: name, in: try three([false, true]), silence: ClusterSilence(members: [third: .seconds(8)]))
        #expect(both?.detail == "not streaming: orders-2; orders-3 was not heard from for 8 s")
        let words = try #require(
            ClusterStatus.body(of: name, in: try three([true, true], words: "clones"), silence: silent))
        #expect(words.members.map(\.detail) == [nil, nil, "not heard from for 11 s; it said last: clones"])
        let dead = try #require(
            ClusterStatus.body(of: name, in: planet, silence: ClusterSilence(leader: .seconds(7))))
        #expect(dead.status == .unavailable)
        #expect(dead.detail == "the primary orders-1 has sent no heartbeat for 7 s")
    }

    @Test("Records that were there when a host began to hear make no cluster ready until its leader is seen to speak")
    func whatWasNotSeenToComeProvesNothing() throws {
        let (names, planet) = (
            try (1...3).map { try MemberName("orders-\($0)") }, try three([true, false], words: "clones")
        )
        let listed = ClusterSilence(
            leader: .seconds(1), members: [names[2]: .seconds(1)], isLeaderUnheard: true, unheard: Set(names))
        let body = try #require(ClusterStatus.body(of: name, in: planet, silence: listed))
        #expect(body.status == .unheard && !body.isServing)
        #expect(body.detail == "the primary orders-1 was not heard from yet; what the store says is shown")
        #expect(body.members.map { $0.lagSeconds == nil } == [true, true, true])
        #expect(body.members[2].detail == "not heard from yet; it said last: clones")
        // One beat of the leader says of itself, and of who confirms.
        var beating = listed
        beating.isLeaderUnheard = false
        let beaten = try #require(ClusterStatus.body(of: name, in: planet, silence: beating))
        #expect(beaten.status == .degraded)
        #expect(beaten.members.map { $0.lagSeconds == nil } == [false, false, true])
        #expect(ClusterStatus.body(of: name, in: try three([true, true]), silence: beating)?.status == .ready)
        var late = listed
        late.leader = .seconds(7)
        #expect(ClusterStatus.body(of: name, in: planet, silence: late)?.status == .unavailable)
    }

    @Test("Members with proof that the store went back are the first that is said, and what to do")
    func aStoreThatWentBackIsNamed() throws {
        let second = Reign(epoch: Epoch(2), leader: members[1], begin: LSN(9))
        var later = rule
        later.changes = 1
        let reign = MemberKnowledge(opened: second, history: rule.history + [second], timeline: 1, position: nil)
        let membership = MemberKnowledge(
            opened: nil, history: rule.history, timeline: 1, position: nil, membership: Membership(of: later))
        let nothing = MemberKnowledge(opened: nil, history: rule.history, timeline: 1, position: nil)
        let report = { (member: MemberName, promised: Epoch, knowledge: MemberKnowledge) in
            let report = MemberReport(
                member: member, role: .standby, state: .failed, promised: promised, position: nil, timeline: 1,
                replayed: .zero, isStreaming: false, lagBytes: 0, lagMilliseconds: 0, knowledge: knowledge)
            return try entry(StoreKeys.report(name, member), report)
        }
        let beat = try entry(
            StoreKeys.clusterHeartbeat(name),
            Heartbeat(epoch: .first, leader: members[0], sequence: 1, isOpen: true))
        func body(
            _ rule: ClusterRule, _ promised: UInt64, _ knowledge: MemberKnowledge,
            _ silence: ClusterSilence = ClusterSilence(leader: .seconds(33))
        ) throws -> ClusterBody {
            let records =
                [try entry(StoreKeys.clusterRule(name), rule), beat]
                + (try members.map { try report($0, Epoch(promised), knowledge) })
            return try #require(ClusterStatus.body(of: name, in: try planet(records), silence: silence))
        }
        var called = rule
        called.recruitment = Recruitment(epoch: Epoch(3), proposer: members[1], reason: .leaderSilent)
        let words = "the store has gone back to an older copy, says orders-1, orders-2: roost pg recover orders"
        // Whatever they have been called to since: who knows of other members is never called out of that.
        for (rule, promised, knowledge) in [
            (rule, 2, reign), (called, 3, reign), (called, 2, reign), (rule, 1, membership), (called, 1, membership),
        ] as [(ClusterRule, UInt64, MemberKnowledge)] {
            let body = try body(rule, promised, knowledge)
            #expect(body.status == .unavailable && body.detail == words, "\(promised) \(knowledge)")
        }
        let promise = try body(rule, 2, nothing)
        #expect(promise.status == .unavailable)
        #expect(
            promise.detail?.contains("orders-1, orders-2 have promised an epoch that the store does not know") == true)
        #expect(promise.detail?.hasSuffix("roost pg recover orders") == true)
        // Of any time; of before the rule was put right.
        let unheard = ClusterSilence(leader: .seconds(33), unheard: Set(members))
        #expect(try body(rule, 2, reign, unheard).detail?.contains("older copy") == false)
        var right = called
        (right.epoch, right.leader, right.history) = (Epoch(2), members[1], reign.history)
        for (rule, knowledge) in [(right, reign), (called, nothing)] {
            let told = try body(rule, 2, knowledge, ClusterSilence()).detail ?? ""
            #expect(!told.contains("roost pg recover"), "\(told)")
        }
    }

    @Test("A member that follows nobody shows nothing, and so nothing that has an age")
    func lagOfWhoFollowsNobody() throws {
        for state in [MemberReport.State.empty, .cloning, .waiting, .rewinding, .failed, .stopped, .starting] {
            let planet = try planet([
                try entry(StoreKeys.clusterRule(name), rule), try report(members[0], isStreaming: false),
                try report(members[1], isStreaming: true, state: state),
            ])
            #expect(ClusterStatus.body(of: name, in: planet)?.members.map(\.lagSeconds) == [0, nil], "\(state)")
        }
        let running = try planet([
            try entry(StoreKeys.clusterRule(name), rule), try report(members[1], isStreaming: true),
        ])
        #expect(ClusterStatus.body(of: name, in: running)?.members[1].lagSeconds == 0)
    }

    @Test("A primary that lets nobody in while it starts says that it starts")
    func aPrimaryThatStarts() throws {
        let closed = Heartbeat(epoch: .first, leader: members[0], sequence: 9, isOpen: false)
        let planet = try planet([
            try entry(StoreKeys.clusterRule(name), rule), try entry(StoreKeys.clusterHeartbeat(name), closed),
            try report(members[0], isStreaming: false, state: .starting),
        ])
        let body = try #require(ClusterStatus.body(of: name, in: planet))
        #expect(body.detail == "the Postgres of the primary orders-1 is starting")
    }

    @Test func aRefusedSwitchoverIsToldUnderItsId() throws {
        var rule = rule
        rule.switchover = SwitchoverRequest(id: "a", target: members[1], refusal: "orders-2 is not up to date")
        let body = try #require(
            ClusterStatus.body(of: name, in: try planet([try entry(StoreKeys.clusterRule(name), rule)])))
        #expect(body.switchover == SwitchoverState(id: "a", target: members[1], refusal: "orders-2 is not up to date"))
    }

    @Test("Whom somebody has had lead is told from whom a failover has, by the name that clients of the API read")
    func ledByHand() throws {
        var spec = spec
        spec.home = try RegionCode("sin")
        func survival(epoch: UInt64, _ away: LedAway?) throws -> SurvivalBody {
            spec.ledAway = away
            var rule = rule
            rule.epoch = Epoch(epoch)
            if epoch > 1 { rule.history.append(Reign(epoch: rule.epoch, leader: rule.leader, begin: LSN(1))) }
            let planet = try planet([try entry(StoreKeys.clusterRule(name), rule)], spec: spec)
            return try #require(ClusterStatus.body(of: name, in: planet)?.survival)
        }
        let away = LedAway(epoch: .first, target: members[0])
        #expect(try survival(epoch: 2, nil).isLedByHand == nil)
        #expect(try survival(epoch: 1, away).isLedByHand == nil, "it is still to come")
        #expect(try survival(epoch: 2, LedAway(epoch: .first, target: members[1])).isLedByHand == nil)
        let told = try survival(epoch: 2, away)
        #expect(told.isLedByHand == true)
        let text = String(decoding: try JSONEncoder().encode(told), as: UTF8.self)
        #expect(text.contains(#""led_by_hand":true"#), "\(text)")
    }

    @Test func aPauseIsToldUntilItIsOver() throws {
        var rule = rule
        let now = WallClock.milliseconds()
        rule.pause = WishTerm(beganAt: now - 60_000, length: .seconds(3600))
        let body = try #require(
            ClusterStatus.body(of: name, in: try planet([try entry(StoreKeys.clusterRule(name), rule)])))
        let ends = try #require(body.pause?.endsAt)
        #expect(body.detail?.hasSuffix("paused until \(ends): nobody is made the leader by itself") == true)
        #expect(ClusterStatus.pause(of: rule, ClusterSilence(), at: now + 3_540_000) == nil)
        // Whatever a member has written there.
        rule.pause?.endsAt = .max
        #expect(ClusterStatus.pause(of: rule, ClusterSilence(), at: now) != nil)
    }

    /// The copy that a body is made of may be older than the change that is answered.
    @Test func whatIsSaidOfAPauseIsSaidInItsWordsToo() throws {
        var rule = rule
        let now = WallClock.milliseconds()
        func body() throws -> ClusterBody {
            try #require(ClusterStatus.body(of: name, in: try planet([try entry(StoreKeys.clusterRule(name), rule)])))
        }
        let free = try body()
        rule.pause = WishTerm(beganAt: now, length: .seconds(3600))
        let paused = try body()
        #expect(ClusterStatus.body(paused, paused: nil) == free)
        #expect(ClusterStatus.body(free, paused: paused.pause) == paused)
        #expect(ClusterStatus.body(paused, paused: paused.pause) == paused)
        // The advice to pause is none for who has just done so.
        func unrest(_ isPaused: Bool) throws -> ClusterBody {
            rule.pause = isPaused ? WishTerm(beganAt: now, length: .seconds(3600)) : nil
            var silence = ClusterSilence()
            silence.elections = 3
            let planet = try planet([try entry(StoreKeys.clusterRule(name), rule)])
            return try #require(ClusterStatus.body(of: name, in: planet, silence: silence))
        }
        let restless = try unrest(false)
        #expect(restless.detail?.contains("roost pg pause") == true, "\(restless)")
        #expect(ClusterStatus.body(restless, paused: paused.pause) == (try unrest(true)))
    }

    @Test func aClusterThatGoesSaysWhatKeepsIt() throws {
        var going = spec
        going.isDestroying = true
        let planet = try planet([try obstacle("orders-1 cannot be removed: host ams1 cannot be reached")], spec: going)
        let body = try #require(ClusterStatus.body(of: name, in: planet))
        #expect(body.status == .destroying)
        #expect(body.detail?.hasSuffix("orders-1 cannot be removed: host ams1 cannot be reached") == true)
    }

    /// A record that came after the cluster was removed makes no cluster.
    @Test func aClusterWithoutItsSpecIsNone() throws {
        var planet = try planet()
        #expect(planet.clusters[name]?.specRevision == 7)
        _ = planet.apply(.changes([.delete(key: StoreKeys.clusterSpec(name))], revision: Revision(10)))
        #expect(planet.clusters[name]?.specRevision == 0)
        #expect(ClusterStatus.body(of: name, in: planet) == nil)
    }
}
