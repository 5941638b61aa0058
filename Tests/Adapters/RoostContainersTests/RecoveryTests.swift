import Glibc
import RoostImages
import RoostLinux
import RoostModel
import RoostRuntime
import Testing

@testable import RoostContainers

/// A launch can be cut off anywhere, and so can a removal. Whoever comes next goes on.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct RecoveryTests {
    @Test func aMachineOutlivesTheProcessThatLaunchedIt() async throws {
        try await Workshop.with { workshop in
            let id = Workshop.newID()
            _ = try await workshop.network()
            await #expect(processExitsWith: .signal(SIGKILL)) {
                [name = workshop.name as String, id = id.text as String] in
                let workshop = try Workshop(name: name)
                let script = "trap 'exit 4' TERM; echo up; while true; do sleep 0.05; done"
                _ = try await workshop.runtime.launch(try await workshop.launch(script, id: try MachineID(id)))
                kill(getpid(), SIGKILL)
            }
            guard case .running(let running) = try await workshop.runtime.inspect(id) else {
                Issue.record("the machine went down with its launcher")
                return
            }
            #expect(running.attempt == "first")
            // Known as a user of its image to whoever collects images.
            let launched = try await workshop.launch("true", id: id)
            let digest = try await workshop.images.withImage(launched.image) { (image) async throws(RuntimeError) in
                image.digest
            }
            #expect(try await workshop.runtime.imagesInUse() == [digest])
            // Watched by a conmon of its own session, a child of nobody here.
            let watcher = try #require(try workshop.runtime.watcher(id))
            #expect(getsid(watcher.pid) != getsid(0) && getpgid(watcher.pid) != getpgid(0))
            #expect(try Self.parent(of: watcher.pid) != getpid())
            #expect(try Self.parent(of: running.pid) == watcher.pid)
            // The same launch again is the launch that runs.
            let again = try await workshop.launch("false", id: id)
            #expect(try await workshop.runtime.launch(again) == running)
            let other = try await workshop.launch("false", id: id, attempt: "other")
            #expect(await refusal { _ = try await workshop.runtime.launch(other) }?.code == .failed)

            #expect(try await workshop.log(id) == "up\n")
            try await workshop.runtime.signal(id, "TERM")
            #expect(try await workshop.runtime.waitForExit(of: id).code == 4)
            try await workshop.runtime.remove(id)
            #expect(try await workshop.runtime.imagesInUse().isEmpty)
        }
    }

    private static func parent(of pid: Int32) throws -> Int32? {
        let bytes = try #require(try DurableFile.read("/proc/\(pid)/stat"))
        let text = String(decoding: bytes, as: UTF8.self)
        return text[text.index(after: text.lastIndex(of: ")") ?? text.startIndex)...].split(separator: " ")
            .dropFirst().first.flatMap { Int32($0) }
    }

    /// What a launch has made when it is cut off after each of its steps.
    enum CutOff: String, CaseIterable {
        case recorded, rootMounted, created, startedButNotNoted
    }

    @Test(arguments: CutOff.allCases)
    func aLaunchThatWasCutOff(_ cut: CutOff) async throws {
        try await Workshop.with { workshop in
            let launch = try await workshop.launch("sleep 60")
            let folders = workshop.runtime.folders(launch.id)
            let running = try await workshop.runtime.launch(launch)
            switch cut {
            case .recorded, .rootMounted:
                // Take away what came later.
                try await workshop.runtime.kill(launch.id)
                _ = try await workshop.runtime.waitForExit(of: launch.id)
                try await workshop.runtime.runtime(["delete", launch.id.text]).run()
                #expect(workshop.cgroups(of: launch.id).allSatisfy { rmdir($0) == 0 })
                if cut == .recorded {
                    #expect(umount2(folders.root, 0) == 0)
                    try await Command("rm", ["-rf", folders.run]).run()
                } else {
                    for file in [folders.processFile, "\(folders.exits)/\(launch.id)"] { unlink(file) }
                }
                #expect(try await workshop.runtime.inspect(launch.id) == .remains)
            case .created:
                // As created and never started: the runtime's own process waits at its door.
                try await workshop.runtime.kill(launch.id)
                _ = try await workshop.runtime.waitForExit(of: launch.id)
                try await workshop.runtime.runtime(["delete", launch.id.text]).run()
                for file in [folders.processFile, "\(folders.exits)/\(launch.id)"] { unlink(file) }
                let create = workshop.runtime.runtime([
                    "create", "--bundle", folders.run, "--pid-file", folders.pidFile, launch.id.text,
                ])
                // Its outputs would hang on the waiting process.
                let line = ([create.program] + create.arguments).joined(separator: " ")
                try await Command("sh", ["-c", line + " </dev/null >/dev/null 2>&1"]).run()
                #expect(try await workshop.runtime.inspect(launch.id) == .remains)
            case .startedButNotNoted:
                unlink(folders.processFile)
                #expect(try await workshop.runtime.inspect(launch.id) == .running(running))
                unlink(folders.processFile)
                #expect(try await workshop.runtime.launch(launch) == running)
                try await workshop.runtime.kill(launch.id)
                _ = try await workshop.runtime.waitForExit(of: launch.id)
            }
            let next = try await workshop.launch("exit 9", id: launch.id, attempt: "next")
            _ = try await workshop.runtime.launch(next)
            #expect(try await workshop.runtime.waitForExit(of: launch.id).code == 9)
        }
    }

    @Test func aRemovalThatWasCutOff() async throws {
        try await Workshop.with { workshop in
            for leftover in ["state", "run", "group"] {
                let launch = try await workshop.launch("true")
                let folders = workshop.runtime.folders(launch.id)
                switch leftover {
                case "state": try DurableFile.makeFolder(folders.upper + "/x")
                case "run": try DurableFile.makeFolder(folders.exits)
                default:
                    let hierarchy = try #require(try MachineCgroup.hierarchies().first)
                    try DurableFile.makeFolder(hierarchy.point + workshop.runtime.cgroupPath(launch.id) + "/deep")
                }
                #expect(try await workshop.runtime.inspect(launch.id) == .remains)
                try await workshop.runtime.remove(launch.id)
                #expect(try await workshop.runtime.inspect(launch.id) == .absent)
            }
        }
    }

    @Test("What takes a machine apart has the machine's lock, and keeps it when the host's process is gone")
    func lentLock() async throws {
        try await Workshop.with { workshop in
            let (script, mark) = (workshop.folder + "/notes", workshop.folder + "/noted")
            // As `--root FOLDER delete MACHINE`.
            try DurableFile.write(
                "#!/bin/sh\necho $3 $(readlink /proc/$$/fd/0) >> \(mark)\n", to: script, mode: 0o755)
            var configuration = workshop.runtime.configuration
            configuration.runtimeProgram = script
            let runtime = try OCIRuntime(configuration: configuration, images: workshop.images)
            let id = Workshop.newID()
            let folders = runtime.folders(id)
            try DurableFile.makeFolder(folders.runtimeState)
            try await runtime.remove(id)
            let noted = String(decoding: try DurableFile.read(mark) ?? [], as: UTF8.self)
            #expect(noted == "delete \(folders.lock)\n")
        }
    }

    @Test func aMachineWhoseWatcherWasKilled() async throws {
        try await Workshop.with { workshop in
            let launch = try await workshop.launch("sleep 60")
            _ = try await workshop.runtime.launch(launch)
            let watcher = try #require(try workshop.runtime.watcher(launch.id))
            try watcher.signal(SIGKILL)
            guard case .running = try await workshop.runtime.inspect(launch.id) else {
                Issue.record("the machine went down with its watcher")
                return
            }
            try await workshop.runtime.kill(launch.id)
            #expect(await refusal { _ = try await workshop.runtime.waitForExit(of: launch.id) } != nil)
            #expect(try await workshop.runtime.inspect(launch.id) == .remains)
            try await workshop.runtime.remove(launch.id)
            #expect(try await workshop.runtime.inspect(launch.id) == .absent)
        }
    }

    /// Nothing of a launch is left although its runtime never comes to an end: also where conmon was cut off before it
    /// had written down its number.
    @Test(arguments: [true, false]) func aRuntimeThatHangsIsEndedWithItsWatcher(hasNumber: Bool) async throws {
        try await Workshop.with { workshop in
            let script = workshop.folder + "/hangs"
            let mark = workshop.folder + "/pid"
            try DurableFile.write("#!/bin/sh\necho $$ > \(mark)\nexec sleep 600\n", to: script, mode: 0o755)
            var configuration = workshop.runtime.configuration
            configuration.runtimeProgram = script
            let runtime = try OCIRuntime(configuration: configuration, images: workshop.images)
            let id = Workshop.newID()
            let folders = runtime.folders(id)
            for folder in [folders.exits, folders.persistent, folders.state] { try DurableFile.makeFolder(folder) }
            var watcher = runtime.watcher(for: id)
            watcher.startDeadline = .seconds(1)
            #expect(await Self.failure(of: watcher) == "deadline")
            let hanging = try #require(try ProcessIdentity(file: mark))
            let process = try #require(try runtime.watcher(id))
            if !hasNumber { unlink(folders.watcherPidFile) }
            #expect(try runtime.watchers(id) == [process])
            try await runtime.remove(id)
            #expect(try !process.isAlive)
            let ended = try await poll(for: .seconds(5), every: .milliseconds(5)) { try hanging.isAlive ? nil : true }
            #expect(ended == true, "the runtime goes on")
            #expect(try await runtime.inspect(id) == .absent)
        }
    }

    /// What came of its whole work, in a word.
    static func failure(of watcher: Watcher) async -> String {
        await BlockingCall.run {
            let waiting: Watcher.Waiting
            do throws(SystemError) { waiting = try watcher.start() } catch { return "not started: \(error)" }
            do throws(Watcher.Failure) { return "created: \(try waiting.create())" } catch {
                switch error {
                case .system(let error): return "\(error)"
                case .refused(let words): return words
                case .deadline: return "deadline"
                }
            }
        }
    }

    @Test func aLaunchThatCannotSucceedLeavesNothing() async throws {
        try await Workshop.with { workshop in
            var launch = try await workshop.launch("true")
            let usual = launch.config.initial
            launch.config.initial.exec = ["/no/such/program"]
            let missing = await refusal { _ = try await workshop.runtime.launch(launch) }
            #expect(missing?.description.contains("/no/such/program") == true)
            #expect(missing?.isPermanent == true)
            launch.config.initial = usual
            launch.network.attachment = .namespace(path: workshop.folder + "/nowhere")
            let nowhere = await refusal { _ = try await workshop.runtime.launch(launch) }
            #expect(nowhere?.code == .failed)
            launch.config.initial = MachineInit()
            #expect(await refusal { _ = try await workshop.runtime.launch(launch) }?.code == .invalid)
            launch.image = try ImageReference("dir:\(workshop.folder)/nowhere")
            #expect(await refusal { _ = try await workshop.runtime.launch(launch) }?.code == .imageNotFound)
            #expect(try await workshop.runtime.inspect(launch.id) == .absent)
            #expect(try await workshop.runtime.list().isEmpty)
        }
    }
}
