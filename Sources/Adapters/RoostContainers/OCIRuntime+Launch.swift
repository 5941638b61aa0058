import CLinux
import Glibc
import Logging
import RoostLinux
import RoostModel
public import RoostRuntime

extension OCIRuntime {
    public func launch(_ launch: MachineLaunch) async throws(RuntimeError) -> RunningMachine {
        guard !launch.attempt.isEmpty, launch.attempt.utf8.count <= 128 else {
            throw RuntimeError(
                code: .invalid, operation: "launch", subject: "machine \(launch.id)",
                cause: "an attempt's name has 1 to 128 bytes")
        }
        // Fetching an image can take minutes: not under the machine's lock.
        let image = try await images.ensure(launch.image)
        return try await locked(launch.id, "launch") { () throws(RuntimeError) in
            switch try await observe(launch.id) {
            case .running(let running):
                guard running.attempt == launch.attempt else {
                    throw RuntimeError(
                        code: .failed, operation: "launch", subject: "machine \(launch.id)",
                        cause: "its launch \(running.attempt) still runs: stop and remove it first")
                }
                return running
            case .exited(let exit, let attempt) where attempt == launch.attempt:
                throw RuntimeError(
                    code: .notRunning, operation: "launch", subject: "machine \(launch.id)",
                    cause: "this launch has already ended, with code \(exit.code): use a new attempt")
            case .exited, .remains: try await takeApart(launch.id)
            case .absent: break
            }
            do throws(RuntimeError) { return try await begin(launch, image) } catch {
                do { try await takeApart(launch.id) } catch let second {
                    logger.warning(
                        "remains of a failed launch are left for the next one",
                        metadata: ["machine": "\(launch.id)", "error": "\(second)"])
                }
                throw error
            }
        }
    }

    private func begin(_ launch: MachineLaunch, _ image: UnpackedImage) async throws(RuntimeError) -> RunningMachine {
        let folders = folders(launch.id)
        let group = try cgroup(launch.id)
        let user = try ImageUser(image.user, root: image.rootPath, image: launch.image.description)
        let spec = MachineSpec(
            launch: launch, image: image, user: user, folders: folders, cgroup: group.path,
            limitsSwap: MachineCgroup.limitsSwap(group.hierarchies), openFilesMax: Self.openFilesMax)
        let document = try spec.make()

        switch launch.network.attachment {
        case .namespace(let path): try requireNamespace(path, launch.id)
        }

        // From here on the world changes. The record comes first, so that whatever is left can be named.
        try report("launch", launch.id) { () throws(SystemError) in
            for folder in [folders.upper, folders.work, folders.root, folders.exits, folders.persistent] {
                try DurableFile.makeFolder(folder)
            }
        }
        try note(
            LaunchRecord(
                machine: launch.id, attempt: launch.attempt, image: launch.image.description, digest: image.digest,
                launchedAt: WallClock.milliseconds()), at: folders.record, launch.id)
        try write(spec, document, folders)
        try await mountRoot(image, launch.id)
        rotateLogs(launch.id)

        let pid = try await create(launch.id)
        guard let process = ProcessIdentity(pid: pid) else {
            throw RuntimeError(
                code: .failed, operation: "launch", subject: "machine \(launch.id)",
                cause: "its process \(pid) ended before it was started: \(runtimeWords(launch.id))")
        }
        if await !StartDoor(folders.runtimeState).open(for: process) {
            do { try await runtime(["start", launch.id.text]).run() } catch {
                throw RuntimeError(
                    code: .failed, operation: "start", subject: "machine \(launch.id)",
                    cause: "\(error) \(runtimeWords(launch.id))")
            }
        }
        try note(process, at: folders.processFile, launch.id)
        return RunningMachine(pid: pid, attempt: launch.attempt)
    }

    /// The runtime's own words for this mistake lead nobody anywhere.
    private func requireNamespace(_ path: String, _ machine: MachineID) throws(RuntimeError) {
        let namespaceFilesystem = 0x6e73_6673  // NSFS_MAGIC of linux/magic.h
        var filesystem = statfs()
        guard statfs(path, &filesystem) == 0, Int(filesystem.f_type) == namespaceFilesystem else {
            throw RuntimeError(
                code: .invalid, operation: "launch", subject: "machine \(machine)",
                cause: "\(path) is no network namespace: attach the machine to the mesh first")
        }
    }

    func note(_ value: some Encodable, at path: String, _ machine: MachineID) throws(RuntimeError) {
        do { try PlainFile.replace(try JSONFile.encode(value), at: path) } catch {
            throw RuntimeError(code: .failed, operation: "note", subject: "machine \(machine)", cause: "\(error)")
        }
    }

