import Foundation
import RoostModel
import RoostRecords
import Testing

@Suite struct EvolutionTests {
    @Test("A record of any version is read, and written back with all that was in it", arguments: Fixture.all)
    func kept(_ fixture: Fixture) throws {
        #expect(try fixture.passThrough(try fixture.bytes()).holds(try fixture.tree()))
    }

    @Test(
        "A field of a newer version survives at any depth of any record",
        arguments: Fixture.all.filter { Fixture.stored.keys.contains($0.name) })
    func fields(_ fixture: Fixture) throws {
        let future = try fixture.tree().fromTheFuture
        let once = try fixture.passThrough(try RecordCodec.write(future))
        let twice = try fixture.passThrough(try RecordCodec.write(once))
        #expect(once.holds(future))
        #expect(twice == once)
    }

    @Test(
        "A field of a newer version is passed over at any depth of whatever is sent",
        arguments: Fixture.all.filter { Fixture.sent.keys.contains($0.name) })
    func sentFields(_ fixture: Fixture) throws {
        let present = try fixture.tree()
        #expect(try fixture.passThrough(try RecordCodec.write(present.fromTheFuture)).holds(present))
    }

    @Test("Every record has a fixture as it is written now, and every fixture a record") func complete() {
        let last = Fixture.files.filter { $0.folder == "seventh" }.map(\.name)
        #expect(Set(last) == Fixture.elsewhere.union(Fixture.stored.keys).union(Fixture.sent.keys))
        #expect(Set(Fixture.files.map(\.name)).isSubset(of: last))
    }

    @Test("A word of a newer version survives", arguments: Word.all)
    func words(_ word: Word) throws {
        // Not every version has written every field.
        let fixtures = try Fixture.all.filter { try $0.name == word.name && $0.tree()[word.path] != nil }
        #expect(!fixtures.isEmpty)
        for fixture in fixtures {
            var future = try fixture.tree()
            try future.set(word.path[...], to: .text("of-the-future"))
            let written = try fixture.passThrough(try RecordCodec.write(future))
            #expect(written.holds(future), "\(fixture.testDescription)")
            #expect(written[word.path] == .text("of-the-future"))
        }
    }

    @Test("A capability of a newer version survives") func capabilities() throws {
        let fixture = Fixture(folder: "seventh", name: "host")
        var future = try fixture.tree()
        try future.set("capabilities", to: .list([.text("of-the-future"), .text("small-records")]))
        #expect(try fixture.passThrough(try RecordCodec.write(future)).holds(future))
        let record = try RecordCodec.read(HostRecord.self, from: try RecordCodec.write(future))
        #expect(record.capabilities == [.unknown("of-the-future"), .smallRecords])
    }

    @Test("A skill of a newer member survives, and a pause says nothing of a time that there is not") func skills()
        throws
    {
        let fixture = Fixture(folder: "ninth", name: "cluster-report")
        var future = try fixture.tree()
        try future.set("skills", to: .list([.text("of-the-future"), .text("pause")]))
        #expect(try fixture.passThrough(try RecordCodec.write(future)).holds(future))
        let report = try RecordCodec.read(MemberReport.self, from: try RecordCodec.write(future))
        #expect(report.skills == [MemberSkill.unknown("of-the-future"), .pause])
        var pause = WishTerm(beganAt: .min, length: .zero)
        pause.endsAt = .max
        #expect(pause.length == .zero && pause.isOver(at: 0))
        pause.beganAt = 0
        #expect(pause.left(at: 0) == WishTerm.lengthMax && pause.left(at: .min) == .zero)
    }

    @Test("A step of a newer change of members survives, and is none that this version knows") func steps() throws {
        let fixture = Fixture(folder: "eleventh", name: "cluster-rule")
        var future = try fixture.tree()
        let step = JSONTree.object(["kind": .text("of-the-future"), "member": .text("pg4")])
        try future.set("member_change", "left", to: .list([step]))
        #expect(try fixture.passThrough(try RecordCodec.write(future)).holds(future))
        let rule = try RecordCodec.read(ClusterRule.self, from: try RecordCodec.write(future))
        #expect(rule.change?.left.map(\.kind) == [MemberChange.Step.Kind.unknown("of-the-future")])
    }

