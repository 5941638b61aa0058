import Glibc
import RoostLinux
import RoostModel
import RoostRuntime
import Testing

@testable import RoostContainers

/// What a machine gets of its host, and how its end is told.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct ConfinementTests {
    @Test func anInitReapsAndHandsOnSignals() async throws {
        try await Workshop.with { workshop in
            let launch = try await workshop.launch("exec sleep 600")
            _ = try await workshop.runtime.launch(launch)
            _ = try await workshop.shell(launch.id, "i=0; while [ $i -lt 200 ]; do (true &); i=$((i+1)); done")
            let reaped = try await poll(for: .seconds(5)) {
                try await workshop.shell(launch.id, "grep -l 'State:.Z' /proc/[0-9]*/status || true").isEmpty
                    ? true : nil
            }
            #expect(reaped == true)
            // A program that is not process 1 ends by a signal that it does not care for.
            try await workshop.runtime.signal(launch.id, "INT")
            #expect(
                try await workshop.runtime.waitForExit(of: launch.id)
                    == MachineExit(code: 130, signal: nil, oomKilled: false))
        }
    }

    @Test("A folder of open files that is listed again and again counts by its longest listing")
    func openFiles() {
        var count = OpenCount(max: 10)
        var seen: [Bool] = []
        count.begin()
        for links in [4, 6, 5, 6] { seen.append(count.see(links)) }
        count.begin()
        for links in [4, 4, 4, 4, 4, 4, 5] { seen.append(count.see(links)) }
        #expect(seen == Array(repeating: true, count: 10) + [false])
    }

    @Test("However long names take, files without one are counted, and the other way round")
    func slowHalves() throws {
        let folder = "/var/tmp/roost-look-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        try DurableFile.makeFolder(folder)
        defer { rmdir(folder) }
        let large = ByteCount.gibibytes(9)
        func take(until end: WalkEnd) {
            while !end.isReached { usleep(1000) }
        }
        func look() -> RootLook { RootLook(within: .seconds(2), from: BootClock.now()) }
        // Names without end: what has none was seen before.
        let names = try look().use(
            nameless: { RootUse(size: large, isDone: !$0.isReached) },
            named: { end throws(SystemError) in
                take(until: end)
                return try FolderUse.measure(folder, namesMax: 10, until: end)
            })
        #expect(names.size >= large && !names.isDone)
        // Open files without end: there is time for the names all the same.
        var sawNames = false
        let open = try look().use(
            nameless: { end in
                take(until: end)
                return RootUse(size: .zero, isDone: false)
            },
            named: { end throws(SystemError) in
                let use = try FolderUse.measure(folder, namesMax: 10, until: end)
                sawNames = use.isDone
                return use
            })
        #expect(sawNames && !open.isDone)
        // Nobody waits any more.
        let over = look()
        over.come()
        let cut = try over.use(
            nameless: { RootUse(size: .zero, isDone: !$0.isReached) },
            named: { end throws(SystemError) in try FolderUse.measure(folder, namesMax: 10, until: end) })
        #expect(!cut.isDone)
    }

    private static let walk = RootWalk(namesMax: 1000, openMax: 1000, time: .seconds(60), isIdle: true)

    @Test("What a machine writes outside of volumes is measured, also where the file has no name any more")
    func rootUse() async throws {
        try await Workshop.with { workshop in
            let script = """
                head -c 4194304 /dev/zero > /tmp/named
                exec 3>/tmp/gone; head -c 8388608 /dev/zero >&3; rm /tmp/gone
                head -c 2097152 /dev/zero > /dev/shm/memory
                touch /tmp/ready; exec sleep 600
                """
            let launch = try await workshop.launch(script)
            #expect(try await workshop.runtime.rootUse(of: launch.id, within: Self.walk) == nil)
            _ = try await workshop.runtime.launch(launch)
            // A file system gives a file its blocks when it writes them.
            let use = try await poll(for: .seconds(20)) { () -> RootUse? in
                guard try await workshop.shell(launch.id, "ls /tmp").contains("ready") else { return nil }
                let use = try await workshop.runtime.rootUse(of: launch.id, within: Self.walk)
                return use.map { $0.size >= .mebibytes(12) } == true ? use : nil
            }
            let found = try #require(use)
            #expect(found.isWhole && found.size < .mebibytes(14))
            #expect(
                try await workshop.runtime.rootUse(
                    of: launch.id, within: RootWalk(namesMax: 3, openMax: 1000, time: .seconds(60), isIdle: false))?
                    .isWhole == false)
            try await workshop.runtime.kill(launch.id)
            let named = try await workshop.runtime.rootUse(of: launch.id, within: Self.walk)
            #expect(named.map { $0.size < .mebibytes(6) } == true)
            try await workshop.runtime.remove(launch.id)
            #expect(try await workshop.runtime.rootUse(of: launch.id, within: Self.walk) == nil)
        }
    }

    @Test("All machines together weigh half of what the host's own work does, and no less when nothing else runs")
    func share() async throws {
        let unified = MachineSlice.weights(isUnified: true, controllers: [])
        #expect(unified.map(\.file) == ["cpu.weight", "io.weight", "io.bfq.weight"])
        #expect(unified.map(\.text) == ["50", "default 50", "50"])
        #expect(MachineSlice.weights(isUnified: false, controllers: ["memory"]).isEmpty)
        #expect(
            MachineSlice.weights(isUnified: false, controllers: ["cpu", "cpuacct"])
                == [.init(file: "cpu.shares", text: "512")])
        try await Workshop.with { workshop in
            let launch = try await workshop.launch("exec sleep 600")
            _ = try await workshop.runtime.launch(launch)
            // Machines are shared out below the group, whatever the runtime makes of it.
            let read = { (point: String, file: String) in
                try DurableFile.read("\(point)\(workshop.cgroupParent)/\(file)").map {
                    String(decoding: $0, as: UTF8.self).split(whereSeparator: \.isWhitespace).joined(separator: " ")
                }
            }
            var found: [String] = []
            for hierarchy in try MachineCgroup.hierarchies() {
                if let text = try read(hierarchy.point, "cpu.shares") { found.append(text) }
                if let text = try read(hierarchy.point, "cpu.weight") { found.append(text) }
                #expect(try read(hierarchy.point, "cpu.max").map { $0.hasPrefix("max") } ?? true)
            }
            #expect(found == ["512"] || found == ["50"], "\(found)")
        }
    }

    @Test(arguments: [130, 137, 143]) func aCodeIsNotTakenForASignal(_ code: Int32) async throws {
        try await Workshop.with { workshop in
            let launch = try await workshop.launch("exit \(code)")
            _ = try await workshop.runtime.launch(launch)
            #expect(
                try await workshop.runtime.waitForExit(of: launch.id)
                    == MachineExit(code: code, signal: nil, oomKilled: false))
        }
    }

    @Test func aChildThatDiesOfMemoryIsNotTheMachine() async throws {
        try await Workshop.with { workshop in
            let launch = try await workshop.launch("tail /dev/zero; exit 3", guest: .init(memoryMebibytes: 32))
            _ = try await workshop.runtime.launch(launch)
            let exit = try await workshop.runtime.waitForExit(of: launch.id)
            #expect(exit.code == 3 && exit.signal == nil && !exit.oomKilled)
            #expect(exit.memoryKills > 0)
        }
    }

    /// Of a command beside it, say. Whether somebody watched, or nobody until it had ended.
    @Test(arguments: [true, false]) func aKillThatTheMachineOutlivedWasNotItsEnd(_ isWatched: Bool) async throws {
        try await Workshop.with { workshop in
            var runtime = workshop.runtime
            runtime.killTimes = MemoryKills.Times(lookInterval: .milliseconds(50), patience: .milliseconds(300))
            let launch = try await workshop.launch("while :; do sleep 600; done", guest: .init(memoryMebibytes: 32))
            _ = try await runtime.launch(launch)
            let folders = runtime.folders(launch.id)
            let id = launch.id
            let watching = Task { [runtime] in isWatched ? try await runtime.waitForExit(of: id) : nil }
            let kills = isWatched ? 2 : 1
            for _ in 0..<kills {
                let command = ExecRequest(command: ["/bin/sh", "-c", "exec tail /dev/zero"])
                #expect(try await runtime.execute(id, command).exitCode != 0)
            }
            let isOld = try await poll(for: .seconds(10)) { () -> Bool? in
                if isWatched { return OCIRuntime.outlivedKills(folders.outlivedKills) >= kills ? true : nil }
                var mark = stat()
                guard stat(folders.memoryMark, &mark) == 0 else { return nil }
                return WallClock.milliseconds() - Int64(mark.st_mtim.tv_sec) * 1000 > 1_500 ? true : nil
            }
            #expect(isOld == true)
            _ = try? await runtime.execute(id, ExecRequest(command: ["/bin/sh", "-c", "kill -9 -1"]))
            let exit: MachineExit
            if let watched = try await watching.value {
                exit = watched
            } else {
                exit = try await runtime.waitForExit(of: id)
            }
            #expect(exit.code == 137 && exit.signal == nil && !exit.oomKilled && exit.memoryKills >= kills, "\(exit)")
        }
    }

    @Test("Of a machine's kills for want of memory the last may be its end, and none that it has outlived")
    func killsAreOutlived() {
        let times = MemoryKills.Times()
        func at(_ seconds: Int) -> Moment { Moment.zero + .seconds(seconds) }
        var kills = MemoryKills(outlived: 0, times)
        // At 107 one more has come, and nobody knows yet who it was.
        let looks = [(0, 0), (0, 100), (1, 102), (1, 106), (2, 107), (2, 111), (2, 112), (2, 120)]
        var learned: [Int] = []
        for (count, time) in looks where kills.look(count, at: at(time)) { learned.append(time) }
        #expect(learned == [112] && kills.outlived == 2)
        func isEnd(_ kills: Int, _ outlived: Int, _ sinceFirst: Duration?) -> Bool {
            MemoryKills.ended(kills: kills, outlived: outlived, sinceFirst: sinceFirst, times)
        }
        #expect(!isEnd(0, 0, nil) && !isEnd(2, 2, .zero) && !isEnd(1, 0, .seconds(20)))
        #expect(
            isEnd(1, 0, nil) && isEnd(1, 0, .milliseconds(3)) && isEnd(3, 2, .seconds(100)) && isEnd(2, 0, .seconds(20))
        )
    }

    @Test func nothingOfTheHostCanBeWrittenTo() async throws {
        try await Workshop.with { workshop in
            let link = workshop.folder + "/link"
            try DurableFile.makeFolder(link)
            let launch = try await workshop.launch("sleep 60", hostLink: .unix(folder: link))
            _ = try await workshop.runtime.launch(launch)
            // Its program is process 1: it brings an init.
            #expect(try await workshop.shell(launch.id, "cat /proc/1/comm") != "roost-init\n")
            for forbidden in ["touch /.roost/x", "echo x > /dev/roost-init"] {
                let result = try await workshop.runtime.execute(
                    launch.id, ExecRequest(command: ["/bin/sh", "-c", forbidden]))
                #expect(result.exitCode != 0, "\(forbidden) was allowed")
            }
            // Its own copies: on the host's disk like all that it writes, not in the host's memory.
            _ = try await workshop.shell(
                launch.id, "for f in hosts hostname resolv.conf; do echo more >> /etc/$f; done")
            #expect(try await workshop.shell(launch.id, "cat /etc/hosts").hasSuffix("more\n"))
            // Nor do they give anybody in the machine the rights of their owner.
            let mounted = try await workshop.shell(launch.id, "cat /proc/self/mounts").split(separator: "\n")
                .map { $0.split(separator: " ") }.filter { $0.count > 3 && $0[1].hasPrefix("/etc/") }
            #expect(mounted.count == MachineSpec.etcFiles.count)
            for mount in mounted {
                let options = mount[3].split(separator: ",")
                #expect(options.contains("nosuid") && options.contains("nodev") && options.contains("rw"), "\(mount)")
            }
            let folders = workshop.runtime.folders(launch.id)
            // And on the host nobody but root comes to them.
            var folder = folders.etc
            var keepsOut = false
            while folder.count > 1 {
                var status = stat()
                try #require(lstat(folder, &status) == 0)
                if status.st_uid == 0, status.st_mode & 0o077 == 0 { keepsOut = true }
                folder = String(folder[..<(folder.lastIndex(of: "/") ?? folder.startIndex)])
            }
            #expect(keepsOut, "\(folders.etc)")
            #expect(try FolderListing.names(in: folders.etc) == ["hostname", "hosts", "resolv.conf"])
            for name in try FolderListing.names(in: folders.run) { #expect(!MachineSpec.etcFiles.contains(name)) }
        }
    }

    @Test func noFileOfAMachineGivesAnybodyOnTheHostItsRights() async throws {
        try await Workshop.with { workshop in
            let launch = try await workshop.launch("sleep 60")
            _ = try await workshop.runtime.launch(launch)
            var filesystem = statvfs()
            #expect(statvfs(workshop.runtime.folders(launch.id).root, &filesystem) == 0)
            #expect(filesystem.f_flag & UInt(ST_NOSUID) != 0)
            for folder in [workshop.folder + "/state", workshop.run] {
                var file = stat()
                #expect(stat(folder, &file) == 0 && file.st_mode & 0o777 == 0o700)
            }
        }
    }

    @Test(arguments: ["pipe", "device"]) func aSpecialFileInAnImageHoldsNobodyUp(_ kind: String) async throws {
        try await Workshop.with { workshop in
            let passwd = workshop.root + "/etc/passwd"
            unlink(passwd)
            // Whoever opens a pipe waits for a writer; whoever reads this device reads for ever.
            let made = kind == "pipe" ? mkfifo(passwd, 0o644) : mknod(passwd, S_IFCHR | 0o644, dev_t(1 << 8 | 5))
            #expect(made == 0)
            let launch = try await workshop.launch("true")
            let began = BootClock.now()
            let error = await refusal { _ = try await workshop.runtime.launch(launch) }
            #expect(error?.code == .imageInvalid && error?.isPermanent == true)
            #expect(BootClock.now() - began < .seconds(10))
        }
    }

    /// The runtime makes files of its own there, and goes there by name.
    @Test("A link of an image at a place to mount at leads nobody out of the root", arguments: ["dev", "proc", "sys"])
    func linksWhereTheRuntimeMounts(_ name: String) async throws {
        try await Workshop.with { workshop in
            let canary = workshop.folder + "/canary"
            try DurableFile.makeFolder(canary)
            try DurableFile.write("precious", to: canary + "/ptmx", mode: 0o644)
            let up = String(repeating: "../", count: 20)
            for target in [up + canary.dropFirst(), canary, "missing", "tmp", name] {
                try await Command("sh", ["-c", "rm -rf \(workshop.root)/\(name)"]).run()
                try #require(symlink(target, "\(workshop.root)/\(name)") == 0)
                let launch = try await workshop.launch("sleep 60")
                let refused = await refusal { _ = try await workshop.runtime.launch(launch) }
                #expect(refused?.isPermanent == true, "\(target): \(String(describing: refused))")
                #expect(refused?.cause.hasPrefix("/\(name) in the image dir:") == true, "\(refused?.cause ?? "")")
                #expect(try FolderListing.names(in: canary) == ["ptmx"])
                #expect(try DurableFile.read(canary + "/ptmx") == Array("precious".utf8))
            }
        }
    }

    @Test("A program that is a link to itself is the image's fault, and not tried again")
    func aProgramThatIsALinkToItself() async throws {
        try await Workshop.with { workshop in
            try await Command("rm", ["-f", workshop.root + "/bin/sh"]).run()
            try #require(symlink("sh", workshop.root + "/bin/sh") == 0)
            let launch = try await workshop.launch("true")
            let refused = await refusal { _ = try await workshop.runtime.launch(launch) }
            #expect(refused?.isPermanent == true && refused?.cause.hasPrefix("/bin/sh in the image") == true)
        }
    }

    @Test func aFreshVolumeLooksLikeTheImagesFolder() async throws {
        try await Workshop.with { workshop in
            let volume = workshop.folder + "/volume"
            let other = workshop.folder + "/other"
            for folder in [volume, other, workshop.root + "/data"] { try DurableFile.makeFolder(folder) }
            #expect(chown(workshop.root + "/data", 70, 71) == 0 && chmod(workshop.root + "/data", 0o700) == 0)
            let disks = [
                MachineDisk(.folder(path: volume), at: "/data"), MachineDisk(.folder(path: other), at: "/new"),
            ]
            let launch = try await workshop.launch("stat -c '%u %g %a' /data /new", disks: disks)
            _ = try await workshop.runtime.launch(launch)
            _ = try await workshop.runtime.waitForExit(of: launch.id)
            #expect(try await workshop.log(launch.id) == "70 71 700\n0 0 755\n")
            // One that is used belongs to whom it belongs.
            #expect(chown(volume, 5, 5) == 0)
            try DurableFile.write("", to: volume + "/file")
            let next = try await workshop.launch("stat -c '%u %g' /data", id: launch.id, attempt: "next", disks: disks)
            _ = try await workshop.runtime.launch(next)
            _ = try await workshop.runtime.waitForExit(of: launch.id)
            #expect(try await workshop.runtime.logTail(launch.id, bytesMax: 100).hasSuffix("5 5\n"))
        }
    }

    @Test func aWatcherThatHangsIsEndedAtItsDeadline() async throws {
        var watcher = Watcher(program: "sleep", arguments: ["600"], directory: "/tmp")
        watcher.startDeadline = .milliseconds(300)
        let began = BootClock.now()
        #expect(await RecoveryTests.failure(of: watcher) == "deadline")
        #expect(BootClock.now() - began < .seconds(10))
    }
}
