import Foundation
import RoostControl
import RoostHost
import RoostLinux
public import RoostModel
public import RoostPlanet
public import RoostStore
import RoostWire

/// Postgres clusters as records: made in one transaction, taken apart in one, changed by compare-and-swap.
public struct ClusterDirectory: Sendable {
    let store: any Store
    let prefixes: [IPv4Prefix]
    /// Makes the secrets of a new cluster.
    let makeSecrets: @Sendable (AppName, IPv4Address) async throws -> ClusterSecrets
    /// Whether every host finds secrets apart from a cluster's other records.
    let keepsSecretsApart: @Sendable () -> Bool
    let networks: @Sendable (AppName) -> MachineNetworks
    let published: @Sendable (AppName) -> Set<MemberName>
    /// Who of a cluster is known to have said nothing for too long. Nobody is, where it is not known.
    var silent: @Sendable (AppName) async -> Set<MemberName> = { _ in [] }

    static let membersMax = PostgresNames.membersMax

    /// - Parameter published: whom machines of a cluster are, by what their hosts say.
    public init(
        store: any Store, prefixes: [IPv4Prefix],
        keepsSecretsApart: @escaping @Sendable () -> Bool,
        networks: @escaping @Sendable (AppName) -> MachineNetworks = { _ in MachineNetworks() },
        published: @escaping @Sendable (AppName) -> Set<MemberName> = { _ in [] },
        makeSecrets: @escaping @Sendable (AppName, IPv4Address) async throws -> ClusterSecrets
    ) {
        self.store = store
        self.keepsSecretsApart = keepsSecretsApart
        self.networks = networks
        self.published = published
        self.prefixes = prefixes
        self.makeSecrets = makeSecrets
    }

    /// One that knows who is heard: what others said last forbids nothing.
    public func hearing(_ hearing: ClusterHearing, in view: PlanetView) -> ClusterDirectory {
        let inquiry = ClusterInquiry(view: view, clusters: self, hearing: hearing)
        var directory = self
        directory.silent = { cluster in
            do throws(Refusal) { return try await inquiry.voices(of: cluster).silent ?? [] } catch { return [] }
        }
        return directory
    }

    /// The wish for a cluster, checked.
    public struct Order: Sendable {
        public var name: AppName
        public var regions: [RegionCode]
        public var volumeSize: ByteCount
        public var guest: MachineGuest
        public var image: String
        /// Nil: ``ReplacementTerm/standard``.
        public var replaceAfter: ReplacementTerm?
        /// Why the regions are these; nil: they were asked for.
        public var survive: SurvivalGoal?
        /// One for each reader.
        public var readers: [RegionCode]

        public init(
            name: AppName, regions: [RegionCode], volumeSize: ByteCount, guest: MachineGuest, image: String,
            replaceAfter: ReplacementTerm? = nil, survive: SurvivalGoal? = nil, readers: [RegionCode] = []
        ) {
            self.readers = readers
            self.survive = survive
            self.replaceAfter = replaceAfter
            self.name = name
            self.regions = regions
            self.volumeSize = volumeSize
            self.guest = guest
            self.image = image
        }
    }

