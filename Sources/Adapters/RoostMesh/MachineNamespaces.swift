import Glibc
import RoostLinux
import RoostModel

/// Machines' network namespaces and the links into them. Each is bound to a file, so that it exists before the
/// machine's first process and is found again by whoever comes after us.
///
/// Everything here is said to the kernel in process, and blocks: every function is called on a thread of its own that
/// is in the host's network namespace, and may leave it in a machine's.
struct MachineNamespaces: Sendable {
    let configuration: MeshConfiguration
    let rules: RuleBook

    static let machineInterface = "eth0"
    /// The loopback is the first link of every namespace.
    private static let loopback: Int32 = 1
    private static let addressPatience = Duration.seconds(20)
    /// Between two looks: the first, and at most. To look takes the lock that the kernel needs to finish the address,
    /// so many who wait for theirs at once must not look all the time.
    private static let addressInterval = (first: Duration.microseconds(200), max: Duration.milliseconds(50))
    /// Packets that a new connection of a machine may send before the first of them is acknowledged. What a standby
    /// lacks of the last log segment then crosses an ocean in two round trips instead of five.
    private static let firstBurst: UInt32 = 64
    /// Least, first and most, in bytes. The kernel's own first one (128 KiB) would hold such a burst back.
    private static let receiveBuffers = "4096 524288 16777216"

    private static let settings = [
        ("ipv6/conf/all/disable_ipv6", "0"), ("ipv6/conf/default/disable_ipv6", "0"),
        ("ipv6/conf/all/accept_ra", "0"), ("ipv6/conf/default/accept_ra", "0"),
        ("ipv6/conf/all/accept_redirects", "0"), ("ipv6/conf/default/accept_redirects", "0"),
        // A stream that was quiet for a moment is as fast as before.
        ("ipv4/tcp_slow_start_after_idle", "0"),
        ("ipv4/tcp_rmem", receiveBuffers),
    ]

    /// Makes what is missing, in the usual case everything.
    func attach(_ machine: MachineLink) throws(MeshError) {
        let id = machine.machine
        let path = configuration.namespacePath(of: id)
        try rules.admit(machine)
        let host = try routes(of: id)
        let isNew = try enterNamespace(id, path: path)
        let inside = try routes(of: id)
        let link = MeshRules.linkName(of: id)
        try carryOut("link", id) { () throws(NetlinkError) in
            let ends = try self.ends(link, path: path, isNew: isNew, host: host, inside: inside)
            try host.perform([
                RouteMessage.setUp(
                    ends.here, group: MeshRules.linkGroup, mtu: configuration.mtu, makesAddresses: false),
                RouteMessage.address(MeshRules.routerAddress, length: 64, on: ends.here),
                RouteMessage.route(
                    to: machine.address, length: 128, over: ends.here, source: configuration.address),
            ])
            try inside.perform(
                [
                    RouteMessage.setUp(Self.loopback),
                    RouteMessage.setUp(ends.there, mtu: configuration.mtu, makesAddresses: false),
                    RouteMessage.address(MeshRules.machineLinkLocal, length: 64, on: ends.there),
                    RouteMessage.address(machine.address, length: 128, on: ends.there),
                ] + Self.ways(of: machine, over: ends.there))
            if !isNew { try Self.removeOtherWays(inside, over: ends.there) }
            try Self.waitUntilLocal(MeshRules.routerAddress, over: ends.here, host)
            try Self.waitUntilLocal(machine.address, over: ends.there, inside)
        }
    }

    /// A machine has a way to its own network, and to the hosts for its answers, and to nowhere else: it is apart from
    /// other networks also while the host's rules are gone.
    private static func ways(of machine: MachineLink, over index: Int32) -> [NetlinkMessage] {
        [machine.networkRange.lowerBound, MeshAddress.firstOfHosts].map {
            RouteMessage.route(
                to: $0, length: 48, over: index, router: MeshRules.routerAddress, firstBurst: firstBurst)
        }
    }

    /// A namespace that an older program has made has a way to everywhere.
    private static func removeOtherWays(_ inside: RouteSocket, over index: Int32) throws(NetlinkError) {
        for route in try inside.routes(.unicast, over: index) where route.length == 0 {
            try inside.perform(RouteMessage.deleteRoute(to: route.destination, length: 0, over: index))
        }
    }

    /// The kernel finishes a new address a little later, in a work queue; until then nobody is answered under it.
    private static func waitUntilLocal(
        _ address: IPv6Address, over index: Int32, _ socket: RouteSocket
    ) throws(NetlinkError) {
        let deadline = BootClock.now() + addressPatience
        var interval = addressInterval.first
        while try !socket.routes(.local, over: index).contains(where: { $0.destination == address }) {
            guard BootClock.now() < deadline else {
                throw NetlinkError("wait until \(address) is there", code: ETIMEDOUT)
            }
            usleep(UInt32(interval / .microseconds(1)))
            interval = min(interval * 2, addressInterval.max)
        }
    }

