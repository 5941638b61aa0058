import Glibc
import RoostLinux
import RoostModel
import RoostRuntime
import Testing

@testable import RoostContainers

/// What could not be read is not what is not there: whoever takes the one for the other lets a machine run on. Files
/// that point to themselves stand here for those that cannot be opened (ELOOP for EMFILE: root may read all others).
@Suite(.serialized, .timeLimit(.minutes(3)))
struct SightTests {
    private func isUnseen(_ path: String) -> Bool { symlink(path, path) == 0 }

    @Test func aMachineThatCannotBeSeenIsNotGone() async throws {
        try await Workshop.with { workshop in
            let runtime = workshop.runtime
            let id = Workshop.newID()
            let folders = runtime.folders(id)
            #expect(await runtime.began(id) == .nothing)
            try DurableFile.makeFolder(folders.run)
            #expect(await runtime.began(id) == .nothing)
            #expect(isUnseen(folders.processFile))
            #expect(await runtime.began(id) == .unknown)
            #expect(await refusal { try await runtime.kill(id) }?.code == .failed)
            unlink(folders.processFile)
            #expect(await runtime.began(id) == .nothing)
            try await runtime.kill(id)
        }
    }

    @Test("What cannot be looked at is neither absent nor removed")
    func unseenFolders() async throws {
        try await Workshop.with { workshop in
            let runtime = workshop.runtime
            let id = Workshop.newID()
            #expect(try await runtime.inspect(id) == .absent)
            let place = runtime.folders(id).runtimeState
            try DurableFile.makeFolder(runtime.configuration.runtimeRoot)
            #expect(isUnseen(place))
            #expect(await refusal { _ = try await runtime.inspect(id) }?.code == .failed)
            #expect(await refusal { try await runtime.remove(id) }?.code == .failed)
            unlink(place)
            #expect(try await runtime.inspect(id) == .absent)
            try await runtime.remove(id)
        }
    }

    @Test func aMachineWhoseFilesCannotBeReadIsNotTakenForItsRemains() async throws {
        try await Workshop.with { workshop in
            let launch = try await workshop.launch("exec sleep 600")
            let running = try await workshop.runtime.launch(launch)
            let folders = workshop.runtime.folders(launch.id)
            for file in [folders.record, folders.processFile] {
                #expect(rename(file, file + ".aside") == 0 && isUnseen(file))
                #expect(await refusal { _ = try await workshop.runtime.inspect(launch.id) }?.code == .failed)
                // Nor is it taken apart for its next launch.
                #expect(await refusal { _ = try await workshop.runtime.launch(launch) }?.code == .failed)
                #expect(rename(file + ".aside", file) == 0)
            }
            #expect(try await workshop.runtime.inspect(launch.id) == .running(running))
            guard case .running = await workshop.runtime.began(launch.id) else {
                Issue.record("it runs")
                return
            }
            // Its end is ordered all the same, by its group, and is not confirmed.
            #expect(rename(folders.processFile, folders.processFile + ".aside") == 0 && isUnseen(folders.processFile))
            #expect(await refusal { try await workshop.runtime.kill(launch.id) }?.code == .failed)
            #expect(rename(folders.processFile + ".aside", folders.processFile) == 0)
            #expect(try await workshop.runtime.waitForExit(of: launch.id).code == OCIRuntime.codeKilled)
            // Nor is it said what it ended by, where that cannot be read.
            for mark in [folders.killedMark, folders.persistent + "/oom"] {
                unlink(mark)
                #expect(isUnseen(mark))
                #expect(await refusal { _ = try await workshop.runtime.inspect(launch.id) }?.code == .failed)
                unlink(mark)
            }
        }
    }

