import RoostModel
import RoostRecords
import RoostStore

/// Where the secrets of one cluster are, and what is the next step to where they should be. Pure.
///
/// At every moment at least one place has all of them: what is new is written first, and what is old goes later. Two
/// places that differ are made equal by what was written last.
struct SecretsPlace: Hashable, Sendable {
    enum Place: Hashable, Sendable {
        /// Among the cluster's other records, where every program finds them.
        case among
        /// Outside of everything that is followed without need.
        case apart
    }

    enum Step: Hashable, Sendable {
        /// Writes what is apart, from what is among the others.
        case setApart
        /// Writes among the others what is apart.
        case setAmong
        case removeAmong
        case removeApart

        /// Something that somebody may still be reading goes.
        var removes: Bool {
            switch self {
            case .removeAmong, .removeApart: true
            case .setApart, .setAmong: false
            }
        }
    }

    let cluster: AppName
    var spec: Revision?
    var among: Entry?
    var apart: Entry?
    var identity: Entry?

    func step(to place: Place) -> Step? {
        guard spec != nil else {
            // Taken apart by a program that knew of one place only.
            return apart != nil || identity != nil ? .removeApart : nil
        }
        switch (among, apart) {
        case (nil, nil): return nil
        case (_?, nil): return place == .apart ? .setApart : identity == nil ? nil : .removeApart
        case (nil, _?):
            switch place {
            case .among: return .setAmong
            case .apart: return isIdentityRight ? nil : .setApart
            }
        case (let among?, let apart?):
            if among.value != apart.value { return among.modified > apart.modified ? .setApart : .setAmong }
            switch place {
            case .among: return .removeApart
            case .apart: return isIdentityRight ? .removeAmong : .setApart
            }
        }
    }

    private var isIdentityRight: Bool {
        guard let identity, let apart, let secrets = try? RecordCodec.read(ClusterSecrets.self, from: apart.value)
        else { return false }
        return (try? RecordCodec.read(ClusterIdentity.self, from: identity.value)) == secrets.identity
    }

    /// The step as one change of the store, which is made only if all is still as it was.
    func transaction(_ step: Step) throws -> Transaction {
        let compares: [Transaction.Compare] = [
            .modified(key: StoreKeys.clusterSpec(cluster), equals: spec ?? .absent),
            .modified(key: StoreKeys.clusterSecrets(cluster), equals: among?.modified ?? .absent),
            .modified(key: StoreKeys.secrets(cluster), equals: apart?.modified ?? .absent),
            .modified(key: StoreKeys.identity(cluster), equals: identity?.modified ?? .absent),
        ]
        switch step {
        case .setApart:
            guard let bytes = (among ?? apart)?.value else { return Transaction(compares: compares, then: []) }
            let secrets = try RecordCodec.read(ClusterSecrets.self, from: bytes)
            return Transaction(
                compares: compares,
                then: [
                    .put(key: StoreKeys.secrets(cluster), value: bytes, lease: nil),
                    .put(
                        key: StoreKeys.identity(cluster), value: try RecordCodec.write(secrets.identity), lease: nil),
                ])
        case .setAmong:
            guard let bytes = apart?.value else { return Transaction(compares: compares, then: []) }
            return Transaction(
                compares: compares,
                then: [.put(key: StoreKeys.clusterSecrets(cluster), value: bytes, lease: nil)])
        case .removeAmong:
            return Transaction(compares: compares, then: [.delete(.key(StoreKeys.clusterSecrets(cluster)))])
        case .removeApart:
            return Transaction(
                compares: compares,
                then: [.delete(.key(StoreKeys.secrets(cluster))), .delete(.key(StoreKeys.identity(cluster)))])
        }
    }
}
