import FoundationEssentials
import Glibc
import RoostClient
import RoostLinux
import RoostModel
import RoostSettings
import RoostWAN
import RoostWire

/// Life and death of hosts.
extension LabPlanet {
    static let freezeMax = Duration.seconds(10)
    static let bootMax = Duration.seconds(30)
    /// roostd reads its ledger, takes up its machines and listens.
    static let answerMax = Duration.seconds(60)

    public enum HostState: String, Sendable, Codable { case running, frozen, down }

    public func state(of host: LabHost) -> HostState {
        guard firstProcess(of: host.name.text) != nil else { return .down }
        let group = paths.cgroup(host.name.text)
        return (try? ControlGroups.detect().isFrozen(group)) == true ? .frozen : .running
    }

    // MARK: - Booting

    /// Makes the keys of all hosts first, so that each can be told about all others.
    func writeHostConfigurations() async throws {
        for host in plan.hosts { try write(host, keys: [:]) }
        let keys = try await withThrowingTaskGroup(of: (HostName, String).self) { group in
            var keys: [HostName: String] = [:]
            for (index, host) in plan.hosts.enumerated() {
                if index >= Self.startsAtOnceMax, let (name, key) = try await group.next() { keys[name] = key }
                group.addTask { (host.name, try await meshKey(of: host)) }
            }
            for try await (name, key) in group { keys[name] = key }
            return keys
        }
        for host in plan.hosts { try write(host, keys: keys) }
    }

    private func write(_ host: LabHost, keys: [HostName: String]) throws {
        let name = host.name.text
        for folder in [paths.files(name), paths.hostState(name)] { try DurableFile.makeFolder(folder) }
        let text = try HostSettings(host, in: plan, keys: keys).text()
        try DurableFile.write(text, to: paths.configFile(name), mode: 0o644)
    }

    private func meshKey(of host: LabHost) async throws -> String {
        let output = try await Command(
            programFolder + "/roostd", ["mesh-key", "--config", paths.configFile(host.name.text)]
        ).run().standardOutput
        guard let key = output.split(whereSeparator: \.isWhitespace).last else {
            throw LabError(.failed, "roostd mesh-key of \(host.name) printed no key")
        }
        return String(key)
    }

    /// Starts the host's process 1. The host's namespace, links and addresses are there.
    func boot(_ host: LabHost) async throws {
        let name = host.name.text
        let cgroups = try ControlGroups.detect()
        let scripts = SiteScripts(plan: plan, cgroups: cgroups.version, programFolder: programFolder)
        for folder in [paths.files(name), paths.hostState(name), paths.hostRun(name)] {
            try DurableFile.makeFolder(folder)
        }
        let services = paths.files(name) + "/services"
        try DurableFile.makeFolder(services)
        for service in scripts.services(of: host) {
            let folder = services + "/" + service.name
            try DurableFile.makeFolder(folder + "/log")
            try DurableFile.write(service.run, to: folder + "/run", mode: 0o755)
            try DurableFile.write(scripts.logger(of: service, on: host), to: folder + "/log/run", mode: 0o755)
        }
        try DurableFile.write(scripts.initialise(host), to: paths.files(name) + "/init", mode: 0o755)
        try cgroups.make(paths.cgroup(name))
        try await startScript("boot", of: name, scripts.host(host))
        let process = try await poll(for: Self.bootMax, every: .milliseconds(50)) { isBooted(name) ? true : nil }
        guard process != nil else {
            let said = Text.lines(of: paths.logFile(name)).suffix(5).joined(separator: " | ")
            throw LabError(.failed, "\(name) did not boot within \(Self.bootMax)", advice: "it said: \(said)")
        }
    }

    /// Its process 1 has become tini: everything before that worked.
    private func isBooted(_ host: String) -> Bool {
        guard let process = firstProcess(of: host) else { return false }
        return Text.lines(of: "/proc/\(process)/comm").first == "tini"
    }

    // MARK: - Power

