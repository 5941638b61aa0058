public import RoostHost
import RoostModel
public import RoostPlanet
public import ServiceLifecycle

/// Says which clusters' records this host follows: of those that have a member here, with their secrets; of all, where
/// it is an edge or has the duty to make and unmake members. Nobody else hears what changes all the time.
public struct ClusterInterest: Service {
    let agent: HostAgent
    let watcher: PlanetWatcher
    let isEdge: Bool
    let hasDuty: @Sendable () -> Bool

    /// Between two looks whether the duty has come or gone.
    static let interval = Duration.seconds(1)

    public init(
        agent: HostAgent, watcher: PlanetWatcher, isEdge: Bool, hasDuty: @escaping @Sendable () -> Bool
    ) {
        self.agent = agent
        self.watcher = watcher
        self.isEdge = isEdge
        self.hasDuty = hasDuty
    }

    /// A host with members of more clusters than this follows all clusters by one watch: that costs less than so many,
    /// each of which holds a connection.
    static let narrowMax = 64

    /// What an edge follows from its first moment.
    public static let ofEdges: Set<PlanetPart> = [.clusters, .identities]

    public func run() async throws {
        let (reasons, reason) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let machines = agent.changes.subscribe { $0.concernsMachines }
        reason.yield()
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                group.addTask { for await _ in machines { reason.yield() } }
                group.addTask {
                    var had = false
                    while (try? await Task.sleep(for: Self.interval)) != nil {
                        let has = hasDuty()
                        if has != had { reason.yield() }
                        had = has
                    }
                }
                for await _ in reasons {
                    watcher.follow(
                        Self.parts(ofMembers: await agent.owners(of: .postgres), isEdge: isEdge, hasDuty: hasDuty()))
                }
                group.cancelAll()
            }
        }
    }

    /// - Parameter clusters: that have a member here.
    public static func parts(ofMembers clusters: Set<AppName>, isEdge: Bool, hasDuty: Bool) -> Set<PlanetPart> {
        var parts: Set<PlanetPart> = isEdge ? ofEdges : []
        if hasDuty || clusters.count > narrowMax { parts.insert(.clusters) }
        for cluster in clusters {
            parts.insert(.secrets(cluster))
            if !parts.contains(.clusters) { parts.insert(.cluster(cluster)) }
        }
        return parts
    }
}
