import RoostLinux

/// Sees when the volume takes no more writes. After an error of the disk the kernel makes its file system read-only, and
/// so it stays until it is mounted anew: by the host, between two lives of the machine, after a check.
struct VolumeWatch: Sendable {
    let layout: PostgresLayout

    static let interval = Duration.seconds(1)
    /// Of the member's program then: EX_IOERR of sysexits(3).
    static let exitCode: Int32 = 74

    /// In words; nil when there is nothing wrong, or nothing is mounted there.
    func fault() -> String? {
        guard let mount = try? MountTable.current().at(layout.outside(layout.volume)), mount.isReadOnly else {
            return nil
        }
        return "the volume takes no writes after an error of the disk: the machine starts anew to have it checked"
    }

    /// Waits for it. Nil: cancelled.
    func untilFault(every interval: Duration = interval) async -> String? {
        while !Task.isCancelled {
            if let fault = fault() { return fault }
            try? await Task.sleep(for: interval)
        }
        return nil
    }
}
