import RoostModel

/// Where a machine's launch keeps its files. `state` survives a boot of the host, `run` need not.
struct MachineFolders: Sendable {
    /// On disk: the record of the launch and the root's changes.
    let state: String
    /// In memory: the bundle, process ids, how it ended.
    let run: String
    let runtimeState: String
    let log: String
    let lock: String

    init(_ machine: MachineID, _ configuration: OCIRuntime.Configuration) {
        state = "\(configuration.stateFolder)/machines-oci/\(machine)"
        run = "\(configuration.runFolder)/machines-oci/\(machine)"
        runtimeState = "\(configuration.runtimeRoot)/\(machine)"
        log = "\(configuration.logFolder)/\(machine).log"
        lock = "\(configuration.lockFolder)/\(machine)"
    }

    var record: String { state + "/launch.json" }
    var upper: String { state + "/upper" }
    var work: String { state + "/work" }
    var root: String { run + "/root" }
    var bundleFile: String { run + "/config.json" }
    var processFile: String { run + "/process.json" }
    var pidFile: String { run + "/pid" }
    var watcherPidFile: String { run + "/watcher.pid" }
    var runtimeLog: String { run + "/runtime.log" }
    /// conmon makes a file with the machine's id and the exit code in here.
    var exits: String { run + "/exits" }
    /// conmon makes a file `oom` in here.
    var persistent: String { run + "/persistent" }
    /// There since the kernel has killed a process of the machine for want of memory.
    var memoryMark: String { persistent + "/oom" }
    /// How many such kills its first process has outlived.
    var outlivedKills: String { run + "/outlived-kills" }
    /// /etc/hosts and its like: on disk, since the machine may write to them.
    var etc: String { state + "/etc" }
    /// There once the machine was killed by its host, and not by itself.
    var killedMark: String { run + "/killed" }

    // MARK: - Logs, see LogHalves

    /// A second name of the log, so that what conmon drops is kept.
    var heldLog: String { Self.held(log) }
    /// The half before the present one.
    var olderLog: String { Self.older(log) }
    /// Both halves of the launch before.
    var previousLog: String { log + ".1" }
    var previousOlderLog: String { previousLog + ".older" }
    /// The end of the first launch of a crash loop.
    var firstLog: String { log + ".first" }

    static func held(_ log: String) -> String { log + ".held" }
    static func older(_ log: String) -> String { log + ".older" }
}

/// Which launch this is; written before anything of it exists.
///
/// It has to outlive every process, and does; it need not outlive a power loss, after which nothing of the launch runs
/// any more. So it is not flushed, and one that cannot be read is what a power loss left.
struct LaunchRecord: Codable {
    var machine: MachineID
    var attempt: String
    var image: String
    var digest: String
    /// Wall-clock milliseconds, for people.
    var launchedAt: Int64
    /// The machine has ``MachineSpec/initPlace``; nil: launched by a version that did not give it one.
    var hasInit: Bool?
}
