import RoostModel
import Testing

/// Wrong usage is told before anything is asked of a host: exit status 2, and words about what is wrong.
@Suite struct WrongUsageTests {
    static let id = "0123456789abcd"
    static let volume = "vol_0123456789abcdef"

    @Test(arguments: [
        ["bogus"], ["--bogus"], ["apps", "bogus"], ["apps", "create"], ["apps", "create", "Upper"],
        ["apps", "create", "a", "b"], ["apps", "create", "a", "--network", "9"], ["apps", "show"],
        ["apps", "show", "-"], ["apps", "destroy"], ["apps", "destroy", "a_b"], ["apps", "list", "x"],
        ["machines", "create"], ["machines", "create", "shop"], ["machines", "create", "shop", "--image"],
        ["machines", "create", "shop", "--image", "i", "--region", "A"],
        ["machines", "create", "shop", "--image", "i", "--env", "NOVALUE"],
        ["machines", "create", "shop", "--image", "i", "--volume", "vol_x:/data"],
        ["machines", "create", "shop", "--image", "i", "--volume", volume],
        ["machines", "create", "shop", "--image", "i", "--cpus", "many"],
        ["machines", "create", "shop", "--image", "i", "--cpu-kind", "fast"],
        ["machines", "create", "shop", "--image", "i", "--restart", "never"],
        ["machines", "create", "shop", "--config", "/nonexistent"], ["machines", "list", "UPPER"],
        ["machines", "show", "shop"], ["machines", "show", "shop", "123"],
        ["machines", "start", "shop", "0123456789abcg"], ["machines", "stop", "shop", id, "--timeout", "soon"],
        ["machines", "stop", "shop", id, "--timeout", "10m"], ["machines", "restart", "shop"],
        ["machines", "destroy", "shop", ""], ["machines", "wait", "shop", id, "--state", "asleep"],
        ["machines", "wait", "shop", id, "--timeout", "-1s"], ["machines", "events", "shop", id, "--limit", "0"],
        ["machines", "exec", "shop", id], ["machines", "exec", "shop", id, "--timeout", "0", "--", "ls"],
        ["machines", "logs", "shop", id, "--bytes", "0"],
        ["volumes", "create", "shop"], ["volumes", "create", "shop", "data", "--size", "0"],
        ["volumes", "create", "shop", "data", "--size", "501"],
        ["volumes", "create", "shop", "data", "--size", "1.5"], ["volumes", "show", "shop", "vol_1"],
        ["volumes", "destroy", "shop"], ["volumes", "list", "shop", "more"],
        ["regions", "bogus"], ["hosts", "list", "more"], ["hosts", "stop-edge"], ["hosts", "start-edge", "AMS1"],
        ["ips", "list", "--bogus"], ["mesh", "status", "ams1"],
        ["pg", "create"], ["pg", "create", "shop"], ["pg", "create", "9shop", "--region", "ams"],
        ["pg", "create", "shop", "--region", "a"], ["pg", "create", "shop", "--region", "ams", "--region"],
        ["pg", "create", "shop", "--region", "ams", "--replica-region", "1"],
        ["pg", "create", "shop", "--region", "ams", "--volume-size", "0"],
        ["pg", "create", "shop", "--region", "ams", "--volume-size", "501"],
        ["pg", "create", "shop", "--region", "ams", "--timeout", "1 minute"], ["pg", "status"],
        ["pg", "status", "SHOP"], ["pg", "connect"], ["pg", "switchover"], ["pg", "switchover", "shop", "--to", ""],
        ["pg", "superuser"], ["pg", "superuser", "SHOP", "select 1"], ["pg", "superuser", "shop", "select", "1"],
        ["pg", "superuser", "shop", "select 1", "--timeout", "0"],
        ["pg", "superuser", "shop", "select 1", "--timeout", "121"],
        ["pg", "superuser", "shop", "select 1", "--timeout", "1500ms"],
        ["machines", "exec", "shop", id, "--timeout", "3m", "--", "ls"], ["pg", "destroy", "shop", "--timeout", "5x"],
        ["pg", "superuser", "shop", "select 1", "--member", "No_1"], ["pg", "superuser", "shop", "select 1", "-d"],
        ["pg", "superuser", "shop", "select 1", "-d", ""],
        ["pg", "superuser", "shop", "select 1", "-d", String(repeating: "d", count: 64)],
        ["pg", "allow"], ["pg", "allow", "SHOP"], ["pg", "allow", "shop", "0.0.0.0/0"],
        ["pg", "allow", "shop", "203.0.113.7/24"], ["pg", "allow", "shop", "203.0.113"],
        ["pg", "allow", "shop", "2001:db8::/32"], ["pg", "allow", "shop", "--everywhere", "203.0.113.0/24"],
        ["pg", "pause"], ["pg", "pause", "shop", "--for", "0"], ["pg", "pause", "shop", "--for", "25h"],
        ["pg", "pause", "shop", "--for", "1500ms"], ["pg", "resume"], ["pg", "resume", "SHOP"],
        ["pg", "restart"], ["pg", "restart", "shop", "--member", ""], ["pg", "restart", "shop", "--timeout", "0"],
        ["pg", "restart", "shop", "--cancel", "--no-switchover"],
        ["pg", "recover"], ["pg", "recover", "SHOP"], ["pg", "recover", "shop", "--timeout", "0"],
        ["pg", "destroy"], ["pg", "list", "shop"], ["image", "build", "mysql"], ["doctor", "--fix"],
        ["regions", "list", "--api", "ftp://x"], ["regions", "list", "--api", "/a", "--lab", "b"],
        ["regions", "list", "--lab", "A"],
    ])
    func isTold(arguments: [String]) async throws {
        let outcome = try await RoostProgram.run(arguments)
        #expect(outcome.status == 2, "\(outcome)")
        #expect(outcome.output.isEmpty)
        #expect(!outcome.errors.isEmpty)
    }