    /// Writes the cluster's records; whoever has the duty then makes its members. App, network, address, shape and
    /// secrets come into being together or not at all.
    ///
    /// - Parameter operation: the name of the operation that begins with it.
    public func create(_ order: Order, operation: PlanetOperationID = OperationDirectory.makeID()) async throws(Refusal)
        -> ClusterSpec
    {
        guard (1...Self.membersMax).contains(order.regions.count) else {
            throw Refusal(.invalid, "a cluster has 1 to \(Self.membersMax) members")
        }
        guard order.volumeSize >= .gibibytes(1), order.volumeSize <= HostAgent.volumeSizeMax else {
            throw Refusal(
                .invalid, "volume_size_gb must be 1 to \(HostAgent.volumeSizeMax.wholeGibibytes)")
        }
        let former = published(order.name).compactMap { PostgresNames.number(of: $0, in: order.name) }.max() ?? 0
        let members = try members(of: order, after: former)
        let readers = try Self.readers(
            in: order.readers, of: order.name, after: former + members.count, standbys: members.count - 1)
        let apps = AppDirectory(store: store, networks: networks)
        for _ in 0..<AppDirectory.triesMax {
            var plan = try await apps.plan(order.name, network: nil, owner: .postgres)
            let address = try await freeAddress()
            var spec = ClusterSpec(
                name: order.name, address: address, volumeSize: order.volumeSize, guest: order.guest,
                image: order.image, members: members, createdAt: WallClock.milliseconds(),
                replaceAfter: order.replaceAfter, survive: order.survive,
                home: order.survive == nil ? nil : order.regions.first)
            spec.readers = readers
            if former > 0 { spec.lastNumber = former + spec.everybody.count }
            let secrets: ClusterSecrets
            do { secrets = try await makeSecrets(order.name, address) } catch {
                throw Refusal(.failed, "the host cannot make the cluster's certificates", details: "\(error)")
            }
            let now = WallClock.milliseconds()
            let records: [(String, any Encodable)] = [
                (StoreKeys.address(address), IPRecord(address: address, app: order.name, createdAt: now)),
                (StoreKeys.clusterSpec(order.name), spec),
            ]
            for (key, record) in records {
                plan.compares.append(.modified(key: key, equals: .absent))
                plan.operations.append(try .put(record, at: key))
            }
            if keepsSecretsApart() {
                plan.operations.append(try .put(secrets, at: StoreKeys.secrets(order.name)))
                plan.operations.append(try .put(secrets.identity, at: StoreKeys.identity(order.name)))
            } else {
                plan.operations.append(try .put(secrets, at: StoreKeys.clusterSecrets(order.name)))
            }
            let begun = try OperationDirectory.begin(Self.operation(operation, .createCluster, on: spec))
            let outcome = try await store.carryOut(
                Transaction(compares: plan.compares + [begun.compare], then: plan.operations + [begun.operation]))
            if outcome.succeeded { return spec }
        }
        throw Refusal(.unavailable, "too many changes at once; try again")
    }

    static func operation(
        _ id: PlanetOperationID, _ kind: OperationRecord.Kind, on spec: ClusterSpec,
        from reigning: OperationRecord.Reigning? = nil
    ) -> OperationRecord {
        OperationRecord(
            id: id, kind: kind, object: spec.name, objectMadeAt: spec.createdAt,
            startedAt: WallClock.milliseconds(), requestID: PresentCall.requestID, reigning: reigning)
    }

    /// - Parameter former: the highest number of a machine of that name which runs somewhere, of a cluster that the store does
    ///   not know (any more). Nobody of the new one shall be taken for it.
    private func members(of order: Order, after former: Int) throws(Refusal) -> [ClusterSpec.MemberSpec] {
        do {
            return try order.regions.enumerated().map { index, region throws(InvalidValue) in
                ClusterSpec.MemberSpec(
                    name: try PostgresNames.member(former + index + 1, of: order.name), region: region)
            }
        } catch {
            guard former > 0 else { throw Refusal(.invalid, "\(error)") }
            throw Refusal(
                .failedPrecondition,
                "machines of a former cluster \(order.name), up to \(order.name)-\(former), are still there: destroy those "
                    + "that nothing is needed of, or choose another name", details: "\(error)")
        }
    }

    private func freeAddress() async throws(Refusal) -> IPv4Address {
        let listing: Listing
        do { listing = try await store.read(.prefix(StoreKeys.addresses), at: nil) } catch {
            throw Refusal(store: error)
        }
        let taken = Set(listing.entries.map(\.key))
        for prefix in prefixes {
            for address in prefix.serviceAddresses where !taken.contains(StoreKeys.address(address)) {
                return address
            }
        }
        throw Refusal(
            .insufficientCapacity, "every address of the anycast prefixes is taken; destroy a cluster or add a prefix")
    }

    /// The cluster's records as the store has them now.
    public func read(_ name: AppName) async throws(Refusal) -> Planet {
        var planet = Planet()
        do {
            _ = planet.apply(.listing(try await store.read(.prefix(StoreKeys.cluster(name)), at: nil)))
            let apart = PlanetPart.secrets(name)
            _ = planet.apply(.listing(try await store.read(apart.range, at: nil)), of: apart)
        } catch {
            throw Refusal(store: error)
        }
        return planet
    }

