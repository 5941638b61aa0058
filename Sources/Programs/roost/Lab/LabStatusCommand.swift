import ArgumentParser
import RoostLab
import RoostModel

struct LabStatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show a lab: hosts, clients, providers, distances and what is wrong.")

    @OptionGroup var lab: LabOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await inLab {
            let status = try await lab.planet().status()
            try output.show(status) { Self.text($0) }
        }
    }

    private static func text(_ status: LabStatus) -> String {
        var hosts = Table("HOST", "REGION", "STATE", "ROLES", "ADDRESS", "MESH ADDRESS", "PROVIDERS")
        for host in status.hosts {
            let roles = [host.isEdge ? "edge" : nil, host.isStoreMember ? "store" : nil].compactMap(\.self)
            hosts.add(
                Cell(host.name.text), Cell(host.region.text), Cell(host.state.rawValue, style(host.state)),
                Cell(roles.isEmpty ? "-" : roles.joined(separator: ", ")), Cell("\(host.address)"),
                Cell("\(host.meshAddress)"), Cell(host.providers.joined(separator: ", ")))
        }
        var clients = Table("CLIENT", "REGION", "ADDRESS", "PROVIDER")
        for client in status.clients {
            clients.add(
                Cell(client.name), Cell(client.region.text), Cell("\(client.address)"), Cell(client.provider))
        }
        var routers = Table("ROUTER", "AS", "REGION", "STATE")
        for router in status.routers {
            routers.add(
                Cell(router.name), .number(router.number), Cell(router.region.text),
                Cell(router.isRunning ? "running" : "down", router.isRunning ? .good : .bad))
        }
        var parts = ["Lab \(status.name)" + (status.isComplete ? "" : Terminal.paint(" (incomplete)", .warning))]
        parts += [hosts.text(), clients.text(), routers.text()]
        if !status.distances.isEmpty {
            let distances = status.distances.map { "\($0.from)-\($0.to) \($0.roundTripMilliseconds) ms" }
            parts.append("Round trips: " + distances.joined(separator: ", "))
        }
        if let faults = status.faults {
            parts.append(faults.isEmpty ? "No faults." : "Faults:\n" + faults.map { "  \($0)" }.joined(separator: "\n"))
        } else {
            parts.append(Terminal.paint("roost-wan does not answer: nothing passes between the sites.", .bad))
        }
        return parts.joined(separator: "\n\n")
    }

    private static func style(_ state: LabPlanet.HostState) -> Terminal.Style {
        switch state {
        case .running: .good
        case .frozen: .warning
        case .down: .bad
        }
    }
}

struct LabListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the labs of this computer.")

    @OptionGroup var output: OutputOptions

    struct Row: Encodable {
        var name: String
        var regions: [RegionCode]
        var hosts: Int
    }

    func run() async throws {
        try await inLab {
            let rows = LabPlanet.names.map { name in
                let shape = (try? LabPlanet.named(name))?.plan.shape
                return Row(
                    name: name, regions: shape?.regions ?? [],
                    hosts: (shape?.hostsPerRegion ?? 0) * (shape?.regions.count ?? 0))
            }
            try output.showList(rows, nothing: "There is no lab. Make one with 'roost lab up'.") { rows in
                var table = Table("NAME", "REGIONS", "HOSTS")
                for row in rows {
                    let regions = row.regions.map(\.text).joined(separator: ", ")
                    table.add(Cell(row.name), Cell(regions), .number(row.hosts))
                }
                return table
            }
        }
    }
}
