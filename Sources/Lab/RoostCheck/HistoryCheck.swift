import Glibc
public import RoostDemo
import RoostHistory
public import RoostLab
import RoostLinux
import RoostModel
import RoostWire

/// Clients write and read from every region through both ports of a cluster while a planet is broken by a schedule; then
/// what they saw is judged.
public struct HistoryCheck: Sendable {
    let demo: Demo
    let seed: UInt64
    let duration: Duration
    let historyFile: String
    let hasToEnd: @Sendable () -> Bool
    let tables: String

    var planet: LabPlanet { demo.planet }

    public static let durationMin = Duration.seconds(20)
    public static let durationMax = Duration.seconds(6 * 3600)
    /// A primary that cannot renew its lease stops after 6 s; its host ends it 1 s later.
    static let leaseMax = Duration.seconds(7)
    /// What clients write in one region: bounded by what can be read again.
    static let fileBytesMax = 1 << 30
    static let violationsShownMax = 20
    private static let settleMax = Duration.seconds(240)
    private static let flowMax = Duration.seconds(60)
    /// Clients go on for so long when all is whole again.
    private static let calm = Duration.seconds(4)
    private static let reportEvery = Duration.seconds(15)

    /// - Parameters:
    ///   - demo: whose cluster is written to; it is made if it is missing.
    ///   - hasToEnd: asked again and again: the check comes to its end early, and judges what there is.
    public init(
        _ demo: Demo, seed: UInt64, duration: Duration, historyFile: String,
        hasToEnd: @escaping @Sendable () -> Bool = { false }
    ) throws(LabError) {
        guard duration >= Self.durationMin, duration <= Self.durationMax else {
            throw LabError(.usage, "a check takes from 20 seconds to 6 hours")
        }
        self.demo = demo
        self.seed = seed
        self.duration = duration
        self.historyFile = historyFile
        self.hasToEnd = hasToEnd
        // Of its own: what an earlier check left says nothing.
        tables = "check_\(String(UInt64(BootClock.now().sinceBoot.milliseconds), radix: 36))"
    }

    /// - Throws: when it could not be judged. What is wrong is in the report.
    public func run() async throws -> CheckReport {
        let body = try await demo.ensure()
        let schedule = FaultSchedule(seed: seed, places: places(body), duration: duration)
        demo.progress("seed \(seed): \(schedule.faults.count) faults")
        for fault in schedule.faults { demo.progress("  \(fault)") }
        _ = try await client(0, body, ["--create"], to: file("tables"))
        let begin = BootClock.now()
        let run = FaultRun(demo, schedule, duration, hasToEnd: hasToEnd)
        let faults: [CheckReport.Fault]
        do {
            faults = try await breakThings(run, body)
        } catch {
            try? await run.mend()
            throw error
        }
        let seconds = (BootClock.now() - begin).secondsAsDouble
        let healthy = try await demo.wait(for: Self.settleMax, "is whole again") { $0.status == .ready }
        demo.progress("reading what is there")
        _ = try await client(0, healthy, ["--final"], to: file("final"))
        return try judge(faults, seconds: seconds, freezeMax: run.freezeMax)
    }

    private func places(_ body: ClusterBody) -> FaultSchedule.Places {
        let hosts = planet.plan.hosts
        let members = Set(body.members.compactMap(\.host))
        return FaultSchedule.Places(
            memberHosts: hosts.map(\.name).filter(members.contains),
            storeHosts: hosts.filter(\.isStoreMember).map(\.name), edgeHosts: hosts.filter(\.isEdge).map(\.name),
            regions: planet.plan.shape.regions, clients: planet.plan.clients.map(\.name))
    }

    // MARK: - Clients

    private func file(_ name: String) -> String { "\(planet.paths.runFolder)/\(tables)-\(name).ndjson" }

    private var clientFiles: [String] { planet.plan.clients.map { file($0.name) } }

