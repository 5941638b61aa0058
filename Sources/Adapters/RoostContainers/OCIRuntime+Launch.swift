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
        let group = cgroup(launch.id)
        let user = try await BlockingCall.run { () throws(RuntimeError) in
            try ImageUser(image.user, root: image.rootPath, image: launch.image.description)
        }
        let spec = MachineSpec(
            launch: launch, image: image, user: user, folders: folders, cgroup: group.path,
            limitsSwap: MachineCgroup.limitsSwap(group.hierarchies), openFilesMax: Self.openFilesMax,
            initProgram: configuration.initProgram)
        let bundle = try spec.make()
        try await requireProgram(try spec.arguments()[0], bundle.process, image, launch)
        let document = try encode(bundle, launch.id)
        let record = try encode(
            LaunchRecord(
                machine: launch.id, attempt: launch.attempt, image: launch.image.description, digest: image.digest,
                launchedAt: WallClock.milliseconds(), hasInit: true), launch.id)

        switch launch.network.attachment {
        case .namespace(let path): try requireNamespace(path, launch.id)
        }
        let options = try overlayOptions(image, launch.id)
        let nameservers = configuration.nameservers

        try await onDisk("launch", launch.id) { () throws(SystemError) in
            // From here on the world changes. The record comes first, so that whatever is left can be named.
            for folder in [folders.upper, folders.work, folders.etc, folders.root, folders.exits, folders.persistent] {
                try DurableFile.makeFolder(folder)
            }
            try PlainFile.replace(record, at: folders.record)
            for name in MachineSpec.etcFiles {
                try PlainFile.write(spec.etcFile(name, nameservers: nameservers), to: "\(folders.etc)/\(name)")
            }
            try PlainFile.write(document, to: folders.bundleFile, mode: 0o600)
            // No file of a machine's root gives anybody on the host the rights of its owner.
            guard Glibc.mount("overlay", folders.root, "overlay", UInt(MS_NODEV | MS_NOSUID), options) == 0 else {
                throw SystemError("mount an overlay at", folders.root)
            }
            for disk in launch.disks { try FirstUse.prepare(disk, image: image, user: user) }
            Self.rotateLogs(folders)
        }

        let pid = try await create(launch.id)
        guard let process = ProcessIdentity(pid: pid) else {
            throw RuntimeError(
                code: .failed, operation: "launch", subject: "machine \(launch.id)",
                cause: "its process ended before it was started: \(runtimeWords(launch.id) ?? "nobody said why")")
        }
        if await !StartDoor(folders.runtimeState).open(for: process) {
            do { try await runtime(["start", launch.id.text]).run() } catch {
                logger.error("a machine was not started", metadata: ["machine": "\(launch.id)", "error": "\(error)"])
                throw RuntimeError(
                    code: .failed, operation: "start", subject: "machine \(launch.id)",
                    cause: runtimeWords(launch.id) ?? error.summary)
            }
        }
        try note(process, at: folders.processFile, launch.id)
        return RunningMachine(pid: pid, attempt: launch.attempt)
    }

    private func requireProgram(
        _ program: String, _ process: RuntimeSpec.Process, _ image: UnpackedImage, _ launch: MachineLaunch
    ) async throws(RuntimeError) {
        let isMissing = try await onDisk("look for the program of", launch.id) { () throws(SystemError) in
            try ProgramCheck.isMissing(
                program, environment: process.env, workingDirectory: process.cwd, root: image.rootPath,
                disks: launch.disks)
        }
        guard isMissing else { return }
        throw RuntimeError(
            code: .invalid, operation: "launch", subject: "machine \(launch.id)",
            cause: "there is no program '\(program.prefix(200))' in the image \(launch.image)")
    }

    /// The runtime's own words for this mistake lead nobody anywhere.
    private func requireNamespace(_ path: String, _ machine: MachineID) throws(RuntimeError) {
        let namespaceFilesystem = 0x6e73_6673  // NSFS_MAGIC of linux/magic.h
        var filesystem = statfs()
        guard statfs(path, &filesystem) == 0, Int(filesystem.f_type) == namespaceFilesystem else {
            throw RuntimeError(
                code: .failed, operation: "launch", subject: "machine \(machine)",
                cause: "\(path) is no network namespace: attach the machine to the mesh first")
        }
    }

    func note(_ value: some Encodable, at path: String, _ machine: MachineID) throws(RuntimeError) {
        let bytes = try encode(value, machine)
        try report("note", machine) { () throws(SystemError) in try PlainFile.replace(bytes, at: path) }
    }

    private func encode(_ value: some Encodable, _ machine: MachineID) throws(RuntimeError) -> [UInt8] {
        do { return try JSONFile.encode(value) } catch {
            throw RuntimeError(
                code: .invalid, operation: "launch", subject: "machine \(machine)", cause: "its config is no text")
        }
    }

    /// The image below, the machine's changes above. Nothing of it has to outlive the machine, so nothing of it is
    /// ever flushed (`volatile`).
    private func overlayOptions(_ image: UnpackedImage, _ machine: MachineID) throws(RuntimeError) -> String {
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
        return options
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

    func watcher(for machine: MachineID) -> Watcher {
        let folders = folders(machine)
        return Watcher(
            program: configuration.watcherProgram,
            arguments: [
                "--api-version", "1", "--cid", machine.text, "--cuuid", machine.text, "--name", machine.text,
                "--runtime",
                // conmon wants the full path.
                SearchPath.find(configuration.runtimeProgram) ?? configuration.runtimeProgram, "--runtime-arg",
                "--root=\(configuration.runtimeRoot)", "--runtime-arg", "--log=\(folders.runtimeLog)", "--runtime-arg",
                "--log-format=json", "--bundle", folders.run, "--container-pidfile", folders.pidFile,
                "--conmon-pidfile", folders.watcherPidFile, "--exit-dir", folders.exits, "--persist-dir",
                folders.persistent, "--log-path", "k8s-file:\(folders.log)", "--log-size-max",
                "\(configuration.logSizeMax.bytes / 2)", "--no-sync-log", "--socket-dir-path",
                configuration.attachFolder, "--full-attach",
            ], directory: folders.run)
    }

    private func create(_ machine: MachineID) async throws(RuntimeError) -> Int32 {
        let watcher = watcher(for: machine)
        do { return try await watcher.create() } catch {
            logger.error("a machine was not created", metadata: ["machine": "\(machine)", "error": "\(error)"])
            let cause: String
            var code = RuntimeError.Code.failed
            switch error {
            case .system(let error): cause = String(cString: strerror(error.code))
            case .refused(let words): cause = runtimeWords(machine) ?? publicWords(words, machine)
            case .deadline:
                cause = "\(configuration.watcherProgram) gave no answer within \(watcher.startDeadline)"
                code = .deadlineExceeded
            }
            throw RuntimeError(code: code, operation: "create", subject: "machine \(machine)", cause: cause)
        }
    }

    private static var openFilesMax: UInt64 {
        var limit = rlimit()
        return getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 ? UInt64(limit.rlim_max) : 1024
    }

    /// The runtime's own last words about this machine, fit for everybody.
    func runtimeWords(_ machine: MachineID) -> String? {
        runtimeWords(in: folders(machine).runtimeLog).map { publicWords($0, machine) }
    }

    func runtimeWords(in log: String) -> String? {
        struct Line: Decodable {
            var level: String
            var msg: String
        }
        guard let bytes = try? DurableFile.read(log) else { return nil }
        let words = String(decoding: bytes, as: UTF8.self).split(separator: "\n").suffix(20).compactMap {
            try? JSONFile.decode(Line.self, from: String($0))
        }.filter { $0.level == "error" || $0.level == "fatal" }.map(\.msg)
        return words.isEmpty ? nil : words.joined(separator: "; ")
    }
}
