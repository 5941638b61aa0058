import FoundationEssentials
import Glibc
public import RoostClient
public import RoostLinux
public import RoostModel
import RoostWAN

/// A lab that is up (or was): what it consists of, and what can be done with it.
public struct LabPlanet: Sendable {
    public let plan: LabPlan
    public let paths: LabPaths
    /// Where the lab's programs are.
    public let programFolder: String

    /// What `lab.json` holds: enough to take the lab apart, and to start one of its hosts again.
    struct Record: Codable {
        var shape: LabShape
        var programs: String
        /// False until everything answered once.
        var isComplete: Bool

        enum CodingKeys: String, CodingKey {
            case shape, programs
            case isComplete = "complete"
        }
    }

    init(plan: LabPlan, programFolder: String) {
        self.plan = plan
        paths = LabPaths(name: plan.shape.name)
        self.programFolder = programFolder
    }

    /// A lab that is up.
    /// - Throws: ``LabError`` if there is none of this name.
    public static func named(_ name: String = LabShape.nameDefault) throws -> LabPlanet {
        let name = try LabShape.validated(name: name)
        guard let record = try record(name) else {
            throw LabError(
                .failed, "there is no lab '\(name)'",
                advice: name == LabShape.nameDefault
                    ? "run 'roost lab up'" : "run 'roost lab up --name \(name)', or see 'roost lab list'")
        }
        return LabPlanet(plan: LabPlan(record.shape), programFolder: record.programs)
    }

    /// Names of all labs on this computer.
    public static var names: [String] {
        Folder.names(in: LabPaths.stateRoot).filter { Folder.isFolder("\(LabPaths.stateRoot)/\($0)") }.sorted()
    }

    /// Whether there is a lab of this name, up or half taken apart.
    public static func exists(_ name: String) throws -> Bool { try record(name) != nil }

    static func record(_ name: String) throws -> Record? {
        let path = LabPaths(name: name).labFile
        guard let bytes = try DurableFile.read(path) else { return nil }
        do {
            return try JSONDecoder().decode(Record.self, from: Data(bytes))
        } catch {
            throw LabError(
                .failed, "\(path) cannot be read", advice: "run 'roost lab down --name \(name)' and begin anew")
        }
    }

    func writeRecord(isComplete: Bool) throws {
        let record = Record(shape: plan.shape, programs: programFolder, isComplete: isComplete)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try DurableFile.makeFolder(paths.stateFolder)
        try DurableFile.write([UInt8](try encoder.encode(record)), to: paths.labFile, mode: 0o644)
    }

    var wan: WANClient { WANClient(socket: paths.wanSocket) }

    /// The API of one host, over its own socket.
    public func api(of host: HostName) -> RoostAPIClient { RoostAPIClient(.socket(path: paths.apiSocket(host.text))) }

    public func host(_ name: String) throws(LabError) -> LabHost {
        if let host = plan.hosts.first(where: { $0.name.text == name }) { return host }
        throw LabError(
            .usage, "'\(name)' is no host of the lab '\(plan.shape.name)'",
            advice: "use one of \(plan.hosts.map(\.name.text).joined(separator: ", "))")
    }

    // MARK: - Running commands inside

    /// The command line that runs `command` inside a site: all namespaces of a host, or the network of a provider's
    /// point of presence or of a client.
    public func commandLine(in site: String, _ command: [String]) throws(LabError) -> [String] {
        guard !command.isEmpty else {
            throw LabError(.usage, "there is no command to run", advice: "write it after --")
        }
        if plan.hosts.contains(where: { $0.name.text == site }) {
            guard let process = firstProcess(of: site) else {
                throw LabError(
                    .failed, "the host \(site) is down", advice: "run 'roost lab fault start-host \(site)'")
            }
            return ["nsenter", "-t", "\(process)", "-m", "-u", "-i", "-n", "-p", "--"] + command
        }
        guard plan.pops.contains(where: { $0.name == site }) || plan.clients.contains(where: { $0.name == site }) else {
            throw LabError(
                .usage, "'\(site)' is no site of the lab '\(plan.shape.name)'",
                advice: "use one of \(siteNames.joined(separator: ", "))")
        }
        return ["nsenter", "--net=\(paths.namespace(site))", "--"] + command
    }

    /// The command line that starts something that is part of a host from then on: it stands still and is lost with it.
    public func serviceLine(on host: String, _ command: [String]) throws -> [String] {
        let group = try ControlGroups.detect().processFile(of: paths.cgroup(host))
        return ["sh", "-c", "echo $$ >'\(group)' && exec \"$@\"", "sh"] + (try commandLine(in: host, command))
    }

    /// How often a member of the store says that it leads: by the longest way among the regions.
    public var storeHeartbeatMilliseconds: Int { EtcdArguments.heartbeatMilliseconds(plan) }

    public var siteNames: [String] { plan.siteNames }

    /// Runs a command inside a site and hands back what it said, whatever its status.
    public func run(
        in site: String, _ command: [String], environment: [String: String] = [:], input: String = "",
        deadline: Duration = Command.deadlineDefault
    ) async throws -> Command.Output {
        let line = try commandLine(in: site, command)
        return try await Command(
            line[0], Array(line.dropFirst()), environment: environment, input: input, deadline: deadline
        ).outcome()
    }

    /// Process 1 of a host, by its number out here; nil while the host is down.
    public func firstProcess(of host: String) -> pid_t? {
        let depth = ProcessTable.namespacedIDs(of: getpid()).count + 1
        guard let cgroups = try? ControlGroups.detect() else { return nil }
        return Text.lines(of: cgroups.processFile(of: paths.cgroup(host))).compactMap { pid_t($0) }.first { process in
            let ids = ProcessTable.namespacedIDs(of: process)
            return ids.count == depth && ids.last == 1
        }
    }
}
