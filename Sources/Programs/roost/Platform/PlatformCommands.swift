import ArgumentParser
import RoostClient
import RoostModel
import RoostWire

struct RegionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "regions", abstract: "Regions.", subcommands: [List.self], defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the regions that have hosts.")

        @OptionGroup var global: GlobalOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let body = try await Roostds.find(global).ask { try await $0.regions() }
            try output.show(body) { body in
                var table = Table("REGION", "NAME", "HOSTS", "ROOM", "")
                for region in body.regions.sorted(by: { $0.code < $1.code }) {
                    table.add(
                        Cell(region.code.text), Cell(region.name), .number(region.hosts),
                        .number(counted(region.capacity, "machine") + " of 256 MiB"),
                        Cell(region.code == body.nearest ? "nearest" : "", .good))
                }
                return table.text()
            }
        }
    }
}

struct HostsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hosts", abstract: "Hosts: the computers that carry machines.",
        subcommands: [List.self, StopEdge.self, StartEdge.self, ReplaceEdge.self],
        defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the hosts.")

        @OptionGroup var global: GlobalOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let list = try await Roostds.find(global).hostList()
            try output.showList(list.hosts, nothing: "There is no host.") { hosts in
                var table = Table(
                    "HOST", "REGION", "STATE", "ROLES", "MACHINES", "VOLUMES", "CPUS", "MEMORY FREE", "DISK FREE",
                    "ADDRESS")
                for host in hosts.sorted(by: { ($0.region, $0.name) < ($1.region, $1.name) }) {
                    table.add(cells: Self.cells(host))
                }
                return table
            }
            if let asked = list.asked, list.hosts.contains(where: { !$0.isReachable }) {
                Terminal.say("'away' is what host \(asked) cannot reach now; another host may.")
            }
        }

        private static func state(of host: ListHostsBody.Host) -> Cell {
            guard host.isReachable else { return Cell("away", .bad) }
            guard let rows = host.unreadableRows else { return Cell("reachable", .good) }
            return Cell(counted(rows, "unreadable row") + ", see its log", .bad)
        }

        static func cells(_ host: ListHostsBody.Host) -> [Cell] {
            let isStopped = host.isEdgeStopped ?? false
            let edge = host.isEdge ? isStopped ? "edge (stopped)" : "edge" : nil
            let roles = [edge, host.isStoreMember ? "store" : nil].compactMap { $0 }
            return [
                Cell(host.name.text), Cell(host.region.text),
                state(of: host),
                Cell(roles.isEmpty ? "-" : roles.joined(separator: ", "), isStopped ? .warning : .plain),
                .number(host.machines),
                .number(host.volumes), .number(host.capacity.cpus),
                .number("\(host.free.memory) of \(host.capacity.memory)"),
                .number("\(host.free.disk) of \(host.capacity.disk)"), Cell(host.address.description),
            ]
        }
    }
}

struct IPsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ips", abstract: "Anycast addresses.", subcommands: [List.self], defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the anycast addresses and the apps they lead to.")

        @OptionGroup var global: GlobalOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let ips = try await Roostds.find(global).ask { try await $0.ips() }
            try output.showList(ips, nothing: "No app has an address. A Postgres cluster gets one: roost pg create") {
                var table = Table("ADDRESS", "APP", "PORTS", "CREATED")
                for ip in $0.sorted(by: { $0.address < $1.address }) {
                    table.add(
                        Cell(ip.address.description), Cell(ip.app.text),
                        Cell(ip.ports.map(String.init).joined(separator: ", ")), Cell(ip.createdAt))
                }
                return table
            }
        }
    }
}
