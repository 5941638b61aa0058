import Glibc
import RoostLinux
import RoostModel

/// Sees when the volume takes no more writes. After an error of the disk the kernel refuses them, and so it stays until
/// it is mounted anew: by the host, between two lives of the machine, after a check.
///
/// Most kernels say it in the table of mounts. Some of them do not (``MountTable/Mount/isReadOnly``), so a small file is
/// written too, now and then.
struct VolumeWatch: Sendable {
    let layout: PostgresLayout

    static let interval = Duration.seconds(1)
    /// Between two files that are written to try it: each is a flush beside Postgres's own.
    static let trialInterval = Duration.seconds(30)
    /// The same while no Postgres runs: it may be the reason why it did not start.
    static let trialIntervalWithoutPostgres = Duration.seconds(5)
    /// The same while Postgres gives reason to think that the disk hangs.
    static let trialIntervalInDoubt = Duration.seconds(2)
    /// A trial that has not ended by then is said.
    static let hangNoted = Duration.seconds(2)
    /// Of the member's program then: EX_IOERR of sysexits(3).
    static let exitCode: Int32 = 74

    /// In words; nil when there is nothing wrong, or nothing is mounted there.
    func fault() -> String? { fault(mount()) }

    private func mount() -> MountTable.Mount? { try? MountTable.current().at(layout.outside(layout.volume)) }

    private func fault(_ mount: MountTable.Mount?) -> String? {
        guard let mount, mount.isReadOnly else { return nil }
        return Self.words
    }

    private static let words =
        "the volume takes no writes after an error of the disk: the machine starts anew to have it checked"

    func trial() -> VolumeTrial { VolumeTrial(folder: layout.outside(layout.volume)) }

    /// Waits for it. Nil: cancelled.
    ///
    /// - Parameters:
    ///   - trial: one that others look at, too; nil: of its own.
    ///   - pause: between two trials, at this moment.
    func untilFault(
        by trial: VolumeTrial? = nil, every interval: Duration = interval,
        trying pause: @Sendable () -> Duration = { trialInterval }
    ) async -> String? {
        let trial = trial ?? self.trial()
        var triedAt: Moment?
        while !Task.isCancelled {
            // A plain folder nobody can mount anew.
            if let mount = mount() {
                if let fault = fault(mount) { return fault }
                if let error = trial.fault { return "\(Self.words) (\(error))" }
                let now = BootClock.now()
                if triedAt.map({ now - $0 >= pause() }) ?? true {
                    trial.begin()
                    triedAt = now
                }
            }
            try? await Task.sleep(for: interval)
        }
        return nil
    }
}
