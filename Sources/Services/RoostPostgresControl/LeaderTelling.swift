public import Logging
public import RoostControl
import RoostLinux
public import RoostModel
public import RoostPlanet
import RoostWire
public import ServiceLifecycle
import Synchronization

/// Tells the edges of the planet straight, host to host, when a leader of this host begins to let clients in or ceases to: that
/// is in the store one change later, and at an edge when its watch brings it. What is lost on the way comes by the store.
public final class LeaderTelling: Service, Sendable {
    /// An edge that does not answer within so long hears it from the store.
    static let answerMax = Duration.seconds(2)
    /// Of a leader that the store does not have, all are told again: what is lost comes by no other way.
    static let repeatInterval = Duration.seconds(1)
    /// At most so many wait to be told; of more, the newest.
    private static let waitingMax = 256
    /// Questions on their way at a time.
    private static let atOnceMax = 64

    private struct Word: Sendable {
        var epoch: Epoch
        var isOpen: Bool
        var saidAt: Moment
    }

    private struct Wish: Sendable {
        var cluster: AppName
        var beat: Heartbeat
    }

    private let watcher: PlanetWatcher
    private let peers: any Peers
    private let host: HostName
    private let news: LeaderNews
    private let logger: Logger
    private let said = Mutex<[AppName: Word]>([:])
    private let wishes = AsyncStream.makeStream(of: Wish.self, bufferingPolicy: .bufferingNewest(waitingMax))

    /// - Parameter news: this host's own, which may be an edge too.
    public init(watcher: PlanetWatcher, peers: any Peers, host: HostName, news: LeaderNews, logger: Logger) {
        self.watcher = watcher
        self.peers = peers
        self.host = host
        self.news = news
        self.logger = logger
    }

    /// A member of this host that the rule names as its leader has said this, or one that others have chosen while the store does not
    /// have it.
    func note(_ beat: Heartbeat, of cluster: AppName, isStored: Bool) {
        let word = Word(epoch: beat.epoch, isOpen: beat.isOpen, saidAt: BootClock.now())
        let isNews = said.withLock { said in
            if let former = said[cluster] {
                let isSame = former.epoch == word.epoch && former.isOpen == word.isOpen
                let isDue = !isStored && word.saidAt - former.saidAt >= Self.repeatInterval
                // One that was on its way for longer says nothing new.
                if isSame && !isDue || former.epoch > word.epoch { return false }
            }
            said[cluster] = word
            return true
        }
        if isNews { wishes.continuation.yield(Wish(cluster: cluster, beat: beat)) }
    }

    public func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            await withDiscardingTaskGroup { group in
                let places = Places(Self.atOnceMax)
                for await wish in wishes.stream {
                    let (known, present, edges) = watcher.read { planet in
                        (
                            planet.clusters[wish.cluster], Set(planet.clusters.keys),
                            planet.hosts.values.filter(\.isEdge).map(\.host)
                        )
                    }
                    said.withLock { said in said = said.filter { present.contains($0.key) } }
                    news.keep(present)
                    try? news.note(wish.beat, of: wish.cluster, from: host, in: known)
                    for edge in edges where edge != host && places.take() {
                        group.addTask { [self] in
                            await tell(edge, wish)
                            places.giveBack()
                        }
                    }
                }
                group.cancelAll()
            }
        }
    }

    private func tell(_ edge: HostName, _ wish: Wish) async {
        let path = "\(ClusterInquiry.path)/\(wish.cluster)/leader"
        do throws(Refusal) {
            _ = try await peers.value(
                OKBody.self, "PUT", path, body: wish.beat, from: edge, timeout: Self.answerMax)
        } catch {
            // Hosts of a version before know no such question.
            logger.debug(
                "an edge was not told who leads",
                metadata: ["edge": "\(edge)", "cluster": "\(wish.cluster)", "error": "\(error)"])
        }
    }

    /// A bound of what goes on at a time.
    private final class Places: Sendable {
        private let free: Mutex<Int>

        init(_ count: Int) { free = Mutex(count) }

        func take() -> Bool {
            free.withLock { free in
                guard free > 0 else { return false }
                free -= 1
                return true
            }
        }

        func giveBack() { free.withLock { $0 += 1 } }
    }
}