    /// All clusters' secrets as the store has them now, and their other records where they are wanted.
    func readAll(withRecords: Bool) async throws(Refusal) -> Planet {
        var listing = Listing(entries: [], revision: .absent)
        do {
            if withRecords { listing = try await store.read(PlanetPart.clusters.range, at: nil) }
            listing.entries += try await store.read(.prefix(StoreKeys.secretsRoot), at: nil).entries
        } catch {
            throw Refusal(store: error)
        }
        var planet = Planet()
        _ = planet.apply(.listing(listing))
        return planet
    }

    /// Marks the cluster for destruction; the reconciler takes it apart. Repeating it changes nothing.
    ///
    /// - Parameter operation: the name of the operation that begins with it.
    /// - Returns: whether it has begun; false: it was being destroyed already.
    @discardableResult
    public func destroy(_ name: AppName, operation: PlanetOperationID = OperationDirectory.makeID())
        async throws(Refusal)
        -> Bool
    {
        let key = StoreKeys.clusterSpec(name)
        for _ in 0..<AppDirectory.triesMax {
            guard var present = try await store.record(ClusterSpec.self, at: key) else {
                throw Refusal(.notFound, "Postgres cluster \(name) not found")
            }
            guard !present.record.isDestroying else { return false }
            present.record.isDestroying = true
            let begun = try OperationDirectory.begin(Self.operation(operation, .destroyCluster, on: present.record))
            let outcome = try await store.carryOut(
                Transaction(
                    compares: [.modified(key: key, equals: present.revision), begun.compare],
                    then: [try .put(present.record, over: present.bytes, at: key), begun.operation]))
            if outcome.succeeded { return true }
        }
        throw Refusal(.unavailable, "too many changes at once; try again")
    }

    /// Says from which networks clients may log in; from everywhere with none. Sessions that there are go on.
    @discardableResult
    func allow(_ list: ClientList, to name: AppName) async throws(Refusal) -> ClusterSpec {
        try await changeSpec(of: name) { spec in
            // No list in the record means the same as an empty one: from everywhere.
            if spec.allowedClients ?? [] != list.texts { spec.allowedClients = list.texts }
        }
    }

    /// Says when a lost member is replaced. What is under way goes on.
    func replace(after term: ReplacementTerm, in name: AppName) async throws(Refusal) -> ClusterSpec {
        try await changeSpec(of: name) { $0.replaceAfter = term }
    }

    /// Changes the spec as it is now; again when somebody else has changed it meanwhile. Where nothing is changed, nothing is
    /// written.
    private func changeSpec(of name: AppName, _ change: (inout ClusterSpec) -> Void) async throws(Refusal)
        -> ClusterSpec
    {
        let key = StoreKeys.clusterSpec(name)
        for _ in 0..<AppDirectory.triesMax {
            guard var present = try await store.record(ClusterSpec.self, at: key) else {
                throw Refusal(.notFound, "Postgres cluster \(name) not found")
            }
            let former = present.record
            change(&present.record)
            guard present.record != former else { return former }
            let outcome = try await store.carryOut(
                Transaction(
                    compares: [.modified(key: key, equals: present.revision)],
                    then: [try .put(present.record, over: present.bytes, at: key)]))
            if outcome.succeeded { return present.record }
        }
        throw Refusal(.unavailable, "too many changes at once; try again")
    }

    /// Writes down what is in the way of the cluster, or that nothing is, if the conditions hold.
    func note(_ obstacle: ClusterObstacle?, of name: AppName, under conditions: [Transaction.Compare])
        async throws(Refusal)
    {
        let key = StoreKeys.clusterObstacle(name)
        let change: Transaction.Operation =
            if let obstacle { try .put(obstacle, at: key) } else { .delete(.key(key)) }
        _ = try await store.carryOut(Transaction(compares: conditions, then: [change]))
    }

    /// Removes every record of a cluster whose machines and volumes are gone, if the conditions hold: under a view that
    /// is old nothing is removed, whatever has taken the name meanwhile.
    ///
    /// - Returns: whether they were removed.
    func remove(_ spec: ClusterSpec, under conditions: [Transaction.Compare]) async throws(Refusal) -> Bool {
        let outcome = try await store.carryOut(
            Transaction(
                compares: conditions,
                then: [
                    .delete(.prefix(StoreKeys.cluster(spec.name))), .delete(.key(StoreKeys.secrets(spec.name))),
                    .delete(.key(StoreKeys.identity(spec.name))), .delete(.key(StoreKeys.app(spec.name))),
                    .delete(.key(StoreKeys.address(spec.address))),
                ]))
        return outcome.succeeded
    }

