import CLinux
import Glibc
import Logging
import RoostLinux
import RoostModel
public import RoostRuntime
import RoostTelemetry

extension OCIRuntime {
    public func launch(
        _ launch: MachineLaunch, attach: @escaping @Sendable () async throws(RuntimeError) -> Void
    ) async throws(RuntimeError) -> RunningMachine {
        guard !launch.attempt.isEmpty, launch.attempt.utf8.count <= 128 else {
            throw RuntimeError(
                code: .invalid, operation: "launch", subject: "machine \(launch.id)",
                cause: "an attempt's name has 1 to 128 bytes")
        }
        // Fetching an image can take minutes: not under the machine's lock. The image is kept until the launch's record
        // says that it is used.
        let began = BootClock.now()
        return try await images.withImage(launch.image) { (image) async throws(RuntimeError) in
            StartStep.image.note(BootClock.now() - began, of: launch.id, to: logger)
            return try await self.launch(launch, of: image, attach)
        }
    }

    private func launch(
        _ launch: MachineLaunch, of image: UnpackedImage,
        _ attach: @escaping @Sendable () async throws(RuntimeError) -> Void
    ) async throws(RuntimeError) -> RunningMachine {
        try await holdingLock(of: launch.id, "launch") { (lock) throws(RuntimeError) in
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
            case .exited, .remains: try await takeApart(launch.id, lock)
            case .absent: break
            }
            do throws(RuntimeError) { return try await begin(launch, image, attach) } catch {
                do { try await takeApart(launch.id, lock) } catch let second {
                    logger.warning(
                        "remains of a failed launch are left for the next one",
                        metadata: ["machine": "\(launch.id)", "error": "\(second)"])
                }
                throw error
            }
        }
    }

    /// The network is made beside the root and while the watcher loads. The bundle's configuration is put in place
    /// when all of it is there, and the watcher gets its word.
    private func begin(
        _ launch: MachineLaunch, _ image: UnpackedImage,
        _ attach: @escaping @Sendable () async throws(RuntimeError) -> Void
    ) async throws(RuntimeError) -> RunningMachine {
        async let attached = Self.outcome(of: attach)
        let prepared: PreparedLaunch
        do throws(RuntimeError) { prepared = try await prepare(launch, image) } catch {
            _ = await attached
            throw error
        }
        do throws(RuntimeError) { try await attached.get() } catch {
            await BlockingCall.run { prepared.watcher.abandon() }
            throw error
        }
        let began = BootClock.now()
        let created = try await BlockingCall.run { () throws(RuntimeError) in try create(launch, prepared) }
        if !created.isLetGo { try await start(launch.id) }
        try note(created.process, at: folders(launch.id).processFile, launch.id)
        StartStep.enter.note(BootClock.now() - began - created.took, of: launch.id, to: logger)
        return RunningMachine(pid: created.process.pid, attempt: launch.attempt)
    }

    private static func outcome(
        of attach: @Sendable () async throws(RuntimeError) -> Void
    ) async -> Result<Void, RuntimeError> {
        do throws(RuntimeError) {
            try await attach()
            return .success(())
        } catch { return .failure(error) }
    }

    /// A launch of which only the word is missing.
    private struct PreparedLaunch: Sendable {
        var document: [UInt8]
        var watcher: Watcher.Waiting
    }

    /// A process 1 that the runtime has made.
    private struct CreatedProcess: Sendable {
        var process: ProcessIdentity
        /// How long the runtime has worked on it.
        var took: Duration
        /// It runs the program already; else the runtime must be told to start it.
        var isLetGo: Bool
    }

    private func prepare(
        _ launch: MachineLaunch, _ image: UnpackedImage
    ) async throws(RuntimeError) -> PreparedLaunch {
        let group = cgroup(launch.id)
        return try await BlockingCall.run { () throws(RuntimeError) in
            let began = BootClock.now()
            let prepared = try prepare(launch, image, group)
            StartStep.prepare.note(BootClock.now() - began, of: launch.id, to: logger)
            return prepared
        }
    }

    /// Blocks.
    private func prepare(
        _ launch: MachineLaunch, _ image: UnpackedImage, _ group: MachineCgroup
    ) throws(RuntimeError) -> PreparedLaunch {
        let folders = folders(launch.id)
        let user = try ImageUser(image.user, root: image.rootPath, image: launch.image.description)
        let spec = MachineSpec(
            launch: launch, image: image, user: user, folders: folders, cgroup: group.path,
            limitsSwap: MachineCgroup.limitsSwap(group.hierarchies), openFilesMax: Self.openFilesMax,
            initProgram: configuration.initProgram)
        let bundle = try spec.make()
        try requireProgram(try spec.arguments()[0], bundle.process, image, launch)
        let record = try encode(
            LaunchRecord(
                machine: launch.id, attempt: launch.attempt, image: launch.image.description, digest: image.digest,
                launchedAt: WallClock.milliseconds(), hasInit: true), launch.id)
        let options = try overlayOptions(image, launch.id)
        try report("launch", launch.id) { () throws(SystemError) in
            // From here on the world changes. The record comes first, so that whatever is left can be named.
            for folder in [folders.upper, folders.work, folders.etc, folders.root, folders.exits, folders.persistent] {
                try DurableFile.makeFolder(folder)
            }
            try PlainFile.replace(record, at: folders.record)
            // The watcher opens its log as soon as it has loaded.
            Self.rotateLogs(folders)
        }
        let watcher = try startWatcher(launch.id)
        do throws(RuntimeError) {
            try furnish(spec, options, image)
            return PreparedLaunch(document: try encode(bundle, launch.id), watcher: watcher)
        } catch {
            watcher.abandon()
            throw error
        }
    }

    private func furnish(_ spec: MachineSpec, _ options: String, _ image: UnpackedImage) throws(RuntimeError) {
        let folders = spec.folders
        let nameservers = configuration.nameservers
        try report("launch", spec.launch.id) { () throws(SystemError) in
            for name in MachineSpec.etcFiles {
                try PlainFile.write(spec.etcFile(name, nameservers: nameservers), to: "\(folders.etc)/\(name)")
            }
            // No file of a machine's root gives anybody on the host the rights of its owner.
            guard Glibc.mount("overlay", folders.root, "overlay", UInt(MS_NODEV | MS_NOSUID), options) == 0 else {
                throw SystemError("mount an overlay at", folders.root)
            }
        }
        for disk in spec.launch.disks { try prepareVolume(disk, spec, image) }
        // In the root as it is mounted, where nothing runs yet.
        let obstacle = try report("launch", spec.launch.id) { () throws(SystemError) in
            try MountPoints.obstacle(in: folders.root)
        }
        if let obstacle {
            throw RuntimeError(
                code: .imageInvalid, operation: "launch", subject: "machine \(spec.launch.id)",
                cause: "\(obstacle) in the image \(spec.launch.image) is no folder, and the host mounts there")
        }
    }

    /// What is wrong with a volume is no fault of the image, which would be held against it for good.
    private func prepareVolume(
        _ disk: MachineDisk, _ spec: MachineSpec, _ image: UnpackedImage
    ) throws(RuntimeError) {
        let volume = "its volume at \(disk.target)"
        let isFresh = try report("look at \(volume)", spec.launch.id) { () throws(SystemError) in
            try FirstUse.isFresh(disk)
        }
        guard isFresh else { return }
        let wanted = try inspect(for: spec.launch) { () throws(SystemError) in
            try FirstUse.ownership(of: disk, image: image, user: spec.user)
        }
        try report("prepare \(volume)", spec.launch.id) { () throws(SystemError) in try FirstUse.give(disk, wanted) }
    }

    /// What looks into an image fails by what the image has, as links that lead nowhere do, or by what the host has not.
    private func inspect<Value>(
        for launch: MachineLaunch, _ body: () throws(SystemError) -> Value
    ) throws(RuntimeError) -> Value {
        do { return try body() } catch {
            guard ForeignFile.isDoomed(error) else {
                return try report("look into the image of", launch.id) { () throws(SystemError) in throw error }
            }
            throw RuntimeError(
                code: .imageInvalid, operation: "launch", subject: "machine \(launch.id)",
                cause: "\(error.subject) in the image \(launch.image): \(String(cString: strerror(error.code)))")
        }
    }

    /// Blocks from the word to the running program.
    private func create(_ launch: MachineLaunch, _ prepared: PreparedLaunch) throws(RuntimeError) -> CreatedProcess {
        let folders = folders(launch.id)
        do throws(RuntimeError) {
            switch launch.network.attachment {
            case .namespace(let path): try requireNamespace(path, launch.id)
            }
            try report("launch", launch.id) { () throws(SystemError) in
                try PlainFile.replace(prepared.document, at: folders.bundleFile)
            }
        } catch {
            prepared.watcher.abandon()
            throw error
        }
        let began = BootClock.now()
        let pid = try awaitCreation(of: launch.id, by: prepared.watcher)
        let took = BootClock.now() - began
        StartStep.create.note(took, of: launch.id, to: logger)
        let made = try report("look at the process of", launch.id) { () throws(SystemError) in
            try ProcessIdentity(pid: pid)
        }
        guard let process = made else {
            throw RuntimeError(
                code: .failed, operation: "launch", subject: "machine \(launch.id)",
                cause: "its process ended before it was started: \(runtimeWords(launch.id) ?? "nobody said why")")
        }
        let isLetGo = StartDoor(folders.runtimeState).open(for: process)
        return CreatedProcess(process: process, took: took, isLetGo: isLetGo)
    }

    private func start(_ machine: MachineID) async throws(RuntimeError) {
        do { try await runtime(["start", machine.text]).run() } catch {
            logger.error("a machine was not started", metadata: ["machine": "\(machine)", "error": "\(error)"])
            throw RuntimeError(
                code: .failed, operation: "start", subject: "machine \(machine)",
                cause: runtimeWords(machine) ?? error.summary)
        }
    }

    private func requireProgram(
        _ program: String, _ process: RuntimeSpec.Process, _ image: UnpackedImage, _ launch: MachineLaunch
    ) throws(RuntimeError) {
        let isMissing = try inspect(for: launch) { () throws(SystemError) in
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
        guard NetworkNamespace.isBound(path) else {
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

    private func startWatcher(_ machine: MachineID) throws(RuntimeError) -> Watcher.Waiting {
        let watcher = watcher(for: machine)
        do throws(SystemError) { return try watcher.start() } catch { throw notCreated(machine, .system(error)) }
    }

    private func awaitCreation(
        of machine: MachineID, by waiting: Watcher.Waiting
    ) throws(RuntimeError) -> Int32 {
        do throws(Watcher.Failure) { return try waiting.create() } catch { throw notCreated(machine, error) }
    }

    private func notCreated(_ machine: MachineID, _ error: Watcher.Failure) -> RuntimeError {
        logger.error("a machine was not created", metadata: ["machine": "\(machine)", "error": "\(error)"])
        let cause: String
        var code = RuntimeError.Code.failed
        switch error {
        case .system(let error): cause = String(cString: strerror(error.code))
        case .refused(let words): cause = runtimeWords(machine) ?? RuntimeWords.explained(publicWords(words, machine))
        case .deadline:
            cause = "\(configuration.watcherProgram) gave no answer within \(Watcher.startDeadlineDefault.words)"
            code = .deadlineExceeded
        }
        return RuntimeError(code: code, operation: "create", subject: "machine \(machine)", cause: cause)
    }

    func watcher(for machine: MachineID) -> Watcher {
        let folders = folders(machine)
        return Watcher(
            program: SearchPath.find(configuration.watcherProgram) ?? configuration.watcherProgram,
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

    private static var openFilesMax: UInt64 {
        var limit = rlimit()
        return getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 ? UInt64(limit.rlim_max) : 1024
    }

    /// The runtime's own last words about this machine, fit for everybody.
    func runtimeWords(_ machine: MachineID) -> String? {
        runtimeWords(in: folders(machine).runtimeLog).map { RuntimeWords.explained(publicWords($0, machine)) }
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
