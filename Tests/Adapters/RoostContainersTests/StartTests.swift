import Glibc
import RoostLinux
import RoostModel
import RoostRuntime
import Synchronization
import Testing

@testable import RoostContainers

/// A machine's network is made while its watcher loads and its root is mounted. Whatever happens meanwhile,
/// nothing runs before the network is there, and nothing half made stays.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct StartTests {
    private static let patience = Duration.seconds(20)

    /// The root is there and conmon waits for its word; nothing more of the machine can come before its network.
    private static func isPrepared(_ machine: MachineID, in workshop: Workshop) -> Bool {
        let folders = workshop.runtime.folders(machine)
        let isMounted = (try? MountTable.current().at(folders.root)) != nil
        return isMounted && (try? workshop.runtime.watchers(machine).isEmpty) == false
    }

    private static func waitUntilPrepared(_ machine: MachineID, in workshop: Workshop) async -> Bool {
        (try? await poll(for: patience, every: .milliseconds(5)) { isPrepared(machine, in: workshop) ? true : nil })
            == true
    }

    @Test func nothingRunsBeforeTheNetworkIsThere() async throws {
        try await Workshop.with { workshop in
            var launch = try await workshop.launch("sleep 60")
            let path = workshop.folder + "/late"
            launch.network.attachment = .namespace(path: path)
            let id = launch.id
            let folders = workshop.runtime.folders(id)
            let seen = Mutex(false)
            let running = try await workshop.runtime.launch(launch) { () throws(RuntimeError) in
                guard await Self.waitUntilPrepared(id, in: workshop) else { return }
                let hasBegun =
                    [folders.bundleFile, folders.runtimeState, folders.pidFile]
                    .contains { (path: String) in access(path, F_OK) == 0 }
                    || !workshop.cgroups(of: id).isEmpty
                seen.withLock { $0 = !hasBegun }
                _ = try? await workshop.network("late")
            }
            #expect(seen.withLock { $0 }, "it was begun without its network")
            var inside = stat()
            var made = stat()
            #expect(stat("/proc/\(running.pid)/ns/net", &inside) == 0 && stat(path, &made) == 0)
            #expect(inside.st_ino == made.st_ino && inside.st_dev == made.st_dev)
            #expect(try workshop.runtime.watcher(id) != nil)
        }
    }

    /// conmon reads the end of its word, finds nothing to run, and ends; the next launch is as any other.
    @Test func theHostsProgramDiesWhileTheWatcherWaits() async throws {
        try await Workshop.with { workshop in
            let id = Workshop.newID()
            _ = try await workshop.network()
            await #expect(processExitsWith: .signal(SIGKILL)) {
                [name = workshop.name as String, id = id.text as String] in
                let workshop = try Workshop(name: name)
                let machine = try MachineID(id)
                let launch = try await workshop.launch("sleep 60", id: machine)
                _ = try await workshop.runtime.launch(launch) { () throws(RuntimeError) in
                    if await Self.waitUntilPrepared(machine, in: workshop) { kill(getpid(), SIGKILL) }
                }
            }
            let runtime = workshop.runtime
            let haveEnded = try await poll(for: Self.patience, every: .milliseconds(5)) {
                try runtime.watchers(id).isEmpty ? true : nil
            }
            #expect(haveEnded == true, "its watcher stayed")
            #expect(try await runtime.inspect(id) == .remains)
            let folders = runtime.folders(id)
            #expect(access(folders.runtimeState, F_OK) != 0 && workshop.cgroups(of: id).isEmpty)
            let next = try await workshop.launch("exit 9", id: id, attempt: "next")
            _ = try await runtime.launch(next)
            #expect(try await runtime.waitForExit(of: id).code == 9)
        }
    }

    /// Removed while a conmon still waits, whose number nobody wrote down.
    @Test func aWatcherThatWaitsIsEndedWithWhatItWaitsFor() async throws {
        try await Workshop.with { workshop in
            let id = Workshop.newID()
            let folders = workshop.runtime.folders(id)
            for folder in [folders.exits, folders.persistent, folders.state] { try DurableFile.makeFolder(folder) }
            let waiting = try workshop.runtime.watcher(for: id).start()
            // It has a number before it has arguments.
            let watchers = try await poll(for: Self.patience, every: .milliseconds(5)) { () -> [ProcessIdentity]? in
                let found = try workshop.runtime.watchers(id)
                return found.isEmpty ? nil : found
            }
            #expect(watchers?.count == 1)
            try await workshop.runtime.remove(id)
            #expect(try watchers?.allSatisfy { try !$0.isAlive } == true)
            #expect(try await workshop.runtime.inspect(id) == .absent)
            waiting.abandon()
        }
    }

    @Test func aNetworkThatCannotBeMadeLeavesNothingButTheLogOfTheLastRun() async throws {
        try await Workshop.with { workshop in
            let launch = try await workshop.launch("echo one; exit 3")
            let id = launch.id
            _ = try await workshop.runtime.launch(launch)
            _ = try await workshop.runtime.waitForExit(of: id)
            #expect(try await workshop.log(id) == "one\n")
            for attempt in 1...3 {
                var next = launch
                next.attempt = "next-\(attempt)"
                let refused = await refusal {
                    _ = try await workshop.runtime.launch(next) { () throws(RuntimeError) in
                        _ = await Self.waitUntilPrepared(id, in: workshop)
                        throw RuntimeError(code: .failed, operation: "attach", subject: "it", cause: "no room")
                    }
                }
                #expect(refused?.cause == "no room")
                #expect(try await workshop.runtime.inspect(id) == .absent)
                #expect(try workshop.runtime.watchers(id).isEmpty)
            }
            #expect(try await workshop.runtime.logTail(id, bytesMax: 100) == "one\n")
        }
    }

    @Test func twoStartsAtOnceAreOne() async throws {
        try await Workshop.with { workshop in
            let launch = try await workshop.launch("sleep 60")
            let attached = Mutex(0)
            let attach: @Sendable () async throws(RuntimeError) -> Void = { attached.withLock { $0 += 1 } }
            async let one = workshop.runtime.launch(launch, attach: attach)
            async let other = workshop.runtime.launch(launch, attach: attach)
            let both = try await [one, other]
            #expect(both[0] == both[1])
            #expect(attached.withLock { $0 } == 1)
        }
    }

    /// Ordered to go while its network is made: the launch comes to its end, and then all of it can go.
    @Test func aLaunchThatIsBrokenOffLeavesWhatCanBeRemoved() async throws {
        try await Workshop.with { workshop in
            let launch = try await workshop.launch("sleep 60")
            let id = launch.id
            let launching = Task {
                try await workshop.runtime.launch(launch) { () throws(RuntimeError) in
                    _ = await Self.waitUntilPrepared(id, in: workshop)
                    // Until it is broken off.
                    let never: Bool? = try? await poll(for: Self.patience, every: .milliseconds(5)) { nil }
                    if never != nil { Issue.record("impossible") }
                }
            }
            #expect(await Self.waitUntilPrepared(id, in: workshop))
            launching.cancel()
            _ = try? await launching.value
            try await workshop.runtime.kill(id)
            try await workshop.runtime.remove(id)
            #expect(try await workshop.runtime.inspect(id) == .absent)
            #expect(try workshop.runtime.watchers(id).isEmpty && workshop.cgroups(of: id).isEmpty)
        }
    }
}