    @Test("A machine that its runtime cannot say anything of runs while its group has processes")
    func silentRuntime() async throws {
        try await Workshop.with { workshop in
            let script = workshop.folder + "/fails"
            try DurableFile.write("#!/bin/sh\necho too many open files >&2\nexit 1\n", to: script, mode: 0o755)
            var configuration = workshop.runtime.configuration
            configuration.runtimeProgram = script
            let silent = try OCIRuntime(configuration: configuration, images: workshop.images)
            let launch = try await workshop.launch("exec sleep 600")
            let running = try await workshop.runtime.launch(launch)
            // Cut off before it was written down who the first process is.
            unlink(workshop.runtime.folders(launch.id).processFile)
            #expect(await refusal { _ = try await silent.inspect(launch.id) }?.code == .failed)
            #expect(await refusal { _ = try await silent.launch(launch) }?.code == .failed)
            #expect(try await workshop.runtime.inspect(launch.id) == .running(running))
            unlink(workshop.runtime.folders(launch.id).processFile)
            let watcher = try #require(try workshop.runtime.watcher(launch.id))
            try watcher.signal(SIGKILL)
            try await silent.kill(launch.id)
            #expect(try await silent.inspect(launch.id) == .remains)
        }
    }

    @Test(
        "A command whose machine has ended before it was begun found none that runs, though it was started anew since")
    func endedMeanwhile() async throws {
        try await Workshop.with { workshop in
            let (launch, other) = (
                try await workshop.launch("exec sleep 600"), try await workshop.launch("exec sleep 600")
            )
            for each in [launch, other] { _ = try await workshop.runtime.launch(each) }
            let (file, next) = (
                workshop.runtime.folders(launch.id).processFile, workshop.runtime.folders(other.id).processFile
            )
            let script = workshop.folder + "/ended"
            try DurableFile.write(
                "#!/bin/sh\nmv \(file) \(file).aside && cp \(next) \(file)\nexit 1\n", to: script, mode: 0o755)
            var configuration = workshop.runtime.configuration
            configuration.runtimeProgram = script
            let runtime = try OCIRuntime(configuration: configuration, images: workshop.images)
            let refused = await refusal {
                _ = try await runtime.execute(launch.id, ExecRequest(command: ["true"]))
            }
            #expect(refused?.code == .notRunning)
            #expect(rename(file + ".aside", file) == 0)
        }
    }

    @Test("A command that is cut off because all that is in its machine is being ended found none that runs")
    func endingMeanwhile() async throws {
        try await Workshop.with { workshop in
            let launch = try await workshop.launch("exec sleep 600")
            _ = try await workshop.runtime.launch(launch)
            let (script, mark) = (workshop.folder + "/cut-off", workshop.folder + "/begun")
            try DurableFile.write(
                "#!/bin/sh\necho 'exec failed: unable to start container process: read init-p: connection reset by peer' >&2\n"
                    + "touch \(mark)\nexit 1\n", to: script, mode: 0o755)
            var configuration = workshop.runtime.configuration
            configuration.runtimeProgram = script
            let runtime = try OCIRuntime(configuration: configuration, images: workshop.images)
            async let refused = refusal {
                _ = try await runtime.execute(launch.id, ExecRequest(command: ["true"]))
            }
            let isBegun = try await poll(for: .seconds(20)) { access(mark, F_OK) == 0 ? true : nil }
            #expect(isBegun == true)
            try await workshop.runtime.kill(launch.id)
            #expect(await refused?.code == .notRunning)
        }
    }

    @Test("Words of the runtime about a process that is gone are not left alone; all others are its own")
    func words() {
        for lost in [
            "runc create failed: unable to start container process: error during container init: %!w(<nil>)",
            "can't get final child's PID from pipe: EOF", "read init-p: connection reset by peer",
        ] {
            let told = RuntimeWords.explained(lost)
            #expect(told.hasPrefix("its process was ended before the program began") && told.contains(lost), "\(told)")
        }
        let plain = "exec: \"nothing\": executable file not found in $PATH"
        #expect(RuntimeWords.explained(plain) == plain)
    }

    @Test("What is wrong with a volume is not said to be the image's fault, nor held against it")
    func volumeOrImage() async throws {
        try await Workshop.with { workshop in
            let circle = workshop.folder + "/circle"
            #expect(isUnseen(circle))
            let broken = try await workshop.launch(
                "exec sleep 600", disks: [MachineDisk(.folder(path: circle), at: "/data")])
            let ofVolume = try #require(await refusal { _ = try await workshop.runtime.launch(broken) })
            #expect(ofVolume.code == .failed && !ofVolume.isPermanent)
            #expect(ofVolume.description.contains("its volume at /data") && !ofVolume.description.contains("image"))
        }
    }

