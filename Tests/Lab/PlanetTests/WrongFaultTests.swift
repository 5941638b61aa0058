import Foundation
import RoostLab
import RoostLinux
import Testing

extension OneHostTests {
    /// Faults that make no sense are refused by `roost lab`, and break nothing.
    @Suite(.serialized) struct WrongFaultTests {
        let planet: LabPlanet

        init() throws { planet = try LabPlanet.present() }

        @Test(
            arguments: [
                (["kill-host", "ams9"], 2, "use one of ams1"), (["kill-host", "client-ams"], 2, "use one of ams1"),
                (["start-host", "ams9"], 2, "use one of ams1"), (["start-host", "ams1"], 1, "ams1 is up"),
                (["freeze-host", ""], 2, "use one of ams1"), (["thaw-host", "../ams1"], 2, "use one of ams1"),
                (["stop-edge", "ams9"], 2, "use one of ams1"), (["start-edge", "client-ams"], 2, "use one of ams1"),
                (["cut", "ams", "iad"], 2, "iad"), (["cut", "nowhere", "ams1"], 2, "nowhere"),
                (["loss", "aurora", "borealis", "101"], 2, "101"),
                (["loss", "aurora", "borealis", "nan"], 2, "is no loss"),
                (["delay", "aurora", "borealis", "inf"], 2, "is no delay"),
                (["delay", "aurora", "borealis", "1e30"], 2, "is no delay"),
                (["heal", "nowhere", "ams1"], 2, "nowhere"),
                (["kill-process", "ams1", "nothing"], 1, "no process 'nothing'"),
                (["freeze-process", "ams9", "roostd"], 2, "use one of ams1"),
                (["thaw-process", "ams1", "nothing"], 1, "no process 'nothing'"),
            ] as [([String], Int32, String)])
        func isRefused(arguments: [String], status: Int32, text: String) async throws {
            let processes = try planet.processes(named: "roostd", on: "ams1")
            let outcome = try await Command(
                try LabPrograms().folder + "/roost",
                ["lab", "fault"] + arguments + ["--name", planet.plan.shape.name],
                deadline: .seconds(60)
            ).outcome()
            #expect(outcome.status == status, "\(outcome)")
            #expect(outcome.standardError.contains(text), "\(outcome.standardError)")
            #expect(try await planet.faults().isEmpty)
            #expect(try planet.processes(named: "roostd", on: "ams1") == processes)
        }

        @Test(
            arguments: [
                (["exec", "nowhere", "--", "true"], 2, "is no site of the lab"),
                (["exec", "ams1"], 2, "there is no command to run"),
            ] as [([String], Int32, String)])
        func execNeedsASiteAndACommand(arguments: [String], status: Int32, text: String) async throws {
            let outcome = try await Command(
                try LabPrograms().folder + "/roost",
                ["lab", arguments[0], "--name", planet.plan.shape.name] + arguments.dropFirst(), deadline: .seconds(60)
            ).outcome()
            #expect(outcome.status == status, "\(outcome)")
            #expect(outcome.standardError.contains(text), "\(outcome.standardError)")
        }
    }
}