    private func write(
        _ spec: MachineSpec, _ document: RuntimeSpec, _ folders: MachineFolders
    ) throws(RuntimeError) {
        let nameservers = configuration.nameservers.map { "nameserver \($0)\n" }.joined()
        try report("write the bundle of", spec.launch.id) { () throws(SystemError) in
            try PlainFile.write(spec.hostsFile, to: folders.run + "/hosts")
            try PlainFile.write(spec.launch.hostname + "\n", to: folders.run + "/hostname")
            try PlainFile.write(nameservers, to: folders.run + "/resolv.conf")
        }
        do { try PlainFile.write(JSONFile.encode(document), to: folders.bundleFile, mode: 0o600) } catch {
            throw RuntimeError(
                code: .failed, operation: "write the bundle of", subject: "machine \(spec.launch.id)",
                cause: "\(error)")
        }
    }

    /// The image below, the machine's changes above. Nothing of it has to outlive the machine, so nothing of it is
    /// ever flushed (`volatile`).
    private func mountRoot(_ image: UnpackedImage, _ machine: MachineID) async throws(RuntimeError) {
        let folders = folders(machine)
        let options =
            "lowerdir=\(Self.escape(image.rootPath)),upperdir=\(Self.escape(folders.upper)),"
            + "workdir=\(Self.escape(folders.work)),volatile"
        // mount(2) takes one page of options.
        guard options.utf8.count < 4096 else {
            throw RuntimeError(
                code: .invalid, operation: "mount the root of", subject: "machine \(machine)",
                cause: "the paths of its image and its state are too long together")
        }
        let code = await BlockingCall.run {
            Glibc.mount("overlay", folders.root, "overlay", UInt(MS_NODEV), options) == 0 ? 0 : errno
        }
        try report("mount the root of", machine) { () throws(SystemError) in
            guard code == 0 else { throw SystemError("mount an overlay at", folders.root, code: code) }
        }
    }

    /// overlayfs separates layers by colons and options by commas.
    static func escape(_ path: String) -> String {
        var text = ""
        for character in path {
            if character == ":" || character == "," || character == "\\" { text.append("\\") }
            text.append(character)
        }
        return text
    }

    private func create(_ machine: MachineID) async throws(RuntimeError) -> Int32 {
        let folders = folders(machine)
        let watcher = Watcher(
            program: configuration.watcherProgram,
            arguments: [
                "--api-version", "1", "--cid", machine.text, "--cuuid", machine.text, "--name", machine.text,
                "--runtime",
                configuration.runtimeProgram.hasPrefix("/")
                    ? configuration.runtimeProgram : Self.search(configuration.runtimeProgram),
                "--runtime-arg", "--root=\(configuration.runtimeRoot)",
                "--runtime-arg", "--log=\(folders.runtimeLog)", "--runtime-arg", "--log-format=json",
                "--bundle", folders.run, "--container-pidfile", folders.pidFile,
                "--conmon-pidfile", folders.watcherPidFile, "--exit-dir", folders.exits,
                "--persist-dir", folders.persistent, "--log-path", "k8s-file:\(folders.log)",
                "--log-size-max", "\(configuration.logSizeMax.bytes)", "--no-sync-log",
                "--socket-dir-path", configuration.attachFolder, "--full-attach",
            ], directory: folders.run)
        do { return try await watcher.create() } catch {
            let cause: String
            var code = RuntimeError.Code.failed
            switch error {
            case .system(let error): cause = error.description
            case .refused(let words): cause = "\(words.prefix(2000)) \(runtimeWords(machine))"
            case .deadline:
                cause = "\(configuration.watcherProgram) gave no answer within \(Watcher.startDeadline)"
                code = .deadlineExceeded
            }
            throw RuntimeError(code: code, operation: "create", subject: "machine \(machine)", cause: cause)
        }
    }

    private static var openFilesMax: UInt64 {
        var limit = rlimit()
        return getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 ? UInt64(limit.rlim_max) : 1024
    }

    /// conmon wants the runtime's full path.
    static func search(_ program: String) -> String {
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/sbin:/usr/bin:/sbin:/bin"
        for folder in path.split(separator: ":") where access("\(folder)/\(program)", X_OK) == 0 {
            return "\(folder)/\(program)"
        }
        return program
    }

    /// The runtime's own last words about this machine.
    func runtimeWords(_ machine: MachineID) -> String {
        struct Line: Decodable {
            var level: String
            var msg: String
        }
        guard let bytes = try? DurableFile.read(folders(machine).runtimeLog) else { return "" }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").suffix(20)
            .compactMap { try? JSONFile.decode(Line.self, from: String($0)) }
            .filter { $0.level == "error" || $0.level == "fatal" }.map(\.msg).joined(separator: "; ")
    }
}
