public import Logging
import RoostLinux
import RoostModel
public import RoostRuntime
public import ServiceLifecycle

/// Has images collected that no machine of this host uses: once their time is over, and before it when the disk gets
/// short.
public struct ImageKeeper: Service {
    let agent: HostAgent
    let images: any ImageStore
    let logger: Logger

    /// How often the free space is looked at.
    static let lookInterval = Duration.seconds(30)
    /// How often all images are looked at, however much is free.
    static let collectInterval = Duration.seconds(600)

    public init(agent: HostAgent, images: any ImageStore, logger: Logger) {
        self.agent = agent
        self.images = images
        self.logger = logger
    }

    private var retention: ImageRetention {
        let disk = agent.configuration.disk
        return ImageRetention(time: disk.imageTime, freeWanted: disk.freeBesideImages)
    }

    public func run() async throws { await cancelWhenGracefulShutdown { await keep() } }

    private func keep() async {
        var next = BootClock.now()
        while !Task.isCancelled {
            let isDue = BootClock.now() >= next
            let isShort = if let free = try? await images.freeSpace() { free < retention.freeWanted } else { false }
            if isDue || isShort {
                await collect()
                next = BootClock.now() + Self.collectInterval
            }
            try? await Task.sleep(for: Self.lookInterval)
        }
    }

    func collect() async {
        guard await agent.knowsItsMachines else { return }
        do throws(RuntimeError) {
            let removed = try await images.collect(retention) { () throws(RuntimeError) in try await imagesInUse() }
            guard !removed.isEmpty else { return }
            logger.info("images were removed that nothing uses", metadata: ["count": "\(removed.count)"])
        } catch { logger.error("images cannot be collected", metadata: ["error": "\(error)"]) }
    }

    /// Of the launches that are there, of every machine that could be started, and of machines that clusters may get.
    private func imagesInUse() async throws(RuntimeError) -> Set<String> {
        var digests = try await agent.runtime.imagesInUse()
        for reference in await agent.imagesOfMachines() {
            guard let image = try? ImageReference(reference) else { continue }
            if let digest = try await images.digest(of: image) { digests.insert(digest) }
        }
        return digests
    }
}

extension HostAgent {
    /// False where a machine may be there whose image nobody can tell.
    var knowsItsMachines: Bool { unreadableRows.isEmpty && !isSuperseded }

    /// What machines are to run that are not destroyed, running or not.
    func imagesOfMachines() -> Set<String> {
        var images = Set(configuration.ownerImages.values)
        for row in machineRows.values where row.record.state != .destroyed { images.insert(row.record.config.image) }
        return images
    }
}