    /// Runs the program in a region, what it says into a file.
    private func client(_ place: Int, _ body: ClusterBody, _ more: [String], to file: String) async throws {
        let site = planet.plan.clients[place].name
        let line = try planet.commandLine(
            in: site,
            [
                planet.programFolder + "/roost-pg", "history", "--name", more.isEmpty ? site : "check", "--tables",
                tables, "--url", body.writeURL, "--read-url", body.readURL, "--place", "\(place)", "--seed", "\(seed)",
                "--origin", "\(BootClock.now().sinceBoot.milliseconds * 1000)",
            ] + more)
        try await Command(
            "sh", ["-c", "exec \"$@\" >\"$HISTORY\"", "sh"] + line, environment: ["HISTORY": file],
            deadline: duration + Self.settleMax + Self.flowMax + Self.flowMax
        ).run()
    }

    private func breakThings(_ run: FaultRun, _ body: ClusterBody) async throws -> [CheckReport.Fault] {
        try await withThrowingTaskGroup(of: [CheckReport.Fault]?.self) { group in
            for place in planet.plan.clients.indices {
                group.addTask {
                    try await client(place, body, [], to: file(planet.plan.clients[place].name))
                    return nil
                }
            }
            group.addTask { try await conduct(run) }
            guard let faults = try await group.next() ?? nil else {
                throw LabError(.failed, "the clients of a region ended by themselves", advice: "see \(file("*"))")
            }
            group.cancelAll()
            return faults
        }
    }

    private func conduct(_ run: FaultRun) async throws -> [CheckReport.Fault] {
        let flows: Bool? = try await poll(for: Self.flowMax, every: .milliseconds(200)) {
            clientFiles.allSatisfy { size($0) > 0 } ? true : nil
        }
        guard flows != nil else {
            throw LabError(.failed, "the clients get nothing done", advice: "see \(file("*"))")
        }
        let faults = try await withThrowingTaskGroup(of: [CheckReport.Fault]?.self) { group in
            group.addTask { try await run.carryOut() }
            group.addTask {
                while true {
                    try await Task.sleep(for: Self.reportEvery)
                    demo.progress("  \(clientFiles.reduce(0) { $0 + size($1) } >> 10) KiB of history")
                }
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
        demo.progress("mending what is left")
        try await run.mend()
        _ = try await demo.wait(for: Self.settleMax, "is whole again") { $0.status == .ready }
        try await Task.sleep(for: Self.calm)
        return faults ?? []
    }

    private func size(_ path: String) -> Int {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : 0
    }

    // MARK: - The end

    private func judge(_ faults: [CheckReport.Fault], seconds: Double, freezeMax: Duration) throws -> CheckReport {
        var history = HistoryFile()
        for path in clientFiles + [file("final")] {
            guard let bytes = try DurableFile.read(path, bytesMax: Self.fileBytesMax) else {
                throw LabError(.failed, "there is no \(path)")
            }
            let strange = history.add(bytes)
            guard strange == 0 else { throw LabError(.failed, "\(strange) lines of \(path) are no entries") }
        }
        let entries = history.entries
        try DurableFile.write(try HistoryFile.text(entries), to: historyFile, mode: 0o644)
        for path in clientFiles + [file("final"), file("tables")] { try DurableFile.remove(path) }
        // One that stands still cannot see that its lease is over.
        let verdict = HistoryJudge(displacedReadsMax: Self.leaseMax + freezeMax).judge(entries, hasEnded: true)
        guard verdict.counts.confirmed > 0, verdict.counts.replicaReads > 0 else {
            throw LabError(
                .failed, "nothing was confirmed, or nothing read from a replica: there is nothing to judge",
                advice: "see \(historyFile)")
        }
        let text = HistoryText(entries)
        return CheckReport(
            seed: seed, lab: planet.plan.shape.name, seconds: seconds, wasEnded: hasToEnd(), faults: faults,
            counts: verdict.counts, replicaLagMilliseconds: verdict.replicaLagMax.milliseconds,
            displacedLagMilliseconds: verdict.displacedLagMax.milliseconds, violationCount: verdict.findings.count,
            violations: verdict.findings.prefix(Self.violationsShownMax).map {
                CheckReport.Violation(kind: $0.kind, what: $0.description, history: text.lines(of: $0))
            },
            historyFile: historyFile)
    }
}
