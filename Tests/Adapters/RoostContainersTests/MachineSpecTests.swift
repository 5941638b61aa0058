import Glibc
import RoostLinux
import RoostModel
import RoostRuntime
import Testing

@testable import RoostContainers

struct MachineSpecTests {
    private func spec(
        initial: MachineInit = .init(), guest: MachineGuest = .init(), user: ImageUser = .root,
        config: [String: String] = [:], launch: [String: String] = [:], disks: [MachineDisk] = [],
        hostLink: HostLink? = nil
    ) throws -> MachineSpec {
        let id = try MachineID("0123456789abcd")
        return MachineSpec(
            launch: MachineLaunch(
                id: id, attempt: "a", hostname: "name", image: try ImageReference("dir:/image"),
                config: MachineConfig(image: "dir:/image", guest: guest, environment: config, initial: initial),
                environment: launch, disks: disks, hostLink: hostLink,
                network: MachineNetwork(.namespace(path: "/run/netns/x"), address: try IPv6Address("fdaa:0:1::2"))),
            image: UnpackedImage(
                digest: "sha256:0", rootPath: "/image", entrypoint: ["/entry"], command: ["one", "two"],
                environment: ["A=image", "B=image", "C=image", "EMPTY="], workingDirectory: "/w", user: "",
                stopSignal: nil),
            user: user, folders: MachineFolders(id, .init(stateFolder: "/s", runFolder: "/r", cgroupParent: "/c")),
            cgroup: "/c/m", limitsSwap: true, openFilesMax: 4096, initProgram: "/usr/bin/tini-static")
    }

    @Test func execReplacesAllAndTheOthersTheirPart() throws {
        #expect(try spec().arguments() == ["/entry", "one", "two"])
        #expect(try spec(initial: .init(exec: ["/x", "y"])).arguments() == ["/x", "y"])
        #expect(try spec(initial: .init(entrypoint: ["/e"])).arguments() == ["/e", "one", "two"])
        #expect(try spec(initial: .init(cmd: ["c"])).arguments() == ["/entry", "c"])
        #expect(try spec(initial: .init(exec: ["/x"], entrypoint: ["/e"], cmd: ["c"])).arguments() == ["/x"])
        for wrong in [MachineInit(entrypoint: [], cmd: []), MachineInit(exec: [""]), MachineInit(exec: ["a\0b"])] {
            #expect(throws: RuntimeError.self) { try spec(initial: wrong).arguments() }
        }
    }

