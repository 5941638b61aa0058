public import RoostModel

/// The variables every machine finds in its environment: Fly.io's names
/// (https://fly.io/docs/machines/runtime-environment/) and the same under `ROOST_`.
public enum StandardEnvironment {
    /// Fly.io's name for the group of an app that has no process groups.
    public static let processGroupDefault = "app"
    /// Where Fly.io keeps a machine's process group in its metadata.
    public static let processGroupKey = "fly_process_group"

    /// - Parameter primaryRegion: the region of the app's writable member, where the app has one.
    public static func make(for machine: MachineRecord, primaryRegion: RegionCode? = nil) -> [String: String] {
        let config = machine.config
        let values = [
            "APP_NAME": machine.app.text,
            "MACHINE_ID": machine.id.text,
            "ALLOC_ID": machine.id.text,
            "MACHINE_VERSION": machine.instance,
            "REGION": machine.region.text,
            "PRIVATE_IP": machine.address.description,
            "IMAGE_REF": config.image,
            "PROCESS_GROUP": config.metadata[processGroupKey] ?? processGroupDefault,
            "VM_MEMORY_MB": String(config.guest.memoryMebibytes),
        ]
        var environment: [String: String] = [:]
        for (name, value) in values {
            environment["FLY_" + name] = value
            environment["ROOST_" + name] = value
        }
        if let primaryRegion { environment["PRIMARY_REGION"] = primaryRegion.text }
        return environment
    }
}