    /// As if the power failed: nothing says good-bye, everything but the disk is gone.
    public func killHost(_ name: String) async throws {
        let host = try host(name)
        let lock = try await LabLock.turn(paths)
        defer { lock.release() }
        guard state(of: host) != .down else {
            throw LabError(.failed, "\(name) is already down", advice: "run 'roost lab fault start-host \(name)'")
        }
        // First the cables: dying processes must not reset their connections.
        let silence = WANRule(
            name: "power \(name)", drops: true,
            passages: host.uplinks.flatMap { uplink in
                let link = "\(uplink.pop)~\(name)"
                return [WANPassage(link: link, from: name), WANPassage(link: link, from: uplink.pop)]
            })
        try await wan.send(WANRequest(.addRules, rules: [silence]))
        if let process = firstProcess(of: name) { kill(process, SIGKILL) }
        let teardown = Teardown(paths: paths)
        try await wan.send(WANRequest(.unplug, site: name))
        try await BlockingCall.run { () throws(any Error) in try teardown.host(name) }
        try await wan.send(WANRequest(.removeRules, names: [silence.name]))
    }

    /// Brings a host back, with the disk it had.
    public func startHost(_ name: String) async throws {
        let host = try host(name)
        let lock = try await LabLock.turn(paths)
        defer { lock.release() }
        guard state(of: host) == .down else {
            throw LabError(.failed, "\(name) is up", advice: "see 'roost lab status'")
        }
        // Remains of a host that died by itself, or of a start that failed.
        let teardown = Teardown(paths: paths)
        try await wan.send(WANRequest(.unplug, site: name))
        try await BlockingCall.run { () throws(any Error) in try teardown.host(name) }
        try await Command("ip", ["netns", "add", paths.namespaceName(name)]).run()
        try await wan.send(WANRequest(.plug, site: name))
        try await wan.send(WANRequest(.removeRules, names: ["power \(name)"]))
        try await configureNetwork(of: name)
        try await boot(host)
        guard !plan.shape.isNetworkOnly else { return }
        let answered = try await poll(for: Self.answerMax, every: .milliseconds(100)) {
            access(paths.apiSocket(name), F_OK) == 0 ? try? await api(of: host.name).hosts() : nil
        }
        guard answered != nil else {
            throw LabError(
                .failed, "roostd of \(name) did not answer within \(Self.answerMax)", advice: logTail(of: host))
        }
    }

    /// Stops every process of the host where it is, machines too; nothing is lost, time goes on.
    public func freezeHost(_ name: String) async throws { try await setFrozen(true, name) }

    public func thawHost(_ name: String) async throws { try await setFrozen(false, name) }

    private func setFrozen(_ frozen: Bool, _ name: String) async throws {
        let host = try host(name)
        guard state(of: host) != .down else {
            throw LabError(.failed, "\(name) is down", advice: "run 'roost lab fault start-host \(name)'")
        }
        let cgroups = try ControlGroups.detect()
        let group = paths.cgroup(name)
        try cgroups.setFrozen(frozen, group)
        let done = try await poll(for: Self.freezeMax, every: .milliseconds(5)) {
            cgroups.isFrozen(group) == frozen ? true : nil
        }
        guard done != nil else {
            throw LabError(.failed, "\(name) did not \(frozen ? "freeze" : "thaw") within \(Self.freezeMax)")
        }
    }

    // MARK: - Single processes

    /// Sends a signal to every process of the host with this name, in its machines too.
    /// - Returns: for how many it meant something: SIGCONT does nothing to those that run.
    @discardableResult
    public func signal(_ number: Int32, process program: String, on name: String) throws -> Int {
        let found = try entries(named: program, on: name)
        for process in found where kill(process.id, number) != 0 && errno != ESRCH {
            throw SystemError("signal", "\(program) on \(name)")
        }
        return found.count { number != SIGCONT || $0.state == "T" }
    }

    /// Processes of the host with this name, by their numbers out here. Never empty.
    public func processes(named program: String, on name: String) throws -> [pid_t] {
        try entries(named: program, on: name).map(\.id)
    }

    private func entries(named program: String, on name: String) throws -> [ProcessTable.Entry] {
        let host = try host(name)
        guard let first = firstProcess(of: host.name.text) else {
            throw LabError(.failed, "\(name) is down", advice: "run 'roost lab fault start-host \(name)'")
        }
        let found = ProcessTable().family(of: first).filter { $0.state != "Z" && $0.name == program.prefix(15) }
        guard !found.isEmpty else {
            throw LabError(
                .failed, "no process '\(program)' runs on \(name)",
                advice: "see them with 'roost lab exec \(name) -- ps -e'")
        }
        return found
    }
}
