import Foundation
public import RoostModel
import RoostRuntime
import RoostStore

/// What no host would carry out, whatever room it has. Checked where a request comes in, before sizes are reckoned
/// with, and once more by the host that is to act.
extension HostAgent {
    public static let guestCPUsMax = 1024
    public static let guestMemoryMin = ByteCount.mebibytes(64)
    public static let guestMemoryMax = ByteCount.gibibytes(1024)

    public static let configBytesMax = 64 << 10
    /// A host is published as one value of the store. What is left below the store's bound is for states that change.
    /// Of a machine's record beside its config, and of a volume's.
    static let publishedMachineBytesMax = 768
    static let publishedVolumeBytesMax = 512
    static let publishedBytesMax = Transaction.valueBytesMax - (128 << 10)

    public static func validate(_ config: MachineConfig) throws(Refusal) {
        try validate(image: config.image)
        try validate(config.guest, as: "config.guest")
        try validate(config.mounts)
        try validate(config.stop)
        for name in config.environment.keys where name.isEmpty || name.contains("=") {
            throw Refusal(.invalid, "'\(name)' cannot be the name of an environment variable")
        }
        let initial = config.initial
        let texts =
            config.environment.flatMap { [$0.key, $0.value] } + config.mounts.map(\.path)
            + (initial.exec ?? []) + (initial.entrypoint ?? []) + (initial.cmd ?? [])
        // The kernel ends its texts with it: what follows would silently be lost.
        guard !texts.contains(where: { $0.utf8.contains(0) }) else {
            throw Refusal(.invalid, "env, init and mounts cannot have a NUL in them")
        }
        guard config.restart.policy.isKnown else {
            throw Refusal(.invalid, "config.restart.policy is \(words(of: MachineRestart.Policy.self))")
        }
        if let retries = config.restart.retriesMax, retries < 0 {
            throw Refusal(.invalid, "restart.max_retries must not be negative")
        }
        guard let size = try? JSONEncoder().encode(config).count, size <= configBytesMax else {
            throw Refusal(.invalid, "a config has at most \(configBytesMax) bytes; keep large texts on a volume")
        }
    }

    public static func validate(image: String) throws(Refusal) {
        do { _ = try ImageReference(image) } catch { throw Refusal(.invalid, error.description) }
    }

    /// Refuses an image that this host would never run.
    func check(image: String) async throws(Refusal) {
        let reference: ImageReference
        do { reference = try ImageReference(image) } catch { throw Refusal(.invalid, error.description) }
        do { try await runtime.check(reference) } catch { throw Refusal(runtime: error) }
    }

    /// - Parameter field: what the request calls it.
    public static func validate(_ guest: MachineGuest, as field: String) throws(Refusal) {
        guard (1...guestCPUsMax).contains(guest.cpus) else {
            throw Refusal(.invalid, "\(field).cpus must be 1 to \(guestCPUsMax)")
        }
        guard guest.cpuKind.isKnown else {
            throw Refusal(.invalid, "\(field).cpu_kind is \(words(of: MachineGuest.CPUKind.self))")
        }
        guard (guestMemoryMin.wholeMebibytes...guestMemoryMax.wholeMebibytes).contains(guest.memoryMebibytes) else {
            throw Refusal(
                .invalid,
                "\(field).memory_mb must be \(guestMemoryMin.wholeMebibytes) to \(guestMemoryMax.wholeMebibytes)")
        }
    }

    private static func words<Words: OpenEnum>(of type: Words.Type) -> String {
        type.known.map(\.rawValue).joined(separator: " or ")
    }

    private static func validate(_ mounts: [MachineMount]) throws(Refusal) {
        guard mounts.count <= 1 else {
            throw Refusal(.invalid, "a machine has at most one mount, as on Fly.io")
        }
        for mount in mounts {
            let parts = mount.path.split(separator: "/")
            guard mount.path.hasPrefix("/"), !parts.isEmpty, !parts.contains("."), !parts.contains("..") else {
                throw Refusal(.invalid, "mount path '\(mount.path)' must be an absolute path below /")
            }
        }
    }

    static func validate(_ stop: StopConfig) throws(Refusal) {
        guard stop.effectiveTimeout <= StopConfig.timeoutMax else {
            throw Refusal(.invalid, "a stop waits at most \(DurationText(StopConfig.timeoutMax))")
        }
        if let signal = stop.signal, !SignalName.isKnown(signal) {
            throw Refusal(.invalid, "'\(signal)' is not a signal; use for example SIGTERM")
        }
    }

    /// The config is what makes a machine's record large. It changes with the machine's instance only.
    private func configBytes(of machine: MachineRecord) throws(Refusal) -> Int {
        if let known = configSizes[machine.id], known.instance == machine.instance { return known.bytes }
        guard let bytes = try? JSONEncoder().encode(machine.config).count else {
            throw Refusal(.invalid, "the config of machine \(machine.id) cannot be written")
        }
        configSizes[machine.id] = (machine.instance, bytes)
        if configSizes.count > 2 * Self.machinesMax { configSizes = configSizes.filter { machineRows[$0.key] != nil } }
        return bytes
    }

    /// A host that could not publish itself any more would be taken for what it was before.
    func requireRoomToPublish(_ machine: MachineRecord) throws(Refusal) {
        var bytes = (volumeRows.count + 1) * Self.publishedVolumeBytesMax
        for row in machineRows.values where row.record.state != .destroyed {
            bytes += try configBytes(of: row.record) + Self.publishedMachineBytesMax
        }
        bytes += try configBytes(of: machine) + Self.publishedMachineBytesMax
        guard bytes <= Self.publishedBytesMax else {
            throw Refusal(
                .insufficientCapacity,
                "host \(configuration.host) has no room left for the configs of its machines, \(Self.publishedBytesMax) bytes in all"
            )
        }
    }
}
