import CLinux
import Foundation
import Glibc
import RoostLinux
import RoostModel

/// Machines' network namespaces and the links into them. Each is bound to a file, so that it exists before the
/// machine's first process and is found again by whoever comes after us.
struct MachineNamespaces: Sendable {
    let configuration: MeshConfiguration
    let commands: HostCommands
    let rules: MeshRules

    static let machineInterface = "eth0"
    private static let addressPatience = Duration.seconds(5)
    private static let addressInterval = Duration.milliseconds(2)
    /// Packets that a new connection of a machine may send before the first of them is acknowledged. What a standby
    /// lacks of the last log segment then crosses an ocean in two round trips instead of five.
    private static let firstBurst = 64
    /// Least, first and most, in bytes. The kernel's own first one (128 KiB) would hold such a burst back.
    private static let receiveBuffers = "4096 524288 16777216"
    /// `NSFS_MAGIC` of linux/magic.h.
    private static let namespaceFilesystem = 0x6e73_6673

    /// Whoever waits for a machine waits for every program that is started here: in the usual case, in which nothing is
    /// there yet, they are as few as can be.
    func attach(_ machine: MachineLink) async throws(MeshError) -> String {
        let id = machine.machine
        let path = configuration.namespacePath(of: id)
        let isNew = try await makeNamespace(id, path: path)
        try await commands.nft("admit", of: id.text, rules.admit(machine))
        let link = MeshRules.linkName(of: id)
        let here = [
            "link set dev \(link) mtu \(configuration.mtu) group \(MeshRules.linkGroup) addrgenmode none up",
            "addr replace \(MeshRules.routerAddress)/64 dev \(link) nodad",
            "route replace \(machine.address)/128 dev \(link) src \(configuration.address)",
            Self.localAddresses(link),
        ]
        var known: String?
        if isNew {
            // Fails where a link of that name is left from a namespace that is gone; then one looks first.
            let made = try await commands.ask(
                "make link", of: id.text, "ip", ["-6", "-batch", "-"],
                input: ([makingLink(id, path: path).joined(separator: " ")] + here).map { $0 + "\n" }.joined())
            if made.succeeded { known = made.output }
        }
        if known == nil {
            if try await !isLinked(id, path: path) { try await makeLink(id, path: path) }
            known = try await commands.ip("address the host's end", of: id.text, here)
        }
        let end = Self.machineInterface
        let inside = HostCommands(networkNamespace: path)
        let knownInside = try await inside.ip(
            "address the machine's end", of: id.text,
            [
                "link set dev lo up",
                "link set dev \(end) mtu \(configuration.mtu) addrgenmode none up",
                "addr replace \(MeshRules.machineLinkLocal)/64 dev \(end) nodad",
                "addr replace \(machine.address)/128 dev \(end) nodad",
                "route replace default via \(MeshRules.routerAddress) dev \(end) initcwnd \(Self.firstBurst)",
                Self.localAddresses(end),
            ])
        try await waitUntilLocal(MeshRules.routerAddress, on: link, of: id, commands, seen: known ?? "")
        try await waitUntilLocal("\(machine.address)", on: end, of: id, inside, seen: knownInside)
        return path
    }

    /// Lists the addresses of a link under which this host answers already.
    private static func localAddresses(_ link: String) -> String { "route show table local dev \(link)" }

    /// The kernel finishes a new address a little later, in a work queue; until then nobody is answered under it.
    private func waitUntilLocal(
        _ address: String, on link: String, of machine: MachineID, _ commands: HostCommands, seen: String
    ) async throws(MeshError) {
        let deadline = BootClock.now() + Self.addressPatience
        var seen = seen
        while !seen.contains("local \(address) ") {
            guard BootClock.now() < deadline else {
                throw MeshError(
                    operation: "wait for address", subject: machine.text,
                    cause: "\(address) on \(link) was not ready within \(Self.addressPatience)")
            }
            do { try await Task.sleep(for: Self.addressInterval) } catch {
                throw MeshError(operation: "wait for address", subject: machine.text, cause: "cancelled")
            }
            seen = try await commands.ip("look at addresses", of: machine.text, [Self.localAddresses(link)])
        }
    }

    func detach(_ machine: MachineID) async throws(MeshError) {
        let link = MeshRules.linkName(of: machine)
        try await remove(link, of: machine, commands)
        var elements: [RuleElement] = []
        for set in ["links", "networks"] {
            let listing = try await commands.run(
                "read rules", of: machine.text, "nft",
                ["-j", "list", "set"] + MeshRules.table.split(separator: " ").map(String.init) + [set])
            elements += try RuleListing.elements(of: link, inSet: set, listing: listing)
        }
        if !elements.isEmpty { try await commands.nft("dismiss", of: machine.text, rules.dismiss(elements)) }
        let path = configuration.namespacePath(of: machine)
        while Self.isNamespace(path) {
            guard umount2(path, Int32(MNT_DETACH)) == 0 else {
                throw MeshError(
                    operation: "unbind namespace", subject: machine.text, cause: "\(SystemError("unmount", path))")
            }
        }
        if unlink(path) != 0, errno != ENOENT {
            throw MeshError(
                operation: "remove namespace", subject: machine.text, cause: "\(SystemError("remove", path))")
        }
    }

