import Glibc
import RoostLinux
import RoostModel
import RoostRuntime
import Testing

@testable import RoostContainers

@Suite(.serialized, .timeLimit(.minutes(4)))
struct RuntimeTests {
    @Test func aMachineStartsEndsAndLeavesNothing() async throws {
        try await Workshop.with { workshop in
            let launch = try await workshop.launch("echo hello from $(cat /proc/sys/kernel/hostname); exit 7")
            #expect(try await workshop.runtime.inspect(launch.id) == .absent)
            let running = try await workshop.runtime.launch(launch)
            #expect(running.attempt == "first" && running.pid > 1)
            let exit = try await workshop.runtime.waitForExit(of: launch.id)
            #expect(exit == MachineExit(code: 7, signal: nil, oomKilled: false))
            #expect(try await workshop.runtime.waitForExit(of: launch.id) == exit)
            #expect(try await workshop.runtime.inspect(launch.id) == .exited(exit, attempt: "first"))
            #expect(try await workshop.runtime.list() == [launch.id])
            #expect(try await workshop.log(launch.id) == "hello from m-\(launch.id)\n")
            #expect(await refusal { _ = try await workshop.runtime.launch(launch) }?.code == .notRunning)

            try await workshop.runtime.remove(launch.id)
            try await workshop.runtime.remove(launch.id)
            try await workshop.runtime.kill(launch.id)
            #expect(try await workshop.runtime.inspect(launch.id) == .absent)
            #expect(try await workshop.runtime.list().isEmpty)
            #expect(workshop.cgroups(of: launch.id).isEmpty)
            #expect(try MountTable.current().mounts.filter { $0.point.contains(launch.id.text) }.isEmpty)
            #expect(try FolderListing.names(in: workshop.run + "/runtime").isEmpty)
            #expect(try FolderListing.names(in: workshop.run + "/locks").isEmpty)
            // The log outlives the machine for a while.
            #expect(try await workshop.runtime.logTail(launch.id, bytesMax: 6) == "\(launch.id.text.suffix(5))\n")
        }
    }

