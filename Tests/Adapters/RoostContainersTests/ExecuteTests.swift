import Glibc
import RoostContainers
import RoostLinux
import RoostModel
import RoostRuntime
import Testing

@Suite(.serialized, .timeLimit(.minutes(2)))
struct ExecuteTests {
    @Test func commandsInsideAMachine() async throws {
        try await Workshop.with { workshop in
            let scripts: [(name: String, text: String, mode: mode_t, code: Int32)] = [
                ("no-interpreter", "#!/nowhere/sh\n", 0o755, 127), ("no-program", "#!/bin\n", 0o755, 126),
                ("not-allowed", "#!/bin/sh\n", 0o644, 126),
            ]
            for (name, text, mode, _) in scripts {
                try DurableFile.write(text, to: "\(workshop.root)/\(name)", mode: mode)
            }
            let launch = try await workshop.launch("sleep 60")
            _ = try await workshop.runtime.launch(launch)
            let run = { (command: [String], input: String) in
                try await workshop.runtime.execute(launch.id, ExecRequest(command: command, input: input))
            }
            let echo = try await run(["cat"], "to and fro")
            #expect(echo == ExecResult(exitCode: 0, signal: nil, standardOutput: "to and fro", standardError: ""))
            let failure = try await run(["sh", "-c", "echo out; echo err >&2; exit 5"], "")
            #expect(failure == ExecResult(exitCode: 5, signal: nil, standardOutput: "out\n", standardError: "err\n"))
            let killed = try await run(["sh", "-c", "kill -9 $$"], "")
            #expect(killed.exitCode == 137 && killed.signal == nil)
            let missing = try await run(["no-such-program"], "")
            #expect(missing.exitCode == 127 && missing.standardError.contains("no-such-program"))

            // Nor is any other that cannot be begun the host's fault.
            for (name, _, _, code) in scripts {
                let result = try await run(["/" + name], "")
                #expect(result.exitCode == code && result.standardError.contains(name), "\(name): \(result)")
            }
            let folder = try await run(["/etc"], "")
            #expect(folder.exitCode == 126 && folder.standardError.contains("/etc"))

            for wrong in [[], [""], ["--version"]] as [[String]] {
                #expect(await refusal { _ = try await run(wrong, "") }?.code == .invalid)
            }
        }
    }

    @Test func aCommandHasEndedWhenItsProcessHas() async throws {
        try await Workshop.with { workshop in
            let launch = try await workshop.launch("sleep 60")
            _ = try await workshop.runtime.launch(launch)
            let began = BootClock.now()
            let result = try await workshop.runtime.execute(
                launch.id, ExecRequest(command: ["/bin/sh", "-c", "sleep 1235 & echo done; exit 4"]))
            #expect(result.exitCode == 4 && result.standardOutput == "done\n")
            #expect(BootClock.now() - began < .seconds(20))
            // What it has left in the background is the machine's.
            let listing = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '"
            #expect(try await workshop.shell(launch.id, listing).contains("1235 "))
        }
    }

    @Test func muchOutputIsCutAndMarked() async throws {
        try await Workshop.with { workshop in
            let launch = try await workshop.launch("sleep 60")
            _ = try await workshop.runtime.launch(launch)
            let result = try await workshop.runtime.execute(
                launch.id,
                ExecRequest(command: ["/bin/sh", "-c", "yes | head -c 9000000; echo few >&2; exit 7"]))
            #expect(result.exitCode == 7)
            #expect(result.standardOutput.utf8.count == ExecRequest.outputBytesMax && result.isOutputTruncated)
            #expect(result.standardError == "few\n" && !result.isErrorTruncated)
        }
    }

    @Test func whoGivesUpEndsTheCommand() async throws {
        try await Workshop.with { workshop in
            let launch = try await workshop.launch("sleep 60")
            _ = try await workshop.runtime.launch(launch)
            let listing = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '"
            let request = ExecRequest(command: ["sleep", "1236"], timeout: .seconds(60))
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { _ = try? await workshop.runtime.execute(launch.id, request) }
                let began = try await poll(for: .seconds(10)) {
                    try await workshop.shell(launch.id, listing).contains("sleep 1236 ") ? true : nil
                }
                #expect(began == true)
                group.cancelAll()
            }
            // It was killed before the call returned; a busy kernel may take a moment to take it apart.
            let ended = try await poll(for: .seconds(10)) {
                try await workshop.shell(launch.id, listing).contains("sleep 1236 ") ? nil : true
            }
            #expect(ended == true)
        }
    }

    @Test func aCommandThatTakesTooLongIsKilled() async throws {
        try await Workshop.with { workshop in
            let launch = try await workshop.launch("sleep 60")
            _ = try await workshop.runtime.launch(launch)
            let stubborn = "trap '' TERM INT; (setsid sleep 1234 &) ; sleep 1234 & while true; do sleep 0.05; done"
            let request = ExecRequest(command: ["/bin/sh", "-c", stubborn], timeout: .milliseconds(300))
            #expect(
                await refusal { _ = try await workshop.runtime.execute(launch.id, request) }?.code == .deadlineExceeded)
            let left = try await poll(for: .seconds(5)) {
                try await workshop.shell(launch.id, "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '")
                    .contains("1234 ") ? nil : true
            }
            #expect(left == true, "the command's own processes live on")
        }
    }

    @Test func nothingIsExecutedInAMachineThatDoesNotRun() async throws {
        try await Workshop.with { workshop in
            let launch = try await workshop.launch("true")
            let request = ExecRequest(command: ["true"])
            #expect(await refusal { _ = try await workshop.runtime.execute(launch.id, request) }?.code == .notRunning)
            _ = try await workshop.runtime.launch(launch)
            _ = try await workshop.runtime.waitForExit(of: launch.id)
            #expect(await refusal { _ = try await workshop.runtime.execute(launch.id, request) }?.code == .notRunning)
        }
    }
}
