public import RoostModel

/// Networks that machines of the planet are in, by what their hosts say. The store may know fewer: one that went back does
/// not have what was made since.
public struct MachineNetworks: Hashable, Sendable {
    /// No network that was ever heard of has a higher number, whether machines are known to be in it or not.
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

    /// As ``MachineNetworks/ofApp``.
    func network(ofMachinesOf app: AppName) -> NetworkNumber? {
        let machines = machines(of: app)
        let own = Set(machines.map(\.network))
        return own.count == 1 && machines.allSatisfy { $0.owner == nil } ? own.first : nil
    }

    /// Of the apps, and of the machines, that these changes are about.
    func highestNetwork(in changes: Set<PlanetChange>) -> NetworkNumber {
        var highest = NetworkNumber.hosts
        for change in changes {
            switch change {
            case .app(let name): highest = max(highest, apps[name]?.network ?? .hosts)
            case .machine(let id, let host): highest = max(highest, machine(id, on: host)?.network ?? .hosts)
            case .host(let name): highest = max(highest, hosts[name]?.machines.map(\.network).max() ?? .hosts)
            case .all:
                highest = max(highest, hosts.values.lazy.flatMap { $0.machines.lazy.map(\.network) }.max() ?? .hosts)
                highest = max(highest, apps.values.lazy.map(\.network).max() ?? .hosts)
            case .connection, .volume, .address, .cluster, .operation: break
            }
        }
        return highest
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
