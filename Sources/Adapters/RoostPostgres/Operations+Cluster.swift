import RoostFailover
import RoostModel
import RoostReaders
import RoostWire
import Synchronization

// What the store knows of the cluster, as Postgres is told it.
extension Operations {
    /// All that slots may be of.
    var members: [MemberName] { known.view.spec.everybody.map(\.name) }

    func configure(_ role: PostgresSettings.Role) async throws {
        try await instance.configure(try settings(role), known.view.secrets)
    }

    func settings(_ role: PostgresSettings.Role) throws -> PostgresSettings {
        let view = known.view
        var settings = PostgresSettings(
            member: view.member,
            address: view.placements.first { $0.member == view.member }?.address,
            memory: .mebibytes(view.spec.guest.memoryMebibytes), volumeSize: try instance.layout.space().size,
            role: role, isOpen: false)
        settings.members = view.ofMembers.map(\.address)
        settings.fed = fed.withLock { $0 }
        return settings
    }

    /// Where to copy from, and whom to follow. A reader's seat is in the place of the leader.
    func upstream(_ leader: MemberName, _ epoch: Epoch, _ view: ClusterView) throws -> PostgresSettings.Upstream {
        var source = leader
        if view.isReader {
            guard let seat = state.withLock({ $0.seat?.member }) else {
                throw PostgresError(
                    "reach a standby of \(leader)", "none is known to confirm, and a leader feeds no reader")
            }
            source = seat
        }
        guard let placement = view.placements.first(where: { $0.member == source }) else {
            throw PostgresError("reach \(source)", "the store has no placement of it")
        }
        return PostgresSettings.Upstream(
            leader: source, address: placement.address, port: PostgresSettings.portDefault, epoch: epoch)
    }
}

extension ClusterView {
    /// The places of members, and of those that come to be some. Nobody else has a member's rights, whatever password it has: no
    /// reader, and nothing that was taken off the spec and lives yet. A spec that has forgotten a member of the rule is of a store
    /// that went back.
    var ofMembers: [MemberPlacement] {
        let names = Set(spec.members.map(\.name) + (rule?.members ?? []))
        return placements.filter { names.contains($0.member) }
    }

    /// The places of those that speak with the member that asks.
    var otherMembers: [MemberPlacement] { ofMembers.filter { $0.member != member } }
}