    @Test func aGroupThatCannotBeReadIsNotEmpty() throws {
        let folder = "/tmp/roost-sight-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        let hierarchies = ["a", "b"].map {
            MachineCgroup.Hierarchy(point: "\(folder)/\($0)", isUnified: false, controllers: ["memory"])
        }
        let group = MachineCgroup(path: "/machine", hierarchies: hierarchies)
        defer {
            for file in ["a/machine/below/cgroup.procs", "b/machine/cgroup.procs"] { unlink("\(folder)/\(file)") }
            for place in ["a/machine/below", "a/machine", "b/machine", "a", "b"] { rmdir("\(folder)/\(place)") }
            rmdir(folder)
        }
        // Nothing is there.
        #expect(try group.processes().isEmpty)
        #expect(try group.killRound() == false)
        for place in ["a/machine/below", "b/machine"] { try DurableFile.makeFolder("\(folder)/\(place)") }
        #expect(try group.processes().isEmpty)
        #expect(isUnseen("\(folder)/a/machine/below/cgroup.procs"))
        #expect(throws: SystemError.self) { try group.processes() }
        #expect(throws: SystemError.self) { try group.killRound() }
        // Those that are seen are ended all the same.
        var child: pid_t = 0
        var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("sleep"), strdup("600"), nil]
        defer { for argument in arguments { free(argument) } }
        #expect(posix_spawnp(&child, "sleep", nil, nil, &arguments, environ) == 0)
        try DurableFile.write("\(child)\n", to: "\(folder)/b/machine/cgroup.procs")
        #expect(throws: SystemError.self) { try group.killRound() }
        var status: Int32 = 0
        #expect(waitpid(child, &status, 0) == child && status & 0x7f == SIGKILL)
    }

    @Test("A group that cannot be looked at is not absent")
    func unseenGroup() throws {
        let folder = "/tmp/roost-sight-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        let group = MachineCgroup(
            path: "/machine",
            hierarchies: ["a", "b"].map { .init(point: "\(folder)/\($0)", isUnified: false, controllers: ["memory"]) })
        defer {
            unlink("\(folder)/a/machine")
            for place in ["b/machine", "a", "b"] { rmdir("\(folder)/\(place)") }
            rmdir(folder)
        }
        for place in ["a", "b"] { try DurableFile.makeFolder("\(folder)/\(place)") }
        #expect(try !group.isThere)
        #expect(isUnseen("\(folder)/a/machine"))
        #expect(throws: SystemError.self) { try group.isThere }
        // The other one says enough.
        try DurableFile.makeFolder("\(folder)/b/machine")
        #expect(try group.isThere)
    }

    @Test("A part of a group that cannot be looked at may have processes")
    func unseenPart() async throws {
        let folder = "/tmp/roost-sight-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        // So long that a name below it is too long to be looked up (PATH_MAX), and its own files are not.
        let fill = String(repeating: "d", count: 200)
        var point = folder
        while point.utf8.count < Int(PATH_MAX) - 250 { point += "/" + fill }
        try DurableFile.makeFolder(point + "/machine")
        let group = MachineCgroup(
            path: "/machine", hierarchies: [.init(point: point, isUnified: true, controllers: [])])
        #expect(try group.processes().isEmpty)
        let place = open(point + "/machine", O_RDONLY | O_DIRECTORY)
        #expect(mkdirat(place, String(repeating: "e", count: 255), 0o700) == 0)
        close(place)
        #expect((point + "/machine").utf8.count + 256 >= Int(PATH_MAX))
        #expect(throws: SystemError.self) { try group.processes() }
        try await Command("rm", ["-rf", "--one-file-system", folder]).run()
    }

    @Test func aComputerWithoutControlGroupsRunsNoMachines() throws {
        let bare = MountTable(mountinfo: "25 1 0:23 / /proc rw - proc proc rw\n")
        #expect(throws: SystemError.self) { try MachineCgroup.hierarchies(in: bare) }
        let unified = MountTable(mountinfo: "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
        #expect(try MachineCgroup.hierarchies(in: unified).map(\.point) == ["/sys/fs/cgroup"])
    }
}