    @Test func signalsAndKill() async throws {
        try await Workshop.with { workshop in
            let script = "trap 'exit 3' INT; trap '' TERM; echo up; while true; do sleep 0.05; done"
            let launch = try await workshop.launch(script)
            _ = try await workshop.runtime.launch(launch)
            #expect(try await workshop.log(launch.id) == "up\n")
            try await workshop.runtime.signal(launch.id, "SIGTERM")
            #expect(await refusal { try await workshop.runtime.signal(launch.id, "SIGNONSENSE") }?.code == .invalid)
            guard case .running = try await workshop.runtime.inspect(launch.id) else {
                Issue.record("an ignored signal ended it")
                return
            }
            try await workshop.runtime.signal(launch.id, "int")
            #expect(
                try await workshop.runtime.waitForExit(of: launch.id)
                    == MachineExit(code: 3, signal: nil, oomKilled: false))
            #expect(await refusal { try await workshop.runtime.signal(launch.id, "TERM") }?.code == .notRunning)

            let second = try await workshop.launch(script, id: launch.id, attempt: "second")
            _ = try await workshop.runtime.launch(second)
            try await workshop.runtime.kill(launch.id)
            #expect(
                try await workshop.runtime.waitForExit(of: launch.id)
                    == MachineExit(code: 137, signal: 9, oomKilled: false))
            #expect(workshop.cgroupFile(launch.id, "cgroup.procs") == "")
        }
    }

    @Test func whoWaitsCanGiveUp() async throws {
        try await Workshop.with { workshop in
            let launch = try await workshop.launch("sleep 60")
            _ = try await workshop.runtime.launch(launch)
            let outcome = await withTaskGroup(of: RuntimeError?.self) { group in
                group.addTask {
                    await refusal { _ = try await workshop.runtime.waitForExit(of: launch.id) }
                }
                group.cancelAll()
                return await group.next() ?? nil
            }
            #expect(outcome?.cause == "cancelled")
            #expect(
                await refusal { _ = try await workshop.runtime.waitForExit(of: Workshop.newID()) }?.code == .notFound)
        }
    }

    @Test func limitsAreInForce() async throws {
        try await Workshop.with { workshop in
            let guest = MachineGuest(cpuKind: .shared, cpus: 2, memoryMebibytes: 128)
            let launch = try await workshop.launch("sleep 60", guest: guest)
            _ = try await workshop.runtime.launch(launch)
            var own = rlimit()
            #expect(getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &own) == 0)
            let openFilesMax = own.rlim_max
            let file = { (name: String) in
                workshop.cgroupFile(launch.id, name)?.trimmingSuffix { $0.isWhitespace }
            }
            if let limit = file("memory.limit_in_bytes") {
                #expect(limit == "\(128 << 20)")
                #expect(file("memory.memsw.limit_in_bytes") ?? limit == limit)
                #expect(file("cpu.shares") == "128")
                #expect(file("cpu.cfs_quota_us") == "200000" && file("cpu.cfs_period_us") == "100000")
            } else {
                #expect(file("memory.max") == "\(128 << 20)" && file("memory.swap.max") == "0")
                #expect(file("cpu.max") == "200000 100000")
            }
            #expect(file("pids.max") == "\(MachineSpec.processesMax)")
            let shm = try await workshop.shell(launch.id, "df -k /dev/shm | tail -n1 | tr -s ' '")
            #expect(shm.split(separator: " ").dropFirst().first == "\(64 << 10)")
            #expect(try await workshop.shell(launch.id, "ulimit -n; ulimit -c") == "\(min(65536, openFilesMax))\n0\n")
        }
    }

    @Test func aMachineThatTakesTooMuchMemoryIsSeenToDieOfIt() async throws {
        try await Workshop.with { workshop in
            let launch = try await workshop.launch("exec tail /dev/zero", guest: .init(memoryMebibytes: 32))
            _ = try await workshop.runtime.launch(launch)
            #expect(
                try await workshop.runtime.waitForExit(of: launch.id)
                    == MachineExit(code: 137, signal: 9, oomKilled: true, memoryKills: 1))
        }
    }

    @Test func privilegesAreDropped() async throws {
        try await Workshop.with { workshop in
            let launch = try await workshop.launch("cat /proc/self/status; sleep 60")
            _ = try await workshop.runtime.launch(launch)
            let status = try await workshop.shell(launch.id, "cat /proc/1/status")
            let values = Dictionary(
                status.split(separator: "\n").map { line in
                    let parts = line.split(separator: "\t", maxSplits: 1)
                    return (String(parts[0]), parts.count == 2 ? String(parts[1]) : "")
                }, uniquingKeysWith: { first, _ in first })
            // Docker's 14 capabilities (`docker run debian grep Cap /proc/1/status`) without bit 13, CAP_NET_RAW, and
            // bit 27, CAP_MKNOD.
            for set in ["CapPrm:", "CapEff:", "CapBnd:"] { #expect(values[set] == "00000000a00405fb") }
            #expect(values["CapInh:"] == "0000000000000000" && values["CapAmb:"] == "0000000000000000")
            #expect(values["NoNewPrivs:"] == "1")
            #expect(values["Seccomp:"] == "2")
            // The same holds for what is executed later.
            let later = try await workshop.shell(launch.id, "grep -E 'Seccomp:|NoNewPrivs|CapEff' /proc/self/status")
            #expect(later == "CapEff:\t00000000a00405fb\nNoNewPrivs:\t1\nSeccomp:\t2\n")

            for forbidden in [
                "mount -t tmpfs none /tmp", "unshare -m true", "unshare -U true", "echo 1 > /proc/sys/vm/swappiness",
                "echo b > /proc/sysrq-trigger", "touch /sys/x", "mknod /tmp/disk b 254 0", "mknod /tmp/null c 1 3",
            ] {
                let result = try await workshop.runtime.execute(
                    launch.id, ExecRequest(command: ["/bin/sh", "-c", forbidden]))
                #expect(result.exitCode != 0, "\(forbidden) was allowed")
            }
            #expect(try await workshop.shell(launch.id, "cat /proc/kcore /proc/keys | wc -c") == "0\n")
        }
    }

    @Test func namespacesAreItsOwn() async throws {
        try await Workshop.with { workshop in
            let launch = try await workshop.launch("exec sleep 60", environment: ["FLY_X": "1", "FROM": "launch"])
            let running = try await workshop.runtime.launch(launch)
            #expect(try await workshop.shell(launch.id, "ls /proc | grep -c '^[0-9]'").isEmpty == false)
            #expect(try await workshop.shell(launch.id, "cat /proc/1/comm") == "roost-init\n")
            #expect(try await workshop.shell(launch.id, "ip -o link | wc -l") == "1\n")
            #expect(try await workshop.shell(launch.id, "echo $FLY_X $FROM $HOSTNAME") == "1 launch m-\(launch.id)\n")
            #expect(try await workshop.shell(launch.id, "cat /etc/hosts").contains("fdaa:0:1::2 m-\(launch.id)\n"))
            for kind in ["pid", "mnt", "uts", "ipc", "net", "cgroup"] {
                let theirs = Self.link("/proc/\(running.pid)/ns/\(kind)")
                #expect(theirs != nil && theirs != Self.link("/proc/self/ns/\(kind)"), "\(kind) is shared")
            }
        }
    }

    private static func link(_ path: String) -> String? {
        var target = [CChar](repeating: 0, count: 256)
        let count = readlink(path, &target, target.count)
        return count > 0 ? String(decoding: target[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) : nil
    }

    @Test func theRootIsThrownAwayAndAVolumeIsNot() async throws {
        try await Workshop.with { workshop in
            let data = workshop.folder + "/data"
            let fixed = workshop.folder + "/fixed"
            try DurableFile.makeFolder(data)
            try DurableFile.makeFolder(fixed)
            let disks = [
                MachineDisk(.folder(path: data), at: "/data/deep"),
                MachineDisk(.folder(path: fixed), at: "/fixed", isReadOnly: true),
            ]
            let script = """
                test -e /mine && exit 10
                touch /mine /bin/new || exit 11
                rm /bin/seq || exit 12
                touch /fixed/x 2>/dev/null && exit 13
                echo more >> /data/deep/file
                """
            let first = try await workshop.launch(script, disks: disks)
            for attempt in ["one", "two"] {
                var launch = first
                launch.attempt = attempt
                _ = try await workshop.runtime.launch(launch)
                #expect(try await workshop.runtime.waitForExit(of: first.id).code == 0)
            }
            try await workshop.runtime.remove(first.id)
            #expect(try DurableFile.read(data + "/file") == Array("more\nmore\n".utf8))
            #expect(access(workshop.root + "/mine", F_OK) != 0 && access(workshop.root + "/bin/seq", F_OK) == 0)
        }
    }

    @Test func anImageOfALayoutRunsAsItsUserWithItsCommand() async throws {
        try await Workshop.with { workshop in
            let image = "oci:" + (try await workshop.makeLayout(tag: "one", extra: "first "))
            var launch = try await workshop.launch("", image: image)
            launch.config.initial = MachineInit()
            _ = try await workshop.runtime.launch(launch)
            #expect(try await workshop.runtime.waitForExit(of: launch.id).code == 0)
            #expect(
                try await workshop.log(launch.id)
                    == "uid=1001(alice) gid=1002(alice) groups=1002(alice),50(staff)\n/tmp\nfirst 1\n")
        }
    }

    @Test func twoMachinesAtOnce() async throws {
        try await Workshop.with { workshop in
            let ids = [Workshop.newID(), Workshop.newID()]
            _ = try await workshop.network()
            let pids = try await withThrowingTaskGroup(of: Int32.self) { group in
                for id in ids {
                    group.addTask {
                        let launch = try await workshop.launch("echo \(id); sleep 60", id: id)
                        return try await workshop.runtime.launch(launch).pid
                    }
                }
                return try await group.reduce(into: Set()) { $0.insert($1) }
            }
            #expect(pids.count == 2)
            for id in ids { #expect(try await workshop.log(id) == "\(id)\n") }
            try await workshop.runtime.kill(ids[0])
            guard case .running = try await workshop.runtime.inspect(ids[1]) else {
                Issue.record("killing one machine ended the other")
                return
            }
        }
    }

    @Test func logsAreBounded() async throws {
        try await Workshop.with(logSizeMax: .mebibytes(1)) { workshop in
            let launch = try await workshop.launch("seq 1 200000; echo the end")
            _ = try await workshop.runtime.launch(launch)
            #expect(try await workshop.runtime.waitForExit(of: launch.id).code == 0)
            let folder = workshop.folder + "/state/logs"
            let isBounded = try await poll(for: .seconds(5)) { () -> Bool? in
                // A file with two names is one file.
                var sizes: [ino_t: Int64] = [:]
                for name in try FolderListing.names(in: folder) {
                    var file = stat()
                    if stat("\(folder)/\(name)", &file) == 0 { sizes[file.st_ino] = Int64(file.st_size) }
                }
                return sizes.values.reduce(0, +) <= 1 << 20 ? true : nil
            }
            #expect(isBounded == true)
            #expect(try await workshop.runtime.logTail(launch.id, bytesMax: 15) == "200000\nthe end\n")
            // A new launch keeps the log of the one before, and the end of the first of a loop.
            for attempt in ["two", "three", "four"] {
                let next = try await workshop.launch("echo \(attempt)", id: launch.id, attempt: attempt)
                _ = try await workshop.runtime.launch(next)
                _ = try await workshop.runtime.waitForExit(of: launch.id)
            }
            let tail = try await workshop.runtime.logTail(launch.id, bytesMax: 100)
            #expect(tail.hasSuffix("200000\nthe end\nthree\nfour\n"))
        }
    }

    @Test func theOlderHalfOfALogCanStillBeRead() async throws {
        try await Workshop.with(logSizeMax: .mebibytes(1)) { workshop in
            // Some 50 bytes a line: the half of 512 KiB is full twice.
            let script = "seq 1 9000; sleep 1; seq 9001 18000; sleep 1; seq 18001 24000; echo end; sleep 60"
            let launch = try await workshop.launch(script)
            _ = try await workshop.runtime.launch(launch)
            let text = try await poll(for: .seconds(20)) {
                let text = try await workshop.runtime.logTail(launch.id, bytesMax: 1 << 20)
                return text.hasSuffix("end\n") ? text : nil
            }
            let numbers = (text ?? "").split(separator: "\n").compactMap { Int($0) }
            let first = try #require(numbers.first)
            #expect(first < 15_000, "only \(numbers.count) lines are left")
            #expect(numbers == Array(first...24_000))
        }
    }

    @Test("Logs go of machines that are gone, the oldest first, and of no other one however old they are")
    func oldLogs() async throws {
        try await Workshop.with { workshop in
            let folder = workshop.folder + "/state/logs"
            var random = SystemRandomNumberGenerator()
            let machines = (0..<OCIRuntime.logsKeptMax + 5).map { _ in MachineID.random(using: &random) }
            // The first is the oldest.
            for (number, machine) in machines.enumerated() {
                for name in ["\(machine).log", "\(machine).log.1"] {
                    try PlainFile.write("a line", to: "\(folder)/\(name)")
                    let time = timespec(tv_sec: 1_000_000 + number, tv_nsec: 0)
                    var both = [time, time]
                    #expect(utimensat(AT_FDCWD, "\(folder)/\(name)", &both, 0) == 0)
                }
            }
            // Stopped: nothing is there but its logs. One that was made meanwhile. One that somebody works on.
            let (stopped, made, held) = (machines[0], machines[1], machines[2])
            try DurableFile.makeFolder(workshop.runtime.folders(made).state)
            let lock = try #require(try FileLock.attempt(workshop.runtime.folders(held).lock))
            await workshop.runtime.forgetLogs(keeping: [stopped])
            let names = Set(try FolderListing.names(in: folder))
            let left = machines.filter { names.contains("\($0).log") && names.contains("\($0).log.1") }
            #expect(left == [stopped, made, held] + machines.dropFirst(5))
            // The rotation of logs has a name of its own beside them.
            #expect(names.allSatisfy { name in left.contains { name.hasPrefix("\($0)") } })
            lock.release()
            await workshop.runtime.forgetLogs(keeping: [stopped])
            #expect(access("\(folder)/\(held).log", F_OK) != 0 && access("\(folder)/\(stopped).log", F_OK) == 0)
            #expect(access(workshop.runtime.folders(held).lock, F_OK) != 0)
            rmdir(workshop.runtime.folders(made).state)
        }
    }
}

extension String {
    func trimmingSuffix(_ isOut: (Character) -> Bool) -> String {
        var text = self[...]
        while let last = text.last, isOut(last) { text = text.dropLast() }
        return String(text)
    }
}