    func detach(_ machine: MachineID) throws(MeshError) {
        let host = try routes(of: machine)
        try carryOut("remove link", machine) { () throws(NetlinkError) in
            try Self.remove(MeshRules.linkName(of: machine), host)
        }
        try rules.dismiss(machine)
        do throws(SystemError) { try NetworkNamespace.remove(configuration.namespacePath(of: machine)) } catch {
            throw MeshError(operation: "remove namespace", subject: machine.text, cause: error.description)
        }
    }

    func attached() throws(MeshError) -> [MachineID] {
        let folder = configuration.namespaceFolder
        let names: [String]
        do throws(SystemError) { names = try FolderListing.names(in: folder) } catch {
            throw MeshError(operation: "list namespaces", subject: folder, cause: error.description)
        }
        return names.filter { NetworkNamespace.isBound(folder + "/" + $0) }.compactMap { try? MachineID($0) }
    }

    /// The machines that are linked now, whoever did it: from what the kernel has, which outlives us. One that was
    /// linked in half is not among them; its keeper attaches it again.
    func linked() throws(MeshError) -> [MachineLink] {
        let ids = try attached()
        guard !ids.isEmpty else { return [] }
        do throws(NetlinkError) {
            let host = try RouteSocket()
            var machines: [Int32: MachineID] = [:]
            let byName = Dictionary(ids.map { (MeshRules.linkName(of: $0), $0) }) { first, _ in first }
            for link in try host.links() where link.group == MeshRules.linkGroup {
                if let id = byName[link.name] { machines[link.index] = id }
            }
            return try host.routes(.unicast).compactMap { route in
                guard route.length == 128, let id = machines[route.index] else { return nil }
                let network = NetworkNumber(of: route.destination)
                guard MeshAddress.machine(id, in: network) == route.destination else { return nil }
                return MachineLink(machine: id, network: network, address: route.destination)
            }
        } catch {
            throw MeshError(operation: "look at links", subject: "this host", cause: error.description)
        }
    }

    // MARK: - Steps

    /// Takes the thread into the machine's namespace.
    /// - Returns: whether it was not there before.
    private func enterNamespace(_ machine: MachineID, path: String) throws(MeshError) -> Bool {
        do throws(SystemError) {
            let isNew = !NetworkNamespace.isBound(path)
            if isNew {
                try DurableFile.makeFolder(configuration.namespaceFolder)
                try NetworkNamespace.make(boundTo: path)
            } else {
                try NetworkNamespace.enter(path)
            }
            // Whoever made it may not have come this far.
            for (name, value) in Self.settings { try NetworkNamespace.set(name, to: value) }
            return isNew
        } catch {
            throw MeshError(operation: "make namespace", subject: machine.text, cause: error.description)
        }
    }

    /// The numbers of both ends of the machine's link, which is made if it is not there or is not whole.
    private func ends(
        _ link: String, path: String, isNew: Bool, host: RouteSocket, inside: RouteSocket
    ) throws(NetlinkError) -> (here: Int32, there: Int32) {
        if !isNew, let ends = try Self.existing(link, host: host, inside: inside) { return ends }
        let namespace = open(path, O_RDONLY | O_CLOEXEC)
        guard namespace >= 0 else { throw NetlinkError("open \(path)", code: errno) }
        defer { close(namespace) }
        let making = RouteMessage.addPair(
            link, group: MeshRules.linkGroup, mtu: configuration.mtu, peer: Self.machineInterface, namespace: namespace)
        do throws(NetlinkError) { try host.perform(making) } catch {
            guard error.code == EEXIST else { throw error }
            // Half a link, from an attach that was cut short or a namespace that was made anew.
            try Self.remove(link, host)
            try Self.remove(Self.machineInterface, inside)
            try host.perform(making)
        }
        guard let ends = try Self.existing(link, host: host, inside: inside) else {
            throw NetlinkError("look at link \(link)", code: ENODEV)
        }
        return ends
    }

    /// Both ends, if they are there and belong together.
    private static func existing(
        _ link: String, host: RouteSocket, inside: RouteSocket
    ) throws(NetlinkError) -> (here: Int32, there: Int32)? {
        guard let here = try host.link(link), let there = try inside.link(machineInterface),
            here.peer == there.index, there.peer == here.index
        else { return nil }
        return (here.index, there.index)
    }

    /// A link may vanish by itself meanwhile: the kernel takes a namespace apart, and the links into it, when it has
    /// the time.
    private static func remove(_ link: String, _ socket: RouteSocket) throws(NetlinkError) {
        do throws(NetlinkError) { try socket.perform(RouteMessage.deleteLink(link)) } catch {
            guard error.code == ENODEV else { throw error }
        }
    }

    private func routes(of machine: MachineID) throws(MeshError) -> RouteSocket {
        do throws(NetlinkError) { return try RouteSocket() } catch {
            throw MeshError(operation: "link", subject: machine.text, cause: error.description)
        }
    }

    private func carryOut(
        _ operation: String, _ machine: MachineID, _ body: () throws(NetlinkError) -> Void
    ) throws(MeshError) {
        do throws(NetlinkError) { try body() } catch {
            throw MeshError(operation: operation, subject: machine.text, cause: error.description)
        }
    }
}
