import Glibc
import RoostDemo
public import RoostLab
import RoostLinux
import RoostModel

/// Measures Roost against others on labs of its own, which are gone afterwards: with them goes everything that was
/// started or written for it, for all of that is inside a lab's namespaces and below its folder.
public struct Bench: Sendable {
    let shape: LabShape
    let parts: [BenchPart]
    let rounds: Int?
    let progress: LabPlanet.Progress

    static let cluster = "bench"

    /// - Parameters:
    ///   - shape: of the planet for edges and gaps; its name and its first region are also those of the planet of
    ///     one host.
    ///   - parts: what to measure; in the order of ``BenchPart``.
    ///   - rounds: of every part; by default each part has a number of its own.
    public init(
        _ shape: LabShape, parts: [BenchPart], rounds: Int?, progress: @escaping LabPlanet.Progress = { _ in }
    ) throws(LabError) {
        if let rounds, !(1...BenchPart.roundsMax).contains(rounds) {
            throw LabError(.usage, "a bench has 1 to \(BenchPart.roundsMax) rounds")
        }
        self.shape = shape
        self.parts = BenchPart.allCases.filter(parts.contains)
        self.rounds = rounds
        self.progress = progress
    }

    /// A part that fails does not keep the others from being measured: the report names it.
    ///
    /// - Throws: when it was cancelled, or a program is missing, or a lab could not be removed.
    public func run() async throws -> BenchReport {
        try LabPrograms.require(parts.flatMap(\.programs))
        var report = BenchReport(computer: .present)
        if parts.contains(.feed) {
            do {
                report.results += try await FeedBench(progress: progress).run(rounds ?? BenchPart.feed.roundsDefault)
            } catch {
                try Task.checkCancellation()
                progress("feed: \(error)")
                report.failures.append(.init(part: .feed, why: "\(error)"))
            }
        }
        let alone = parts.filter(\.isOfOneHost)
        if !alone.isEmpty {
            let one = try LabShape(
                name: shape.name, regions: [shape.regions[0].text], hostsPerRegion: 1,
                hostMemory: ManyBench.hostMemory)
            try await measure(alone, on: one, &report)
        }
        let together = parts.filter { !$0.isOfOneHost && $0 != .feed }
        if !together.isEmpty { try await measure(together, on: shape, &report) }
        return report
    }

    private func measure(_ parts: [BenchPart], on shape: LabShape, _ report: inout BenchReport) async throws {
        let planet: LabPlanet
        do {
            planet = try await LabPlanet.up(shape, progress: progress)
        } catch {
            try Task.checkCancellation()
            report.failures += parts.map { .init(part: $0, why: "there is no planet to measure on: \(error)") }
            return
        }
        do {
            let demo = Demo(planet: planet, cluster: try AppName(Self.cluster), progress: progress)
            for part in parts {
                do {
                    try await measure(part, demo, &report)
                } catch {
                    try Task.checkCancellation()
                    progress("\(part.rawValue): \(error)")
                    report.failures.append(.init(part: part, why: "\(error)"))
                }
            }
        } catch {
            try await planet.down()
            throw error
        }
        progress("removing the lab")
        try await planet.down()
    }

    private func measure(_ part: BenchPart, _ demo: Demo, _ report: inout BenchReport) async throws {
        let rounds = rounds ?? part.roundsDefault
        switch part {
        // On no planet of the lab.
        case .feed: break
        case .machines:
            report.results += try await MachineBench(demo.planet, progress).run(rounds)
        case .many:
            report.results += try await ManyBench(demo.planet, progress).run(rounds)
        case .volumes:
            report.results += try await VolumeBench(demo.planet, progress).run(rounds)
        case .edge:
            report.results += try await EdgeBench(demo, try await demo.ensure()).run(rounds)
        case .gaps, .patroni:
            let found = try await GapBench(demo, part: part).run(rounds)
            report.results += found.results
            report.rows = BenchReport.Rows(
                confirmed: (report.rows?.confirmed ?? 0) + found.rows.confirmed,
                lost: (report.rows?.lost ?? 0) + found.rows.lost)
        }
    }
}

extension BenchReport.Computer {
    static var present: Self {
        var system = utsname()
        uname(&system)
        let release = withUnsafeBytes(of: &system.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        return Self(processors: sysconf(Int32(_SC_NPROCESSORS_ONLN)), kernel: release)
    }
}
