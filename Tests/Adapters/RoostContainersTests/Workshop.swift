import Glibc
import RoostContainers
import RoostImages
import RoostLinux
import RoostModel
import RoostRuntime
import Testing

/// A host's worth of folders for one test: a small root filesystem made of this computer's own programs, an image
/// store, a runtime, network namespaces. Everything is taken down at the end.
struct Workshop: Sendable {
    let folder: String
    let run: String
    let cgroupParent: String
    let images: OCIImageStore
    let runtime: OCIRuntime

    var root: String { folder + "/rootfs" }

    static let programs = [
        "sh", "sleep", "cat", "ls", "id", "dd", "head", "tail", "grep", "env", "touch", "mkdir", "df", "unshare",
        "mount", "setsid", "yes", "true", "seq", "stat", "uname", "mknod", "chroot", "wc", "tr", "pwd", "ip", "cp",
        "rm", "nproc",
    ]

    static func with(logSizeMax: ByteCount = .mebibytes(8), _ body: (Workshop) async throws -> Void) async throws {
        var generator = SystemRandomNumberGenerator()
        let name = "\(getpid())-\(String(UInt32.random(in: .min ... .max, using: &generator), radix: 36))"
        let workshop = try Workshop(name: name, logSizeMax: logSizeMax)
        var failure: (any Error)?
        do {
            try await workshop.makeRoot()
            try await body(workshop)
        } catch { failure = error }
        try await workshop.takeDown()
        if let failure { throw failure }
    }

    /// - Parameter name: of an existing workshop to see it through the eyes of another process.
    init(name: String, logSizeMax: ByteCount = .mebibytes(8)) throws {
        folder = "/var/tmp/roost-machines-test-\(name)"
        run = "/run/roost-test-\(name)"
        cgroupParent = "/roost-test-\(name)"
        images = OCIImageStore(directory: folder + "/images", folders: ImageFolders(allowed: [folder]))
        runtime = try OCIRuntime(
            configuration: .init(
                stateFolder: folder + "/state", runFolder: run, cgroupParent: cgroupParent, logSizeMax: logSizeMax),
            images: images)
    }

    var name: String { String(folder.dropFirst("/var/tmp/roost-machines-test-".count)) }

    private func makeRoot() async throws {
        for part in ["bin", "etc", "tmp", "proc", "dev", "sys", "lib", "root"] {
            try DurableFile.makeFolder("\(root)/\(part)")
        }
        let script = """
            for program in \(Self.programs.joined(separator: " ")); do
                path=$(command -v $program) || exit 1
                cp -L $path \(root)/bin/
                for library in $(ldd $path | grep -o '/[^ ]*'); do
                    mkdir -p \(root)$(dirname $library); cp -nL $library \(root)$library
                done
            done
            chmod 1777 \(root)/tmp
            """
        try await Command("sh", ["-c", script]).run()
        try DurableFile.write(
            "root:x:0:0:root:/root:/bin/sh\nalice:x:1001:1002::/home:/bin/sh\n", to: root + "/etc/passwd", mode: 0o644)
        try DurableFile.write(
            "root:x:0:\nalice:x:1002:\nstaff:x:50:alice\n", to: root + "/etc/group", mode: 0o644)
    }

    private func takeDown() async throws {
        for machine in (try? await runtime.list()) ?? [] {
            do {
                try await runtime.kill(machine)
                try await runtime.remove(machine)
            } catch { Issue.record(error) }
        }
        for mount in try MountTable.current().mounts where mount.point.hasPrefix(folder + "/") {
            umount2(mount.point, Int32(MNT_DETACH))
        }
        #expect(cgroups(of: nil).allSatisfy { rmdir($0) == 0 })
        try await Command("rm", ["-rf", "--one-file-system", folder, run]).run()
    }

    /// A new network namespace with the loopback up.
    func network(_ name: String = "net") async throws -> MachineNetwork {
        let path = "\(folder)/\(name)"
        if access(path, F_OK) != 0 {
            try DurableFile.write("", to: path)
            try await Command("unshare", ["--net=\(path)", "ip", "link", "set", "lo", "up"]).run()
        }
        return MachineNetwork(.namespace(path: path), address: try IPv6Address("fdaa:0:1::2"))
    }

