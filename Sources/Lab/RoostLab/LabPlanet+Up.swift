import FoundationEssentials
import Glibc
import RoostClient
import RoostLinux
import RoostModel
import RoostWAN
import RoostWire

extension LabPlanet {
    public typealias Progress = @Sendable (String) -> Void

    static let wanReadyMax = Duration.seconds(15)
    static let routesReadyMax = Duration.seconds(30)
    static let hostsReadyMax = Duration.seconds(90)
    /// Programs started at the same time while the lab comes up.
    static let startsAtOnceMax = 6
    /// Up to so many hosts are booted without waiting for one another. Of a larger lab, so many are on their way into the
    /// planet at one time: whoever starts asks the store for everything, and all at once would make it too slow for any.
    static let hostsOnTheirWayMax = 10

    /// Builds a lab and waits until all of it answers. What was built is removed again if it fails or is cancelled.
    ///
    /// - Throws: ``LabError`` when there is a lab of this name, a program is missing, or something does not come up.
    public static func up(
        _ shape: LabShape, programs: LabPrograms? = nil, progress: @escaping Progress = { _ in }
    ) async throws -> LabPlanet {
        try LabPrograms.requireRoot()
        let plan = LabPlan(shape)
        let programs = try programs ?? LabPrograms()
        try programs.check(for: plan)
        let planet = LabPlanet(plan: plan, programFolder: programs.folder)
        let lock = try LabLock(planet.paths)
        defer { lock.release() }
        let teardown = Teardown(paths: planet.paths)
        guard !teardown.isAnythingLeft else { throw planet.alreadyThere() }
        do {
            try await planet.build(progress)
        } catch {
            progress("it failed: taking apart what was built")
            try await BlockingCall.run { () throws(any Error) in try teardown.all() }
            throw error
        }
        return planet
    }

    private func alreadyThere() -> LabError {
        let name = plan.shape.name
        let record = try? Self.record(name)
        return record?.isComplete == true
            ? LabError(
                .failed, "the lab '\(name)' is already up",
                advice: "use 'roost lab status --name \(name)', or 'roost lab down --name \(name)' first")
            : LabError(
                .failed, "there are remains of a lab '\(name)'", advice: "run 'roost lab down --name \(name)' first")
    }

    private func build(_ progress: @escaping Progress) async throws {
        let cgroups = try ControlGroups.detect()
        let scripts = SiteScripts(plan: plan, cgroups: cgroups.version, programFolder: programFolder)
        try writeRecord(isComplete: false)
        try DurableFile.makeFolder(paths.runFolder)
        try DurableFile.makeFolder(paths.imagesFolder)
        try DurableFile.write(Self.randomToken() + "\n", to: paths.tokenFile)

        progress("\(siteNames.count) network namespaces")
        try await Command(
            "ip", ["-batch", "-"], input: siteNames.map { "netns add \(paths.namespaceName($0))\n" }.joined()
        ).run()

        progress("roost-wan with \(plan.wan.links.count) links")
        try await startWAN(scripts, cgroups)
        try await inParallel(siteNames) { try await configureNetwork(of: $0) }

        progress("\(plan.pops.count) routers of \(LabPlan.providers.joined(separator: " and "))")
        try await inParallel(plan.pops) { try await start($0, scripts, cgroups) }
        if !plan.shape.isNetworkOnly { try await writeHostConfigurations() }
        try await waitForRoutes()

        progress(counted(plan.hosts.count, "host") + ": \(plan.hosts.map(\.name.text).joined(separator: ", "))")
        try await bootAll()
        if !plan.shape.isNetworkOnly {
            progress("waiting until every host knows every other")
            try await waitForHosts()
        }
        try writeRecord(isComplete: true)
    }

    /// Takes a lab apart, whatever state it is in. The same when there is none.
    /// - Returns: whether there was anything.
    @discardableResult
    public static func down(_ name: String = LabShape.nameDefault) async throws -> Bool {
        try LabPrograms.requireRoot()
        let paths = LabPaths(name: try LabShape.validated(name: name))
        let lock = try LabLock(paths)
        defer { lock.release() }
        return try await BlockingCall.run { () throws(any Error) in
            let teardown = Teardown(paths: paths)
            let wasThere = teardown.isAnythingLeft
            try teardown.all()
            return wasThere
        }
    }

    @discardableResult
    public func down() async throws -> Bool { try await Self.down(plan.shape.name) }

    // MARK: - Steps

    private func startWAN(_ scripts: SiteScripts, _ cgroups: ControlGroups) async throws {
        try DurableFile.write([UInt8](try JSONEncoder().encode(plan.wan)), to: paths.wanConfigFile)
        try cgroups.make(paths.cgroup(LabPaths.wanSite))
        try await startScript("boot", of: LabPaths.wanSite, scripts.wan)
        let isUp = try await poll(for: Self.wanReadyMax, every: .milliseconds(20)) {
            access(paths.wanSocket, F_OK) == 0 ? try? await wan.send(WANRequest(.stats)) : nil
        }
        guard isUp != nil else { throw silent("roost-wan", LabPaths.wanSite, Self.wanReadyMax) }
    }

