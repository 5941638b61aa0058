public import Logging
import RoostLinux
public import RoostModel
import Synchronization

/// Work that one host at a time does for all: a key with a lease, and the name of the holder in it.
///
/// Holding it is a strong hint, never a proof: a lease is a time-out. What must not be done twice carries the
/// ``fence`` in its own commit, and then the store itself refuses it once the duty has gone to another.
public final class DutyHolder: Sendable {
    public let name: String
    public let holder: HostName
    private let store: any Store
    private let timeToLive: Duration
    private let logger: Logger
    private let tenure = Mutex<Tenure?>(nil)

    /// One stay in office.
    private struct Tenure {
        var lease: LeaseID
        /// The revision at which the key became ours.
        var since: Revision
        /// On this host's own clock, counted from before the renewal was sent, so never later than the store's.
        var deadline: Moment
    }

    public static let timeToLiveDefault = Duration.seconds(10)
    /// Renewals in one time to live: two may fail.
    static let renewalsPerLife = 3
    /// Between two tries to take the duty while the store does not answer: from a half of it to one and a half.
    static let retryDelay = Duration.seconds(1)
    /// Those who waited for the duty try one after the other, at a moment by chance: of the hosts of a large planet, most
    /// find that another was faster before they ask for anything.
    static let vacancyPauseMax = Duration.seconds(1)

    public init(
        _ name: String, for holder: HostName, in store: any Store,
        timeToLive: Duration = DutyHolder.timeToLiveDefault, logger: Logger = Logger(label: "duty")
    ) {
        self.name = name
        self.holder = holder
        self.store = store
        self.timeToLive = timeToLive
        self.logger = logger
    }

    public var isHeld: Bool { fence != nil }

    /// A compare that is true only while the duty is still held; nil when it is not held now.
    public var fence: Transaction.Compare? {
        tenure.withLock { tenure in
            guard let tenure, BootClock.now() < tenure.deadline else { return nil }
            return .modified(key: key, equals: tenure.since)
        }
    }

    private var key: String { StoreKeys.duty(name) }

    /// Tries to hold the duty until cancelled, and then lets go of it.
    public func run() async {
        while !Task.isCancelled {
            do throws(StoreError) {
                guard try await take() else {
                    await waitForVacancy()
                    try? await Task.sleep(for: Self.vacancyPauseMax * Double.random(in: 0...1))
                    continue
                }
                logger.info("took a duty", metadata: ["duty": "\(name)"])
                await keep()
            } catch {
                logger.debug("cannot take a duty", metadata: ["duty": "\(name)", "error": "\(error)"])
                try? await Task.sleep(for: Self.retryDelay * Double.random(in: 0.5...1.5))
            }
        }
    }

    // MARK: Taking

    /// - Returns: false when somebody else holds it.
    private func take() async throws(StoreError) -> Bool {
        let current = try await store.read(.key(key), at: nil)
        guard current.entries.isEmpty else { return false }
        let begun = BootClock.now()
        let lease = try await store.grantLease(timeToLive: timeToLive)
        do throws(StoreError) {
            if let since = try await claim(with: lease) {
                tenure.withLock { $0 = Tenure(lease: lease, since: since, deadline: begun + timeToLive) }
                return true
            }
        } catch {
            await leave(lease)
            throw error
        }
        await leave(lease)
        return false
    }

    /// - Returns: the revision at which the key became ours; nil when somebody was faster.
    private func claim(with lease: LeaseID) async throws(StoreError) -> Revision? {
        let claim = Transaction(
            compares: [.modified(key: key, equals: .absent)],
            then: [.put(key: key, value: Array(holder.text.utf8), lease: lease)])
        do throws(StoreError) {
            let outcome = try await store.commit(claim)
            return outcome.succeeded ? outcome.revision : nil
        } catch {
            guard error.code == .outcomeUnknown else { throw error }
            // The lease is ours alone, so a key that has it was put by us.
            let entry = try await store.read(.key(key), at: nil).entries.first
            return entry?.lease == lease ? entry?.modified : nil
        }
    }

    /// Until the key is gone, or the watch may have missed something.
    private func waitForVacancy() async {
        for await event in store.watch(.key(key), from: nil, noticing: .late) {
            switch event {
            case .listing(let listing): if listing.entries.isEmpty { return }
            case .changes(let changes, _):
                for case .delete in changes { return }
            case .interrupted: continue
            }
        }
    }

    // MARK: Holding

    /// Renews until the duty is lost or the task is cancelled; either way nothing is held afterwards.
    private func keep() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.renewUntilLost() }
            group.addTask { await self.waitForLoss() }
            await group.next()
            group.cancelAll()
        }
        guard
            let held = tenure.withLock({ tenure in
                defer { tenure = nil }; return tenure
            })
        else { return }
        logger.info("left a duty", metadata: ["duty": "\(name)"])
        await leave(held.lease)
    }

    private func renewUntilLost() async {
        while let held = tenure.withLock({ $0 }), BootClock.now() < held.deadline, !Task.isCancelled {
            try? await Task.sleep(for: timeToLive / Self.renewalsPerLife)
            if Task.isCancelled { return }
            do throws(StoreError) {
                guard try await renew(held) else { return }
            } catch {
                logger.debug("cannot renew a duty", metadata: ["duty": "\(name)", "error": "\(error)"])
            }
        }
    }

    /// The key may vanish before the lease's time: somebody deletes it, or an etcd leader that was frozen ends
    /// leases which its successor has renewed meanwhile (seen with etcd 3.4.23).
    private func waitForLoss() async {
        guard let held = tenure.withLock({ $0 }) else { return }
        for await event in store.watch(.key(key), from: Revision(held.since.number + 1)) {
            switch event {
            case .listing(let listing): if listing.entries.first?.modified != held.since { return }
            case .changes(let changes, _): if !changes.isEmpty { return }
            case .interrupted: continue
            }
        }
    }

    /// - Returns: false when the duty is lost: the lease is gone, or the key is not what it was.
    private func renew(_ held: Tenure) async throws(StoreError) -> Bool {
        let begun = BootClock.now()
        guard try await store.keepAlive(held.lease) else { return false }
        let entry = try await store.read(.key(key), at: nil).entries.first
        guard entry?.modified == held.since else { return false }
        tenure.withLock { tenure in
            if tenure?.lease == held.lease { tenure?.deadline = begun + timeToLive }
        }
        return true
    }

    /// The next one need not wait for the lease to run out. Also when cancelled: then in a task of its own, bounded
    /// by the store's own time limit.
    private func leave(_ lease: LeaseID) async {
        let (store, logger, name) = (store, logger, name)
        await Task {
            do throws(StoreError) {
                try await store.revoke(lease)
            } catch {
                logger.debug("cannot revoke a duty's lease", metadata: ["duty": "\(name)", "error": "\(error)"])
            }
        }.value
    }
}
