import Foundation
import RoostLinux
public import RoostModel
public import RoostPlanet
public import RoostStore

/// Apps and their networks: names that are unique on the planet, so their truth is the store.
public struct AppDirectory: Sendable {
    let store: any Store
    let networks: @Sendable (AppName) -> MachineNetworks

    /// How often a change is tried again when others changed the same records in between.
    public static let triesMax = 16

    /// - Parameter networks: what is known of the machines that there are, for a new app of this name.
    public init(
        store: any Store, networks: @escaping @Sendable (AppName) -> MachineNetworks = { _ in MachineNetworks() }
    ) {
        self.store = store
        self.networks = networks
    }

    /// Makes the app, on the named private network or on one of its own.
    public func create(_ name: AppName, network: NetworkName?, owner: OwnerKind? = nil) async throws(Refusal)
        -> AppRecord
    {
        for _ in 0..<Self.triesMax {
            let plan = try await plan(name, network: network, owner: owner)
            let outcome = try await store.carryOut(Transaction(compares: plan.compares, then: plan.operations))
            if outcome.succeeded { return plan.app }
        }
        throw Refusal(.unavailable, "too many changes at once; try again")
    }

    /// A new app as compares and operations, so that it can be part of a larger transaction.
    public struct Plan {
        public var app: AppRecord
        public var compares: [Transaction.Compare]
        public var operations: [Transaction.Operation]
    }

    public func plan(_ name: AppName, network: NetworkName?, owner: OwnerKind?) async throws(Refusal) -> Plan {
        if try await store.record(AppRecord.self, at: StoreKeys.app(name)) != nil {
            throw Refusal(.nameTaken, "Name has already been taken")
        }
        let networkName: NetworkName
        if let network {
            if owner == nil { try await refuseIfClosed(network) }
            networkName = network
        } else {
            do { networkName = try NetworkName(name.text) } catch { throw Refusal(.invalid, error.description) }
        }
        let present = try await store.record(NetworkNumber.self, at: StoreKeys.network(networkName))
        var compares = [Transaction.Compare.modified(key: StoreKeys.app(name), equals: .absent)]
        var operations: [Transaction.Operation] = []
        let number: NetworkNumber
        // What a feature keeps gets a network that nobody is in: not one that an app was put into before, by that name.
        if let present, owner == nil || network != nil {
            number = present.record
            if let former = networks(name).ofApp, former != number, try await !isGiven(former) {
                throw Refusal(
                    .failedPrecondition,
                    "machines of app \(name) are in another network than \(networkName) is: they were made before the store "
                        + "went back. Give the app a network of its own, and it gets theirs; or destroy them first")
            }
            compares.append(.modified(key: StoreKeys.network(networkName), equals: present.revision))
        } else {
            let counter = try await store.record(NetworkNumber.self, at: StoreKeys.networkCounter)
            let machines = networks(name)
            let last = max(counter?.record ?? .hosts, machines.highest)
            if owner == nil, let former = machines.ofApp, try await !isGiven(former) {
                number = former
            } else {
                let next = last.number.addingReportingOverflow(1)
                guard !next.overflow else { throw Refusal(.failed, "there are no more numbers for networks") }
                number = NetworkNumber(next.partialValue)
            }
            compares.append(.modified(key: StoreKeys.network(networkName), equals: present?.revision ?? .absent))
            compares.append(.modified(key: StoreKeys.networkCounter, equals: counter?.revision ?? .absent))
            operations.append(try .put(number, at: StoreKeys.network(networkName)))
            operations.append(try .put(max(number, last), at: StoreKeys.networkCounter))
        }
        let app = AppRecord(
            name: name, network: number, networkName: networkName, createdAt: WallClock.milliseconds(),
            owner: owner)
        operations.append(try .put(app, at: StoreKeys.app(name)))
        return Plan(app: app, compares: compares, operations: operations)
    }

    /// Whether the store has given the number to a network. One that machines are in and that it knows nothing of is from
    /// after the copy that it was restored from.
    private func isGiven(_ number: NetworkNumber) async throws(Refusal) -> Bool {
        let listing: Listing
        do { listing = try await store.read(.prefix(StoreKeys.networks), at: nil) } catch {
            throw Refusal(store: error)
        }
        return listing.entries.contains { entry in
            // One that cannot be read may be it.
            (try? JSONDecoder().decode(NetworkNumber.self, from: Data(entry.value))).map { $0 == number } ?? true
        }
    }

    /// The network of an app that something else keeps (a database) is open to its own machines alone: what listens
    /// there takes whoever comes from it for one of its own.
    private func refuseIfClosed(_ network: NetworkName) async throws(Refusal) {
        let listing: Listing
        do { listing = try await store.read(.prefix(StoreKeys.apps), at: nil) } catch { throw Refusal(store: error) }
        let apps = listing.entries.compactMap { try? JSONDecoder().decode(AppRecord.self, from: Data($0.value)) }
        guard apps.count == listing.entries.count else {
            // One that cannot be read may be kept by something, and be in any network.
            throw Refusal(
                .failedPrecondition,
                "an app of this planet cannot be read by this host; leave 'network' out, or ask another host")
        }
        guard let kept = apps.first(where: { $0.networkName == network && $0.owner != nil }), let owner = kept.owner
        else { return }
        throw Refusal(
            .failedPrecondition,
            "network \(network) is that of app \(kept.name), kept by \(owner.rawValue), and closed to other apps; choose another"
        )
    }