    /// Addresses and routes of a site whose devices are plugged in.
    func configureNetwork(of site: String) async throws {
        let lines: String
        if let host = plan.hosts.first(where: { $0.name.text == site }) {
            lines = SiteNetwork.lines(host)
        } else if let client = plan.clients.first(where: { $0.name == site }) {
            lines = SiteNetwork.lines(client)
        } else if let pop = plan.pops.first(where: { $0.name == site }) {
            lines = SiteNetwork.lines(pop)
        } else {
            return
        }
        try await Command("ip", ["-netns", paths.namespaceName(site), "-batch", "-"], input: lines).run()
    }

    private func start(_ pop: LabPop, _ scripts: SiteScripts, _ cgroups: ControlGroups) async throws {
        try cgroups.make(paths.cgroup(pop.name))
        try await Command(
            "nsenter",
            [
                "--net=\(paths.namespace(pop.name))", "sysctl", "-qw", "net.ipv4.ip_forward=1",
                "net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.default.send_redirects=0",
            ]
        ).run()
        guard let region = plan.shape.regions.firstIndex(of: pop.region) else { return }
        let routing = PopRouting(
            pop: pop, regionPrefix: LabAddresses.region(region + 1), run: paths.runFolder)
        try DurableFile.makeFolder(paths.files(pop.name))
        try DurableFile.write(routing.text, to: paths.files(pop.name) + "/bird.conf", mode: 0o644)
        try await startScript("boot", of: pop.name, scripts.pop(pop))
    }

    /// Writes a script of a site and starts it in a session of its own.
    func startScript(_ name: String, of site: String, _ text: String) async throws {
        try DurableFile.makeFolder(paths.files(site))
        let path = paths.files(site) + "/" + name
        try DurableFile.write(text, to: path, mode: 0o755)
        try await Command("setsid", ["--fork", "sh", path]).run()
    }

    /// Until all sessions between the routers are established: then every site reaches every other.
    private func waitForRoutes() async throws {
        for pop in plan.pops {
            let names = pop.neighbors.map { PopRouting.symbol($0.name) }
            let ready: Bool? = try await poll(for: Self.routesReadyMax, every: .milliseconds(100)) {
                let output = try await Command(
                    "birdc", ["-s", "\(paths.runFolder)/\(pop.name).ctl", "show", "protocols"]
                ).outcome()
                let established = output.standardOutput.split(separator: "\n").filter { $0.contains("Established") }
                    .compactMap { $0.split(separator: " ").first.map(String.init) }
                return names.allSatisfy(established.contains) ? true : nil
            }
            guard ready != nil else { throw silent("BIRD", pop.name, Self.routesReadyMax) }
        }
    }

    private func bootAll() async throws {
        let isLarge = plan.hosts.count > Self.hostsOnTheirWayMax && !plan.shape.isNetworkOnly
        try await inParallel(
            plan.hostsInBootOrder, atOnce: isLarge ? Self.hostsOnTheirWayMax : Self.startsAtOnceMax
        ) { host in
            try await boot(host)
            if isLarge { try await wait(for: host, "hear the store") { $0.contains { $0.name != host.name } } }
        }
    }

    private func waitForHosts() async throws {
        let wanted = Set(plan.hosts.map(\.name))
        for host in plan.hosts {
            try await wait(for: host, "see all hosts") { wanted.isSubset(of: $0.filter(\.isReachable).map(\.name)) }
        }
    }

    /// Until what a host says of the planet's hosts is what it should be.
    private func wait(
        for host: LabHost, _ purpose: String, until isDone: @Sendable ([ListHostsBody.Host]) -> Bool
    ) async throws {
        let done: Bool? = try await poll(for: Self.hostsReadyMax, every: .milliseconds(250)) {
            guard access(paths.apiSocket(host.name.text), F_OK) == 0,
                let seen = try? await api(of: host.name).hosts()
            else { return nil }
            return isDone(seen) ? true : nil
        }
        guard done != nil else {
            throw LabError(
                .failed, "\(host.name) did not \(purpose) within \(Self.hostsReadyMax)", advice: logTail(of: host))
        }
    }

    // MARK: - What went wrong

    private func silent(_ program: String, _ site: String, _ limit: Duration) -> LabError {
        let said = Text.lines(of: paths.logFile(site)).suffix(5).joined(separator: " | ")
        return LabError(
            .failed, "\(program) of \(site) did not answer within \(limit.words)",
            advice: said.isEmpty ? "it said nothing" : "it said: \(said)")
    }

    func logTail(of host: LabHost) -> String {
        let boot = Text.lines(of: paths.logFile(host.name.text)).suffix(3)
        let agent = Text.lines(of: paths.serviceLog(host.name.text, "roostd") + "/current").suffix(5)
        let said = (boot + agent).joined(separator: " | ")
        return said.isEmpty ? "its roostd said nothing" : "its roostd said last: \(said)"
    }

    private static func randomToken() -> String {
        var generator = SystemRandomNumberGenerator()
        let letters = Array("0123456789abcdefghijklmnopqrstuvwxyz")
        return String((0..<40).map { _ in letters[Int.random(in: 0..<letters.count, using: &generator)] })
    }
}

/// Runs the work on all items, in their order, a bounded number at a time. The first failure cancels the rest.
func inParallel<Item: Sendable>(
    _ items: [Item], atOnce: Int = LabPlanet.startsAtOnceMax, _ work: @Sendable @escaping (Item) async throws -> Void
) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
        for (index, item) in items.enumerated() {
            if index >= atOnce { try await group.next() }
            group.addTask { try await work(item) }
        }
        try await group.waitForAll()
    }
}