    @Test func theLastWordOnAVariableCounts() throws {
        let environment = try spec(config: ["B": "config", "C": "config"], launch: ["C": "launch"]).environment()
        #expect(environment == ["A=image", "B=config", "C=launch", "EMPTY=", "HOSTNAME=name"])
        for wrong in ["", "A=B", "A\0"] {
            #expect(throws: RuntimeError.self) { try spec(config: [wrong: "x"]).environment() }
        }
        #expect(throws: RuntimeError.self) {
            try spec(launch: ["A": String(repeating: "x", count: MachineSpec.variableBytesMax)]).environment()
        }
    }

    @Test(
        arguments: [
            (MachineGuest.CPUKind.shared, 1, 64), (.shared, 8, 512), (.performance, 1, 1024), (.performance, 4, 4096),
        ] as [(MachineGuest.CPUKind, Int, UInt64)])
    func cpuSharesFollowTheKind(kind: MachineGuest.CPUKind, cpus: Int, shares: UInt64) throws {
        let resources = try spec(guest: .init(cpuKind: kind, cpus: cpus)).make().linux.resources
        #expect(resources.cpu.shares == shares)
        #expect(resources.cpu.quota == Int64(cpus) * 100_000)
    }

    @Test(arguments: [(64, 64), (256, 128), (512, 256), (8192, 256)])
    func sharedMemoryIsBounded(memory: Int, expected: Int) throws {
        #expect(try spec(guest: .init(memoryMebibytes: memory)).sharedMemory == .mebibytes(expected))
    }

    @Test func onlyRootHasCapabilities() throws {
        #expect(try spec().make().process.capabilities.effective == MachineSpec.capabilities)
        let other = try spec(user: .init(uid: 5, gid: 5, additionalGids: [])).make().process.capabilities
        #expect(other.effective.isEmpty && other.permitted.isEmpty && other.bounding == MachineSpec.capabilities)
        #expect(try spec().make().process.rlimits.first?.hard == 4096)
    }

    @Test func anInitIsProcess1UnlessTheMachineBringsOne() throws {
        #expect(try spec().make().process.args == ["/dev/roost-init", "--", "/entry", "one", "two"])
        #expect(try spec(hostLink: .unix(folder: "/link")).make().process.args == ["/entry", "one", "two"])
    }

    @Test func programsOfOtherArchitecturesHaveNoFilterToHideBehind() throws {
        let profile = try spec().make().linux.seccomp
        #expect(profile.architectures.count == 1)
        #expect(!profile.syscalls.contains { $0.names.contains("socketcall") })
    }

    @Test(arguments: ["relative", "/", "//", "/a/../../etc", "/.."])
    func wrongPlacesForABindAreRefused(target: String) throws {
        let disk = MachineDisk(.folder(path: "/host"), at: target)
        #expect(throws: RuntimeError.self) { try spec(disks: [disk]).make() }
    }

    @Test(
        "Nothing that is mounted gives anybody rights by a file of the machine's, nor a device but where its own are made"
    )
    func mountOptions() throws {
        let disks = [
            MachineDisk(.folder(path: "/host"), at: "/data"),
            MachineDisk(.folder(path: "/other"), at: "/read", isReadOnly: true),
        ]
        let mounts = try spec(disks: disks, hostLink: .unix(folder: "/link")).make().mounts
        let places = mounts.map(\.destination)
        for place in ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/data", "/read", HostLink.place] {
            #expect(places.contains(place))
        }
        for mount in mounts {
            #expect(mount.options.contains("nosuid"), "\(mount)")
            #expect(mount.options.contains("nodev") != ["/dev", "/dev/pts"].contains(mount.destination), "\(mount)")
        }
        #expect(mounts.first { $0.destination == "/read" }?.options.contains("ro") == true)
    }

    @Test("A list of users that the host could not read now is no fault of the image")
    func unreadable() {
        let error = { (code: Int32) in ImageUser.unreadable(SystemError("open", "x", code: code), "/etc/passwd", "i") }
        for code in [EMFILE, ENOMEM, EIO] { #expect(error(code).code == .failed) }
        for code in [EINVAL, EFBIG, ELOOP] { #expect(error(code).isPermanent) }
    }

    @Test func aUserIsFoundByNameAndNumber() throws {
        let passwd = [
            ["root", "x", "0", "0", "", "/root", "/bin/sh"], ["pg", "x", "101", "103", "", "/", ""], ["bad"],
        ]
        let groups = [["root", "x", "0", ""], ["pg", "x", "103", ""], ["ssl", "x", "104", "other,pg"], ["bad"]]
        let find = { (text: String) in try ImageUser(text, passwd: passwd, groups: groups, image: "i") }
        #expect(try find("") == .root)
        #expect(try find("pg") == ImageUser(uid: 101, gid: 103, additionalGids: [104]))
        #expect(try find("101") == ImageUser(uid: 101, gid: 103, additionalGids: [104]))
        #expect(try find("pg:ssl") == ImageUser(uid: 101, gid: 104, additionalGids: []))
        #expect(try find("7:8") == ImageUser(uid: 7, gid: 8, additionalGids: []))
        #expect(try find("7") == ImageUser(uid: 7, gid: 0, additionalGids: []))
        // A number that cannot be one is never taken for root's.
        let odd = [["odd", "x", "12", "4294967296"], ["large", "x", "4294967295", "0"], ["word", "x", "12x", "0"]]
        for wrong in ["odd", "large", "word"] {
            #expect(throws: RuntimeError.self) { try ImageUser(wrong, passwd: odd, groups: groups, image: "i") }
        }
        for wrong in [
            "nobody", "pg:nobody", "-1", "+0", " 0", "0x0", "99999999999", "4294967295", "2147483648",
            "1000:4294967295", "1000:2147483648",
        ] {
            #expect(throws: RuntimeError.self) { try find(wrong) }
        }
    }

    @Test func whatStandsInAPathDoesNotReachTheMountOptions() {
        #expect(OCIRuntime.escape("/a:b,c\\d") == "/a\\:b\\,c\\\\d")
    }

    @Test(arguments: [("SIGTERM", 15), ("term", 15), ("9", 9), ("sigusr1", 10)] as [(String, Int32)])
    func signalsHaveNames(name: String, number: Int32) { #expect(Signal.number(name) == number) }

    @Test(arguments: ["", "SIG", "0", "65", "-9", "KILLALL"])
    func wrongSignalsHaveNone(name: String) { #expect(Signal.number(name) == nil) }

    @Test func aLogIsReadWithoutItsForm() {
        let raw = """
            t in the middle
            2026-01-01T00:00:00.0+00:00 stdout F one line
            2026-01-01T00:00:00.0+00:00 stdout P half 
            2026-01-01T00:00:00.0+00:00 stderr F a line
            2026-01-01T00:00:00.0+00:00 stdout F 

            """
        #expect(OCIRuntime.plain(Array(raw.utf8)) == Array("one line\nhalf a line\n\n".utf8))
    }

    @Test func crunIsUsedWhereItWorks() async {
        #expect(RuntimeProbe.judge("crun", version: "1.8", mode: .unified).isUsable)
        #expect(!RuntimeProbe.judge("crun", version: "1.8", mode: .legacy).isUsable)
        #expect(RuntimeProbe.judge("runc", version: "1.1", mode: .legacy).isUsable)
        #expect(!RuntimeProbe.judge("runc", version: nil, mode: .unified).isUsable)
        #expect(!RuntimeProbe.judge("runc", version: "1.1", mode: .missing).isUsable)
        let hybrid = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"
        #expect(RuntimeProbe.cgroupMode(MountTable(mountinfo: hybrid)) == .unified)
        let legacy = hybrid + "\n35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
        #expect(RuntimeProbe.cgroupMode(MountTable(mountinfo: legacy)) == .legacy)
        #expect(RuntimeProbe.cgroupMode(MountTable(mountinfo: "")) == .missing)
        #expect(await RuntimeProbe.probe().chosen != nil)
    }

    @Test func theRuntimeThatStartedAHostsMachinesIsKept() {
        let both = ["crun", "runc"].map { RuntimeProbe.judge($0, version: "1", mode: .unified) }
        let newHost = RuntimeProbe(findings: both, cgroupMode: .unified)
        #expect(newHost.choice(after: nil) == "crun")
        #expect(newHost.choice(after: "runc") == "runc")
        let legacy = RuntimeProbe(
            findings: ["crun", "runc"].map { RuntimeProbe.judge($0, version: "1", mode: .legacy) }, cgroupMode: .legacy)
        #expect(legacy.choice(after: "crun") == "runc")
    }
}
