public import RoostControl
import RoostLinux
public import RoostModel
import RoostPlanet
import RoostWire

/// What hosts have of a cluster and no record of it names: a member was coming, or had come, when the store went back to an older
/// copy. It counts for nothing, and nothing takes it away by itself: of a copy that is too old it might be all that there is.
public struct ClusterLeftovers: OwnedRemains {
    let clusters: ClusterDirectory
    let inquiry: ClusterInquiry

    public init(view: PlanetView, clusters: ClusterDirectory, hearing: ClusterHearing) {
        self.clusters = clusters
        inquiry = ClusterInquiry(view: view, clusters: clusters, hearing: hearing)
    }

    /// Younger ones may be of a place whose record is on its way here.
    static let ageMin = Duration.seconds(60)

    /// - Parameter planet: where machines and volumes are known from.
    /// - Returns: nil when there are none, and while nobody knows who is a member.
    static func of(
        _ spec: ClusterSpec, _ records: Planet.ClusterRecords, in planet: Planet,
        at wallClock: Int64 = WallClock.milliseconds()
    ) -> [LeftoverBody]? {
        guard !spec.isDestroying, records.rule != nil else { return nil }
        let (machines, volumes) = (
            Set(records.placements.values.map(\.machine)), Set(records.placements.values.map(\.volume))
        )
        func isOld(_ createdAt: Int64) -> Bool { wallClock &- createdAt > ageMin.milliseconds }
        let lastWord = lastWord(records)
        var left: [LeftoverBody] = []
        func add(_ machine: MachineRecord?, _ id: MachineID?, _ volume: VolumeID?, on host: HostName?) {
            left.append(
                LeftoverBody(name: machine?.name, machine: id, volume: volume, host: host, lastCopy: lastWord))
        }
        let others = planet.volumes(of: spec.name).filter { !volumes.contains($0.id) && isOld($0.createdAt) }
        var attached = Set(others.compactMap(\.attachedMachine))
        for machine in planet.machines(of: spec.name) where !machines.contains(machine.id) {
            // A place is as old as its volume, which came first.
            guard isOld(machine.createdAt) || attached.contains(machine.id), !machine.isGoing else { continue }
            let volume = others.first { $0.attachedMachine == machine.id }?.id
            attached.remove(machine.id)
            add(machine, machine.id, volume, on: planet.host(of: machine.id))
        }
        for volume in others where volume.state == .created {
            guard let holder = volume.attachedMachine else {
                add(nil, nil, volume.id, on: planet.host(of: volume.id))
                continue
            }
            // It is on its way here, or on its way to be gone: no volume goes before the machine that is on it.
            guard attached.contains(holder), !machines.contains(holder), planet.machine(holder)?.isGoing != true else {
                continue
            }
            add(nil, holder, volume.id, on: planet.host(of: volume.id))
        }
        return left.isEmpty ? nil : left
    }

    public func check(_ thing: OwnedThing, of app: AppName, evenLastCopy: Bool) async throws(Refusal) {
        let records = try await clusters.read(app).clusters[app]
        guard let records, let spec = records.spec, !spec.isDestroying,
            !records.placements.values.contains(where: { $0.isPlace(of: thing) })
        else { throw AppDirectory.owned(app, by: .postgres) }
        try await clusters.checkStoreIsNotBehind(records, app)
        if !evenLastCopy, let why = Self.lastWord(records) {
            throw Refusal(
                .failedPrecondition,
                "\(why). Look at it first (take a dump of it); to destroy it all the same: \(thing.lastCopyOption)")
        }
        let voices = try await inquiry.voices(of: app)
        if let why = Self.objection(records, isLeaderHeard: voices.isLeaderRenewing) {
            throw Refusal(.failedPrecondition, "no record of Postgres cluster \(app) names it, but \(why)")
        }
    }

    /// What is left over may be of a member that came after the copy of the store, and be all that there is: where one says so that
    /// the cluster has no place for. Its word is kept though nobody hears it any more: a volume tells of no member, and says nothing
    /// when its machine is gone.
    static func lastWord(_ records: Planet.ClusterRecords) -> String? {
        let members = records.rule?.members ?? []
        let strangers = records.membersWithProof.filter {
            records.placements[$0] == nil && !members.contains($0)
        }
        guard !strangers.isEmpty else { return nil }
        let names = strangers.map(\.text).joined(separator: ", ")
        return
            "\(names), for which the store has no place, \(strangers.count == 1 ? "says" : "say") that the store has gone "
            + "back to an older copy: what is left over may be all that there is of what was confirmed since"
    }

    /// Why it may be the data of a member all the same. A leader that lets clients in under the store's rule goes by that rule,
    /// and so do those who confirm.
    static func objection(_ records: Planet.ClusterRecords, isLeaderHeard: Bool) -> String? {
        guard let rule = records.rule else { return "nobody knows yet who its members are; try again later" }
        let unplaced = rule.members.filter { records.placements[$0] == nil }
        guard unplaced.isEmpty else {
            let names = unplaced.map(\.text).joined(separator: ", ")
            return "none says where \(names) is either, and this may be its data; replace it first: "
                + "roost pg member replace\(records.spec.map { " \($0.name)" } ?? "") \(unplaced[0])"
        }
        let isOpen = records.heartbeat.map { $0.epoch == rule.epoch && $0.isOpen } ?? false
        guard isLeaderHeard, isOpen, rule.recruitment == nil else {
            return
                "while its primary lets nobody in, nobody can say that its members need nothing of it; try again then"
        }
        return nil
    }
}

extension MachineRecord {
    fileprivate var isGoing: Bool { state == .destroying || state == .destroyed }
}

extension OwnedThing {
    /// By which it is destroyed though it may be the last copy. A machine's `--force` is that it runs.
    fileprivate var lastCopyOption: String {
        switch self {
        case .machine: "--last-copy"
        case .volume: "--force"
        }
    }
}

extension MemberPlacement {
    fileprivate func isPlace(of thing: OwnedThing) -> Bool {
        switch thing {
        case .machine(let id): machine == id
        case .volume(let id): volume == id
        }
    }
}