    @Test func environmentIsChecked() async throws {
        for variables in [["ROOST_API": "nowhere"], ["ROOST_LAB": "No Lab"]] {
            let outcome = try await RoostProgram.run(["regions", "list"], environment: variables)
            #expect(outcome.status == 2)
            #expect(outcome.errors.contains(variables.keys.first ?? ""))
        }
    }

    @Test(arguments: [
        ["--help"], ["--version"], ["help", "pg", "create"], ["help"], ["help", "help"], ["pg", "create", "--help"],
        ["help", "pg", "--api", "unix:///nowhere"], ["--lab", "nowhere", "help", "pg", "create"], ["--json", "--help"],
        ["help", "pg", "--token-file", "create", "--json", "-h"],
    ])
    func helpIsAResult(arguments: [String]) async throws {
        let outcome = try await RoostProgram.run(arguments)
        #expect(outcome.status == 0)
        #expect(!outcome.output.isEmpty)
        #expect(outcome.errors.isEmpty)
    }

    @Test(
        "Help is asked for a command that there is; of another one its nearest neighbour is named",
        arguments: [
            (["help", "nope"], "'nope'"), (["help", "machnes"], "'roost machines'"),
            (["help", "pg", "swichover"], "'roost pg switchover'"), (["help", "pg", "create", "shop"], "'shop'"),
            (["help", "pg", "nope"], "superuser"), (["help", "--api", "/sock", "nope"], "'nope'"),
            (["help", "pg", "create", "--region", "ams"], "--region"), (["help", "-h", "nope"], "'nope'"),
        ])
    func helpForNothing(arguments: [String], words: String) async throws {
        let outcome = try await RoostProgram.run(arguments)
        #expect(outcome.status == 2 && outcome.output.isEmpty, "\(outcome)")
        #expect(outcome.errors.contains(words), "\(outcome)")
        // What there is is listed once, by its own name.
        if let list = outcome.errors.split(separator: ";").last?.split(separator: " ").map({ $0.filter(\.isLetter) }) {
            #expect(list.count { $0 == "machines" } <= 1 && !list.contains("machine"), "\(outcome)")
        }
    }

    @Test(
        "What there is on other platforms and not here is said not to be here, and why",
        arguments: [
            (["machines", "update", "shop", "m1", "--image", "i"], "the configuration of a machine does not change"),
            (["machine", "update", "shop"], "there is no 'roost machines update'"),
            (["volumes", "extend", "shop", "vol_1", "--size", "20"], "the size of a volume does not change"),
            (["volumes", "snapshot", "list"], "there are no snapshots of volumes"),
            (["volumes", "grow", "shop", "vol_1"], "there is no 'roost volumes grow': the size of a volume does not"),
            (["volumes", "snapshots", "list", "vol_1"], "there are no snapshots of volumes"),
            (["volumes", "fork", "vol_1"], "a volume is not copied"),
        ])
    func absentCommands(arguments: [String], words: String) async throws {
        let outcome = try await RoostProgram.run(arguments)
        #expect(outcome.status == 2 && outcome.output.isEmpty, "\(outcome)")
        #expect(outcome.errors.contains(words), "\(outcome)")
    }

    @Test(arguments: ["bash", "zsh", "fish"])
    func shellsAreGivenACompletion(shell: String) async throws {
        let outcome = try await RoostProgram.run(["--generate-completion-script", shell])
        #expect(outcome.status == 0)
        #expect(outcome.output.contains("switchover"))
        guard shell == "bash" else { return }
        // Where one of some words is meant, they are offered.
        let choices = [
            SurvivalGoal.known.map(\.rawValue), MachineRestart.Policy.known.map(\.rawValue),
            MachineGuest.CPUKind.known.map(\.rawValue), MachineState.known.map(\.rawValue),
        ]
        for words in choices {
            let list = words.joined(separator: "'$'\\n''")
            #expect(outcome.output.contains(list), "\(list)")
        }
    }
}
