import Logging
import RoostModel
import RoostPlanet
import RoostVolumes

extension HostAgent {
    /// How often the real room is looked at. A volume that does not fit is refused by the volumes' own look at any time.
    static let diskInterval = Duration.seconds(30)

    /// What the operator wrote into `capacity.disk_gb` is a promise that the disk may be unable to keep: images, logs and
    /// the host's other work are on it too. Then placement has to know.
    func watchDisk() async {
        while !Task.isCancelled {
            await lookAtDisk()
            try? await Task.sleep(for: Self.diskInterval)
        }
    }

    func lookAtDisk() async {
        // While a volume is being made or removed, nobody knows how much of it the disk already counts.
        guard volumesAtWork.isEmpty, let free = try? await volumeBackend.freeSpace(), volumesAtWork.isEmpty else {
            return
        }
        let unpromised = max(configuration.capacity.disk - PlacementUse(agent: self).disk, .zero)
        let left: ByteCount? = free < unpromised ? .gibibytes(free.wholeGibibytes) : nil
        guard left != diskLeft else { return }
        if let left, diskLeft == nil {
            logger.warning(
                "the volumes' disk has less room than capacity.disk_gb promises",
                metadata: ["left": "\(left)", "promised": "\(unpromised)"])
        }
        diskLeft = left
        changes.send([.all])
    }
}
