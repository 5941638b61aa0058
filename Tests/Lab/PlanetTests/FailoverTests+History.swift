import Foundation
import RoostCheck
import RoostDemo
import RoostHistory
import RoostLab
import RoostModel
import Testing

extension FailoverTests {
    /// The short form of `roost lab check`: what clients everywhere did and saw while things broke is one history.
    @Test func whatClientsSawIsTheHistoryOfOneDatabase() async throws {
        let planet = try LabPlanet.present()
        try await planet.recover()
        let demo = Demo(planet: planet, cluster: try AppName("orders")) { print("check: \($0)") }
        let file = NSTemporaryDirectory() + "roost-check-\(getpid())-\(UInt32.random(in: 0...UInt32.max)).ndjson"
        let report = try await HistoryCheck(demo, seed: 1, duration: .seconds(20), historyFile: file).run()
        for violation in report.violations {
            Issue.record("\(([violation.what] + violation.history).joined(separator: "\n"))\nsee \(file)")
        }
        #expect(report.violationCount == 0)
        #expect(report.counts.confirmed >= 100 && report.counts.replicaReads >= 100, "\(report.counts)")
        #expect(report.faults.contains { $0.trouble == nil }, "\(report.faults)")
        if report.violationCount == 0 { try FileManager.default.removeItem(atPath: file) }
    }
}