    /// The app as the store has it now.
    public func find(_ name: AppName) async throws(Refusal) -> AppRecord? {
        try await store.record(AppRecord.self, at: StoreKeys.app(name))?.record
    }

    // MARK: - Deletion

    /// A deletion that has been under way for longer was cut off: who makes something for the app takes it back.
    static let deletionMax = Duration.seconds(60)

    /// Removes the app's name, with those of its machines, if nothing is left of it.
    ///
    /// What is made for the app at the same moment is made without the store. So the app is marked first: whoever makes
    /// something looks at the mark afterwards, and so does whoever ordered it (``PlanetView/confirm(_:orElse:)``), and takes
    /// back what was made; what was made before the mark is found when the hosts are asked behind it. A deletion that was cut off between the two
    /// goes on when it is repeated.
    ///
    /// - Parameter check: throws while something of the app is left, by what its hosts say when they are asked. Asked
    ///   before the mark too, so that one in use is never marked by mistake.
    public func delete(_ name: AppName, unless check: () async throws(Refusal) -> Void) async throws(Refusal) {
        try await check()
        let marked = try await mark(name, at: WallClock.milliseconds())
        do throws(Refusal) { try await check() } catch {
            // Where this fails, the mark is found by age.
            _ = try? await store.carryOut(try marked.lifting(from: name))
            throw error
        }
        let outcome = try await store.carryOut(
            Transaction(
                compares: [.modified(key: StoreKeys.app(name), equals: marked.revision)],
                then: [.delete(.key(StoreKeys.app(name))), .delete(.prefix(StoreKeys.machineNames(name)))]))
        guard outcome.succeeded else {
            throw Refusal(.unavailable, "app \(name) was changed at the same time; try again")
        }
    }

    /// An app's record with the mark, as it was read or has just been written.
    struct Marked {
        var record: AppRecord
        var bytes: [UInt8]
        var revision: Revision

        /// Nothing is changed where somebody else has marked or deleted the app since.
        func lifting(from name: AppName) throws(Refusal) -> Transaction {
            var record = record
            record.deletionBegan = nil
            let key = StoreKeys.app(name)
            return Transaction(
                compares: [.modified(key: key, equals: revision)], then: [try .put(record, over: bytes, at: key)])
        }
    }

    /// Writes down that the app is being deleted, also over such a mark: the deletion before it finds that it is over.
    func mark(_ name: AppName, at now: Int64) async throws(Refusal) -> Marked {
        let key = StoreKeys.app(name)
        for _ in 0..<Self.triesMax {
            guard var present = try await store.record(AppRecord.self, at: key) else {
                throw Refusal(.notFound, "app \(name) not found")
            }
            if let owner = present.record.owner { throw Self.owned(name, by: owner) }
            present.record.deletionBegan = now
            let outcome = try await store.carryOut(
                Transaction(
                    compares: [.modified(key: key, equals: present.revision)],
                    then: [try .put(present.record, over: present.bytes, at: key)]))
            if outcome.succeeded {
                return Marked(record: present.record, bytes: present.bytes, revision: outcome.revision)
            }
        }
        throw Refusal(.unavailable, "too many changes at once; try again")
    }

    /// The app that something is to be made for, without the mark of a deletion that was cut off.
    ///
    /// - Throws: while it is being deleted.
    func reopened(_ name: AppName, at now: Int64 = WallClock.milliseconds()) async throws(Refusal) -> AppRecord {
        for _ in 0..<Self.triesMax {
            guard let present = try await store.record(AppRecord.self, at: StoreKeys.app(name)) else {
                throw Refusal(.notFound, "app \(name) not found")
            }
            guard let began = present.record.deletionBegan else { return present.record }
            // Clocks of hosts differ, and by how much is not known; what is changed is compared, so a wrong one harms nobody.
            let age = Duration.milliseconds(now &- began)
            if (.zero - Self.deletionMax...Self.deletionMax).contains(age) { throw Self.going(name) }
            let marked = Marked(record: present.record, bytes: present.bytes, revision: present.revision)
            _ = try await store.carryOut(try marked.lifting(from: name))
        }
        throw Refusal(.unavailable, "too many changes at once; try again")
    }

    static func going(_ app: AppName) -> Refusal {
        Refusal(
            .failedPrecondition,
            "app \(app) is being deleted; if its deletion was cut off, repeat it, or try again after \(deletionMax.components.seconds) s"
        )
    }

    /// What belongs to a feature comes and goes with it. Taken out by hand, a machine or a volume would be missing from a
    /// thing that still counts on it, and one put in would outlive it.
    public static func owned(_ app: AppName, by owner: OwnerKind) -> Refusal {
        switch owner {
        case .postgres:
            Refusal(
                .failedPrecondition,
                "app \(app) is a Postgres cluster, and its machines and volumes come and go with it; destroy the cluster with DELETE /v1/postgres/\(app) or 'roost pg destroy \(app)'"
            )
        case .unknown(let kind):
            Refusal(
                .failedPrecondition,
                "app \(app) belongs to a feature that this host's version does not know (\(kind)); ask a newer host")
        }
    }
}