    @Test(
        "An operation of a newer version keeps its kind and state, and is neither running nor ended",
        arguments: ["kind", "state"])
    func operations(_ field: String) throws {
        let fixture = Fixture(folder: "fourth", name: "operation")
        var future = try fixture.tree()
        try future.set(field, to: .text("of-the-future"))
        #expect(try fixture.passThrough(try RecordCodec.write(future)).holds(future))
        let record = try RecordCodec.read(OperationRecord.self, from: try RecordCodec.write(future))
        #expect(field == "kind" ? !record.kind.isKnown : !record.state.isKnown)
    }

    @Test("The rule goes through a member's program unchanged, whoever understands what is in it") func rule() throws {
        let fixture = Fixture(folder: "second", name: "cluster-rule")
        let future = try fixture.tree().fromTheFuture
        var rule = try RecordCodec.read(ClusterRule.self, from: try RecordCodec.write(future))
        rule.confirmations = 2
        let written = try JSONDecoder().decode(JSONTree.self, from: try JSONEncoder().encode(rule))
        var expected = future
        try expected.set("confirmations", to: .integer(2))
        #expect(written == expected)
    }

    @Test("What nobody here understands is no difference") func comparison() throws {
        let plain = Reign(epoch: .first, leader: try MemberName("pg1"), begin: .zero)
        let future = try RecordCodec.read(
            Reign.self, from: Array(#"{"epoch":1,"leader":"pg1","begin":0,"x":[1,2.5,null,true]}"#.utf8))
        #expect(plain == future)
        #expect(try String(decoding: RecordCodec.write(future), as: UTF8.self).contains("[1,2.5,null,true]"))
    }

    @Test("A change is written over what a newer program has put there") func over() throws {
        var record = try RecordCodec.read(
            VolumeRecord.self, from: try Fixture(folder: "first", name: "volume").bytes())
        let present = try Fixture(folder: "first", name: "volume").tree().fromTheFuture
        record.attachedMachine = nil
        record.state = .pendingDestroy
        let written = try RecordCodec.write(record, over: try RecordCodec.write(present))
        let tree = try JSONDecoder().decode(JSONTree.self, from: Data(written))
        #expect(tree["x_future"] == .text("kept"))
        #expect(tree["reserved", "x_future"] == .text("kept"))
        #expect(tree["attached_machine"] == nil)
        #expect(tree["state"] == .text("pending_destroy"))
    }

    @Test("A host with a machine that cannot be read is a host without this machine") func elements() throws {
        let fixture = Fixture(folder: "first", name: "host")
        var tree = try fixture.tree()
        guard case .list(var machines)? = tree["machines"], case .object(var broken) = machines[0] else {
            Issue.record("no machines")
            return
        }
        broken["id"] = .text("ffffffffffffff")
        broken["network"] = .text("seven")
        machines.append(.object(broken))
        try tree.set("machines", to: .list(machines))
        let record = try RecordCodec.read(HostRecord.self, from: try RecordCodec.write(tree))
        #expect(record.machines.count == 1)
        #expect(record.unreadable == ["ffffffffffffff"])
    }
}

@Suite struct CapabilityTests {
    func host(_ capabilities: Set<Capability>) throws -> HostRecord {
        var record = try RecordCodec.read(
            HostRecord.self, from: try Fixture(folder: "second", name: "host").bytes())
        record.capabilities = capabilities
        return record
    }

    @Test("A feature is used only when all concerned have it") func all() throws {
        let (new, newer, old) = (
            try host([.smallRecords]), try host([.smallRecords, .unknown("teleport")]), try host([])
        )
        #expect(Capability.all([new, newer], have: .smallRecords))
        #expect(!Capability.all([new, newer, old], have: .smallRecords))
        #expect(!Capability.all([new, newer], have: .unknown("teleport")))
    }

    @Test("A host of the first version has no capability and keeps all in one record") func first() throws {
        let record = try RecordCodec.read(
            HostRecord.self, from: try Fixture(folder: "first", name: "host").bytes())
        #expect(record.capabilities.isEmpty)
        #expect(record.layout == .whole)
    }
}

@Suite struct BoundsTests {
    func host() throws -> HostRecord {
        try RecordCodec.read(HostRecord.self, from: try Fixture(folder: "first", name: "host").bytes())
    }

    @Test("A host speaks for itself only, with an address that is its own") func hosts() throws {
        let record = try host()
        try RecordBounds.check(record, at: record.host)
        #expect(throws: RecordBounds.Violation.self) { try RecordBounds.check(record, at: try HostName("lhr-1")) }
        var other = record
        other.mesh.address = MeshAddress.host(try HostName("lhr-1"))
        #expect(throws: RecordBounds.Violation.self) { try RecordBounds.check(other, at: other.host) }
    }

    @Test(
        "A key of another length is no key",
        arguments: [
            "", "AAAA", "hZ9ZcnfEyuDqEMdmGNe4ZUmNrx8QJUCqgC1k5tBl5D==", "hZ9Z cnfEyuDqEMdmGNe4ZUmNrx8QJUCqgC1k5tBl5D=",
        ])
    func keys(_ key: String) throws {
        var record = try host()
        record.mesh.publicKey = key
        #expect(throws: RecordBounds.Violation.self) { try RecordBounds.check(record, at: record.host) }
    }

    @Test("Sizes are bounded so that ten thousand hosts can be added up") func sizes() throws {
        let hosts = 10_000
        #expect(!RecordBounds.memoryMax.bytes.multipliedReportingOverflow(by: Int64(hosts)).overflow)
        #expect(!RecordBounds.diskMax.bytes.multipliedReportingOverflow(by: Int64(hosts)).overflow)
        var record = try host()
        record.capacity.memory = ByteCount(bytes: .max)
        #expect(throws: RecordBounds.Violation.self) { try RecordBounds.check(record, at: record.host) }
        record.capacity.memory = ByteCount(bytes: -1)
        #expect(throws: RecordBounds.Violation.self) { try RecordBounds.check(record, at: record.host) }
    }

    @Test("A machine has the address of its id and network, and a guest within bounds") func machines() throws {
        let record = try #require(try host().machines.first)
        try RecordBounds.check(record, at: record.id)
        var other = record
        other.address = MeshAddress.host(try HostName("lhr-1"))
        #expect(throws: RecordBounds.Violation.self) { try RecordBounds.check(other, at: other.id) }
        other = record
        other.config.guest.memoryMebibytes = .max
        #expect(throws: RecordBounds.Violation.self) { try RecordBounds.check(other, at: other.id) }
        #expect(throws: RecordBounds.Violation.self) {
            try RecordBounds.check(record, at: try MachineID("ffffffffffffff"))
        }
    }

    @Test("A member is placed at its own machine's address") func placements() throws {
        let placement = try RecordCodec.read(
            MemberPlacement.self, from: try Fixture(folder: "first", name: "cluster-placement").bytes())
        try RecordBounds.check(placement, of: placement.member)
        var other = placement
        other.address = MeshAddress.host(try HostName("lhr-1"))
        #expect(throws: RecordBounds.Violation.self) { try RecordBounds.check(other, of: other.member) }
    }
}

@Suite struct StoreKeyTests {
    @Test("Every key is taken apart as it was put together") func roundTrip() throws {
        let (host, machine, volume) = (
            try HostName("ams-1"), try MachineID("148ed127c44389"), try VolumeID("vol_0123456789abcdef")
        )
        let (app, member) = (try AppName("shop"), try MemberName("pg1"))
        #expect(StoreKey(StoreKeys.host(host)) == .host(host))
        #expect(StoreKey(StoreKeys.generation(host)) == .generation(host))
        #expect(StoreKey(StoreKeys.machine(machine, on: host)) == .machine(machine, on: host))
        #expect(StoreKey(StoreKeys.volume(volume, on: host)) == .volume(volume, on: host))
        #expect(StoreKey(StoreKeys.app(app)) == .app(app))
        #expect(StoreKey(StoreKeys.clusterSpec(app)) == .cluster(app, .spec))
        #expect(StoreKey(StoreKeys.placement(app, member)) == .cluster(app, .placement(member)))
        #expect(StoreKey(StoreKeys.clusterHeartbeat(app)) == .cluster(app, .heartbeat))
        #expect(StoreKey(StoreKeys.clusterSecrets(app)) == .cluster(app, .secrets))
        #expect(StoreKey(StoreKeys.report(app, member)) == .cluster(app, .report(member)))
        let operation = try PlanetOperationID("01KB2Q6YJ0H5V3M8N7R4T2W9XC")
        #expect(StoreKey(StoreKeys.operation(operation)) == .operation(operation))
        #expect(StoreKey("/roost/operations/lower") == .other)
        for key in [
            "/roost/hosts/ams-1/machines", "/roost/hosts/ams-1/machines/x/y", "/other",
        ] {
            #expect(StoreKey(key) == .other)
        }
    }
}