    func launch(
        _ script: String, id: MachineID = Workshop.newID(), attempt: String = "first",
        guest: MachineGuest = .init(cpus: 1, memoryMebibytes: 64), environment: [String: String] = [:],
        disks: [MachineDisk] = [], hostLink: HostLink? = nil, image: String? = nil
    ) async throws -> MachineLaunch {
        let image = image ?? "dir:\(root)"
        return MachineLaunch(
            id: id, attempt: attempt, hostname: "m-\(id)", image: try ImageReference(image),
            config: MachineConfig(
                image: image, guest: guest, environment: ["FROM": "config"],
                initial: MachineInit(exec: ["/bin/sh", "-c", script])), environment: environment, disks: disks,
            hostLink: hostLink,
            network: try await network())
    }

    /// An OCI layout with the root as `layout:tag`; what it says of itself is all there.
    func makeLayout(tag: String, extra: String) async throws -> String {
        let layout = folder + "/layout"
        let bundle = folder + "/bundle-\(tag)"
        let image = "\(layout):\(tag)"
        if access(layout, F_OK) != 0 { try await Command("umoci", ["init", "--layout", layout]).run() }
        try await Command("umoci", ["new", "--image", image]).run()
        try await Command("umoci", ["unpack", "--image", image, bundle]).run()
        try await Command("cp", ["-a", root + "/.", bundle + "/rootfs/"]).run()
        try DurableFile.write(extra, to: bundle + "/rootfs/extra", mode: 0o644)
        try await Command("umoci", ["repack", "--image", image, bundle]).run()
        try await Command(
            "umoci",
            [
                "config", "--image", image, "--config.entrypoint", "/bin/sh", "--config.entrypoint", "-c",
                "--config.cmd", "id; pwd; cat /extra; echo $ONE", "--config.env", "ONE=1", "--config.user", "alice",
                "--config.workingdir", "/tmp", "--config.stopsignal", "SIGQUIT",
            ]
        ).run()
        return image
    }

    static func newID() -> MachineID {
        var generator = SystemRandomNumberGenerator()
        return MachineID.random(using: &generator)
    }

    /// The folders of a machine's control group (nil: of the workshop's), in all hierarchies.
    func cgroups(of machine: MachineID?) -> [String] {
        let points = ((try? MountTable.current().mounts) ?? []).filter { $0.type == "cgroup" || $0.type == "cgroup2" }
        return points.map { $0.point + cgroupParent + (machine.map { "/\($0)" } ?? "") }
            .filter { access($0, F_OK) == 0 }
    }

    /// A file of a machine's control group, whichever hierarchy has it.
    func cgroupFile(_ machine: MachineID, _ name: String) -> String? {
        for folder in cgroups(of: machine) {
            if let bytes = try? DurableFile.read("\(folder)/\(name)") {
                return String(decoding: bytes, as: UTF8.self)
            }
        }
        return nil
    }

    func shell(_ machine: MachineID, _ script: String) async throws -> String {
        let result = try await runtime.execute(machine, ExecRequest(command: ["/bin/sh", "-c", script]))
        #expect(result.exitCode == 0, "\(script): \(result.standardError)")
        return result.standardOutput
    }

    /// The log once it has something in it.
    func log(_ machine: MachineID) async throws -> String {
        try await poll(for: .seconds(5), every: .milliseconds(10)) {
            let text = try await runtime.logTail(machine, bytesMax: 65536)
            return text.isEmpty ? nil : text
        } ?? ""
    }
}

/// The error of a call that has to fail.
func refusal(
    sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> Void
) async -> RuntimeError? {
    do {
        try await body()
        Issue.record("nothing was refused", sourceLocation: sourceLocation)
        return nil
    } catch let error as RuntimeError {
        return error
    } catch {
        Issue.record(error, sourceLocation: sourceLocation)
        return nil
    }
}

extension MachineRuntime {
    /// A launch whose network is there already.
    func launch(_ launch: MachineLaunch) async throws(RuntimeError) -> RunningMachine {
        try await self.launch(launch, attach: {})
    }
}
