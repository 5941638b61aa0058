public import RoostModel

/// Something that a feature may have.
public enum OwnedThing: Hashable, Sendable {
    case machine(MachineID)
    case volume(VolumeID)
}

/// Knows what a feature has, by its records. What none of them names is left over, as when the store has gone back to a copy
/// that is older than the thing: nothing takes it away by itself, and somebody must be able to.
public protocol OwnedRemains: Sendable {
    /// - Parameter evenLastCopy: whoever asks has been told that it may be all that there is, and wants it gone.
    /// - Throws: where the feature has it, or where nobody can say that it has not.
    func check(_ thing: OwnedThing, of app: AppName, evenLastCopy: Bool) async throws(Refusal)
}

extension PlanetView {
    /// Refuses to take away what a feature has.
    ///
    /// - Parameter remains: nil: nobody knows what is left over.
    public func refuseIfOwned(
        _ thing: OwnedThing, of name: AppName, by kind: OwnerKind?, unless remains: (any OwnedRemains)?,
        evenLastCopy: Bool
    ) async throws(Refusal) {
        var kind = kind
        if kind == nil {
            // It may have outlived its app, and then is nobody's.
            do throws(Refusal) { kind = try await app(name).owner } catch {
                guard error.code == .notFound else { throw error }
            }
        }
        guard let kind else { return }
        guard kind == .postgres, let remains else { throw AppDirectory.owned(name, by: kind) }
        try await remains.check(thing, of: name, evenLastCopy: evenLastCopy)
    }
}
