import Glibc
import Testing

/// `roost lab` without a lab: what is wrong is told before anything is built or broken.
@Suite struct WrongLabUsageTests {
    /// No lab has this name.
    static let lab = "none-\(getpid())"

    @Test(arguments: [
        ["bogus"], ["up", "--regions", ""], ["up", "--regions", "ams,"], ["up", "--regions", "AMS"],
        ["up", "--regions", "xyz"], ["up", "--regions", "ams,ams"], ["up", "--hosts-per-region", "0"],
        ["up", "--hosts-per-region", "-1"], ["up", "--hosts-per-region", "17"], ["up", "--hosts-per-region", "two"],
        ["up", "--name", "UPPER"], ["up", "--name", ""], ["up", "--name", "../etc"], ["up", "extra"],
        ["up", "--name", String(repeating: "a", count: 64)], ["down", "extra"], ["down", "--name", "a/b"],
        ["status", "extra"], ["status", "--name", "a b"], ["list", "extra"], ["exec"],
        ["exec", "--name", "UPPER", "x"],
        ["demo", "extra"], ["demo", "--name", "UPPER"], ["demo", "--regions", "xyz"], ["demo", "--cluster", "UPPER"],
        ["fault", "bogus"], ["fault", "kill-host"], ["fault", "start-host"], ["fault", "freeze-host"],
        ["fault", "thaw-host"], ["fault", "stop-edge"], ["fault", "start-edge"], ["fault", "kill-host", "a", "b"],
        ["fault", "cut"], ["fault", "cut", "ams"], ["fault", "loss", "ams", "iad"], ["fault", "heal", "ams"],
        ["fault", "loss", "ams", "iad", "much"], ["fault", "delay", "ams", "iad"], ["fault", "heal"],
        ["fault", "delay", "ams", "iad", "long"], ["fault", "heal", "--all", "ams", "iad"],
        ["fault", "freeze-process", "ams1"], ["fault", "thaw-process"], ["fault", "kill-process", "ams1"],
        ["fault", "list", "extra"], ["bench", "extra"], ["check", "extra"], ["check", "--minutes", "0"],
        ["check", "--minutes", "nan"], ["check", "--minutes", "1000"], ["check", "--seed", "-1"],
        ["check", "--name", "UPPER"], ["check", "--regions", "xyz"],
    ])
    func isTold(arguments: [String]) async throws {
        let outcome = try await RoostProgram.run(["lab"] + arguments)
        #expect(outcome.status == 2, "\(outcome)")
        #expect(outcome.output.isEmpty)
        #expect(!outcome.errors.isEmpty)
    }

    @Test(arguments: [
        ["status"], ["exec", "ams1", "--", "true"], ["fault", "list"], ["fault", "kill-host", "ams1"],
        ["fault", "start-host", "ams1"], ["fault", "freeze-host", "ams1"], ["fault", "thaw-host", "ams1"],
        ["fault", "stop-edge", "ams1"], ["fault", "start-edge", "ams1"], ["fault", "cut", "ams", "iad"],
        ["fault", "loss", "ams", "iad", "5"], ["fault", "delay", "ams", "iad", "5"], ["fault", "heal", "ams", "iad"],
        ["fault", "heal", "--all"], ["fault", "freeze-process", "ams1", "roostd"],
        ["fault", "thaw-process", "ams1", "roostd"], ["fault", "kill-process", "ams1", "roostd"],
    ])
    func aLabThatIsNotThereIsNamedWithTheWayOut(arguments: [String]) async throws {
        let outcome = try await RoostProgram.run(["lab"] + arguments, environment: ["ROOST_LAB": Self.lab])
        #expect(outcome.status == 1, "\(outcome)")
        #expect(outcome.output.isEmpty)
        #expect(outcome.errors.contains("there is no lab '\(Self.lab)'"), "\(outcome.errors)")
        #expect(outcome.errors.contains("roost lab up --name \(Self.lab)"), "\(outcome.errors)")
    }

    /// Every command refuses an option that it does not have.
    @Test(arguments: [
        "apps create", "apps list", "apps show", "apps destroy", "machines create", "machines list", "machines show",
        "machines start", "machines stop", "machines restart", "machines destroy", "machines wait", "machines events",
        "machines exec", "machines logs", "volumes create", "volumes list", "volumes show", "volumes destroy",
        "regions list", "hosts list", "hosts stop-edge", "hosts start-edge", "ips list", "mesh status", "image build",
        "doctor", "pg create", "pg list",
        "pg status", "pg connect", "pg switchover", "pg destroy", "lab up", "lab down", "lab status", "lab list",
        "lab exec", "lab demo", "lab bench", "lab check", "lab fault list", "lab fault cut",
    ])
    func anOptionThatIsNotThereIsRefused(command: String) async throws {
        let outcome = try await RoostProgram.run(command.split(separator: " ").map(String.init) + ["--bogus"])
        #expect(outcome.status == 2, "\(outcome)")
        #expect(outcome.errors.contains("--bogus") || outcome.errors.contains("Missing"), "\(outcome.errors)")
    }
}