    func attached() throws(MeshError) -> [MachineID] {
        let folder = configuration.namespaceFolder
        let names: [String]
        do throws(SystemError) { names = try FolderListing.names(in: folder) } catch {
            throw MeshError(operation: "list namespaces", subject: folder, cause: error.description)
        }
        return names.filter { Self.isNamespace(folder + "/" + $0) }.compactMap { try? MachineID($0) }
    }

    private static let settings = [
        "-q", "-w",
        "net.ipv6.conf.all.disable_ipv6=0", "net.ipv6.conf.default.disable_ipv6=0",
        "net.ipv6.conf.all.accept_ra=0", "net.ipv6.conf.default.accept_ra=0",
        "net.ipv6.conf.all.accept_redirects=0", "net.ipv6.conf.default.accept_redirects=0",
        // A stream that was quiet for a moment is as fast as before.
        "net.ipv4.tcp_slow_start_after_idle=0",
        "net.ipv4.tcp_rmem=\(receiveBuffers)",
    ]

    /// - Returns: whether it was not there before.
    private func makeNamespace(_ machine: MachineID, path: String) async throws(MeshError) -> Bool {
        guard !Self.isNamespace(path) else {
            // Whoever made it may not have come this far.
            try await HostCommands(networkNamespace: path).run(
                "set up namespace", of: machine.text, "sysctl", Self.settings)
            return false
        }
        do throws(SystemError) {
            try DurableFile.makeFolder(configuration.namespaceFolder)
            let file = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0o600)
            guard file >= 0 else { throw SystemError("create", path) }
            close(file)
        } catch {
            throw MeshError(operation: "make namespace", subject: machine.text, cause: error.description)
        }
        try await commands.run(
            "make namespace", of: machine.text, "unshare", ["--net=" + path, "sysctl"] + Self.settings)
        return true
    }

    /// Both ends are there and belong together.
    private func isLinked(_ machine: MachineID, path: String) async throws(MeshError) -> Bool {
        let link = MeshRules.linkName(of: machine)
        let here = try await commands.ask("look at link", of: machine.text, "ip", ["-j", "link", "show", "dev", link])
        guard here.succeeded else { return false }
        let there = try await HostCommands(networkNamespace: path).ask(
            "look at link", of: machine.text, "ip", ["-j", "link", "show", "dev", Self.machineInterface])
        if there.succeeded, Self.indices(here.output)?.peer == Self.indices(there.output)?.own { return true }
        // Half a link, from an attach that was cut short or a namespace that was made anew.
        try await remove(link, of: machine, commands)
        return false
    }

    private func makeLink(_ machine: MachineID, path: String) async throws(MeshError) {
        // What the namespace has under that name is the rest of a link whose other end is gone.
        let end = Self.machineInterface
        try await remove(end, of: machine, HostCommands(networkNamespace: path))
        try await commands.run("make link", of: machine.text, "ip", makingLink(machine, path: path))
    }

    private func makingLink(_ machine: MachineID, path: String) -> [String] {
        [
            "link", "add", "name", MeshRules.linkName(of: machine), "mtu", "\(configuration.mtu)", "group",
            "\(MeshRules.linkGroup)", "type", "veth", "peer", "name", Self.machineInterface, "mtu",
            "\(configuration.mtu)", "netns", path,
        ]
    }

    /// A link may vanish by itself meanwhile: the kernel takes a namespace apart, and the links into it, when it has
    /// the time.
    private func remove(_ link: String, of machine: MachineID, _ commands: HostCommands) async throws(MeshError) {
        func isThere() async throws(MeshError) -> Bool {
            try await commands.ask("look at link", of: machine.text, "ip", ["link", "show", "dev", link]).succeeded
        }
        guard try await isThere() else { return }
        let removal = try await commands.ask("remove link", of: machine.text, "ip", ["link", "del", "dev", link])
        if !removal.succeeded, try await isThere() {
            throw MeshError(operation: "remove link", subject: machine.text, cause: "ip refused to delete \(link)")
        }
    }

    private static func isNamespace(_ path: String) -> Bool {
        var filesystem = statfs()
        return statfs(path, &filesystem) == 0 && Int(filesystem.f_type) == namespaceFilesystem
    }

    private static func indices(_ listing: String) -> (own: Int, peer: Int?)? {
        struct Link: Decodable {
            var ifindex: Int
            var link_index: Int?
        }
        guard let link = try? JSONDecoder().decode([Link].self, from: Data(listing.utf8)).first else { return nil }
        return (link.ifindex, link.link_index)
    }
}
