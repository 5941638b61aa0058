public import RoostModel

/// Networks that machines of the planet are in, by what their hosts say. The store may know fewer: one that went back does
/// not have what was made since.
public struct MachineNetworks: Hashable, Sendable {
    /// No machine's network has a higher number.
    public var highest: NetworkNumber
    /// The one network that all machines of the app are in, none of which belongs to a feature.
    public var ofApp: NetworkNumber?

    /// Of a planet without machines, unless others are given.
    public init(highest: NetworkNumber = .hosts, ofApp: NetworkNumber? = nil) {
        self.highest = highest
        self.ofApp = ofApp
    }
}

extension Planet {
    /// The machines of the app that have this name, by what their hosts say, and who says so.
    public func machines(named name: String, of app: AppName) -> [MachineID: HostName] {
        var found: [MachineID: HostName] = [:]
        for machine in machines(of: app) where machine.name == name && machine.state != .destroyed {
            found[machine.id] = host(of: machine.id)
        }
        return found
    }

    /// As of all that was heard so far.
    public func networks(of app: AppName) -> MachineNetworks {
        let highest = hosts.values.lazy.flatMap { $0.machines.lazy.map(\.network) }.max()
        let machines = machines(of: app)
        let own = Set(machines.map(\.network))
        let isFree = machines.allSatisfy { $0.owner == nil }
        return MachineNetworks(highest: highest ?? .hosts, ofApp: isFree && own.count == 1 ? own.first : nil)
    }
}

extension Planet {
    /// Whom machines of the cluster were made for, by what their hosts say, whatever the store knows of them.
    public func members(of cluster: AppName) -> Set<MemberName> {
        Set(
            machines(of: cluster).compactMap { machine in
                machine.owner.flatMap { $0.kind == .postgres && $0.name == cluster ? $0.role : nil }
            })
    }
}