    /// Asks the leader to hand over. The leader reads the wish in the rule, drains, and starts the change of epoch; or
    /// it writes down why not.
    ///
    /// - Returns: the wish's id, which is its operation's too.
    public func requestSwitchover(of name: AppName, to target: MemberName?) async throws(Refusal) -> PlanetOperationID {
        try await ask(of: name) { rule, _, spec throws(Refusal) in
            try switchover(to: target, in: &rule, of: spec)
        }
    }

    /// As ``requestSwitchover(of:to:)``, where nobody asks: if the rule is still the one that was looked at.
    ///
    /// - Returns: whether it was asked for.
    func lead(
        _ member: MemberName, of name: AppName, seen planet: Planet, under conditions: [Transaction.Compare]
    ) async throws(Refusal) -> Bool {
        guard let seen = planet.clusters[name] else { return false }
        let why = "\(member) is at the cluster's home and confirms: it is to lead again"
        let id = try await tryToAsk(of: name, seeing: seen.ruleRevision, under: conditions) {
            rule, _, spec throws(Refusal) in
            try switchover(to: member, in: &rule, of: spec, because: why)
        }
        return id != nil
    }

    /// Notes that the switchover away from home which was asked for in this epoch has come to nothing, if the rule is still the one
    /// that says so.
    ///
    /// - Returns: whether it was noted.
    func letGoHome(
        _ name: AppName, since epoch: Epoch, seen planet: Planet, under conditions: [Transaction.Compare]
    ) async throws(Refusal) -> Bool {
        guard let seen = planet.clusters[name],
            let noted = try await noting({ if $0.ledAway?.epoch == epoch { $0.ledAway = nil } }, of: name)
        else { return false }
        let rule = Transaction.Compare.modified(
            key: StoreKeys.clusterRule(name), equals: Revision(seen.ruleRevision))
        let outcome = try await store.carryOut(
            Transaction(compares: conditions + [rule, noted.compare], then: [noted.operation]))
        return outcome.succeeded
    }

    /// - Parameter reason: why it is asked for, where nobody asks.
    private func switchover(
        to target: MemberName?, in rule: inout ClusterRule, of spec: ClusterSpec, because reason: String? = nil
    ) throws(Refusal) -> Asked {
        try check(target, under: rule)
        let former = rule.switchover.map { FormerWish(id: $0.id, verdict: $0.refusal.map { .failed($0) }) }
        let id = OperationDirectory.makeID()
        rule.switchover = SwitchoverRequest(id: id.text, target: target)
        var operation = Self.operation(
            id, .switchover, on: spec, from: .init(epoch: rule.epoch, leader: rule.leader, target: target))
        operation.steps = [reason].compactMap(\.self).map { .init(name: $0, at: operation.startedAt) }
        guard spec.home != nil else { return .begins(operation, after: former) }
        // Home is where the platform would have it led from again. Where it asks itself, nobody's wish is in force any more.
        let away = reason == nil ? LedAway(epoch: rule.epoch, target: target) : nil
        return .begins(operation, after: former, spec: { $0.ledAway = away })
    }

    private func check(_ target: MemberName?, under rule: ClusterRule) throws(Refusal) {
        if let target, !rule.members.contains(target) { throw MemberWish.stranger(target, rule) }
        if rule.recruitment != nil {
            throw Refusal(.failedPrecondition, "the cluster is changing its leader at this moment; try again")
        }
        if rule.members.count < 2 {
            throw Refusal(.failedPrecondition, "the cluster has one member; there is nobody to switch over to")
        }
        if let request = rule.switchover, request.refusal == nil {
            let aim = request.target.map { " to \($0)" } ?? ""
            throw Refusal(
                .failedPrecondition,
                "a switchover\(aim) is under way already, operation \(request.id); it is not taken back, and ends when a new "
                    + "leader is named or \(rule.leader) refuses it: roost operations show \(request.id)")
        }
        if let target, target == rule.leader { throw Refusal(.failedPrecondition, "\(target) is the leader already") }
    }
}
