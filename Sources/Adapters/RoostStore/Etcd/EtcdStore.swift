public import Logging
import NIOCore
import RoostModel

/// The store of several hosts: etcd v3, through its HTTP/JSON gateway.
///
/// One request for each operation. It stays with the endpoint that answered last and goes to the next when that
/// one fails; reads are linearizable and are asked at a second endpoint when the first is slow. A change is never
/// sent twice: when its answer does not come, its outcome is unknown.
public final class EtcdStore: Store {
    let transport: EtcdTransport
    private let logger: Logger

    /// - Parameter endpoints: for example `http://[fdaa::1]:2379`, the nearest first; at least one.
    public init(
        endpoints: [String], timing: EtcdTiming = EtcdTiming(), logger: Logger = Logger(label: "store")
    ) {
        self.logger = logger
        transport = EtcdTransport(endpoints: endpoints, timing: timing, logger: logger)
    }

    public func read(_ range: KeyRange, at revision: Revision?) async throws(StoreError) -> Listing {
        let operation = "read \(range.text)"
        try range.check(for: operation)
        // For etcd, zero and below mean "now".
        if let revision, revision.number <= 0 {
            throw StoreError(code: .compacted, operation: operation, cause: "there is no revision \(revision)")
        }
        do throws(EtcdFailure) {
            return try await transport.list(range, at: revision)
        } catch {
            throw error.storeError(operation, effect: .reads)
        }
    }

    public func commit(_ transaction: Transaction) async throws(StoreError) -> TransactionOutcome {
        let operation = transaction.summary
        try transaction.check(for: operation)
        do throws(EtcdFailure) {
            let request = try EtcdTransport.encode(EtcdTransaction(transaction))
            let mark = transport.history.mark
            let bytes = try await transport.askOnce("kv/txn", request)
            let answer: EtcdTransactionAnswer = try EtcdTransport.decode(bytes)
            transport.history.note(answer.header, since: mark)
            let revision = try answer.header.known()
            return TransactionOutcome(
                succeeded: answer.succeeded ?? false, revision: revision,
                listings: (answer.responses ?? []).compactMap(\.response_range).map {
                    Listing(entries: ($0.kvs ?? []).map(\.entry), revision: revision)
                })
        } catch {
            throw error.storeError(operation, effect: .writes)
        }
    }

    public func watch(_ range: KeyRange, from revision: Revision?) -> AsyncStream<WatchEvent> {
        watch(range, from: revision, noticing: .soon)
    }

    public func watch(
        _ range: KeyRange, from revision: Revision?, noticing notice: WatchNotice
    ) -> AsyncStream<WatchEvent> {
        let feed = EtcdWatchFeed(
            EtcdWatch(transport: transport, range: range, from: revision, notice: notice, logger: logger))
        return AsyncStream(unfolding: { await feed.channel.next() })
    }

    public func grantLease(timeToLive: Duration) async throws(StoreError) -> LeaseID {
        let operation = "grant a lease of \(timeToLive)"
        try LeaseID.check(timeToLive: timeToLive, for: operation)
        let whole = timeToLive.components.seconds + (timeToLive.components.attoseconds > 0 ? 1 : 0)
        do throws(EtcdFailure) {
            let request = try EtcdTransport.encode(EtcdLease(TTL: EtcdInteger(whole)))
            // Asked twice, it leaves at worst a lease that nobody uses and that expires.
            let answer: EtcdLease = try EtcdTransport.decode(try await transport.askAny("lease/grant", request).answer)
            guard let lease = answer.ID?.number, lease != 0 else { throw EtcdFailure.unclear("a lease without an id") }
            return LeaseID(lease)
        } catch {
            throw error.storeError(operation, effect: .writes)
        }
    }

    public func keepAlive(_ lease: LeaseID) async throws(StoreError) -> Bool {
        do throws(EtcdFailure) {
            let request = try EtcdTransport.encode(EtcdLease(ID: EtcdInteger(lease.number)))
            let bytes = try await transport.askAny("lease/keepalive", request).answer
            let answer: EtcdStreamed<EtcdLease> = try EtcdTransport.decode(bytes)
            guard let result = answer.result else { throw EtcdFailure(answer.error) }
            return (result.TTL?.number ?? 0) > 0
        } catch {
            if case .refused(.leaseNotFound, _) = error { return false }
            throw error.storeError("keep lease \(lease) alive", effect: .reads)
        }
    }

    public func revoke(_ lease: LeaseID) async throws(StoreError) {
        do throws(EtcdFailure) {
            let request = try EtcdTransport.encode(EtcdLease(ID: EtcdInteger(lease.number)))
            _ = try await transport.askAny("lease/revoke", request)
        } catch {
            if case .refused(.leaseNotFound, _) = error { return }
            throw error.storeError("revoke lease \(lease)", effect: .writes)
        }
    }
}

extension EtcdTransport {
    func list(
        _ range: KeyRange, at revision: Revision? = nil, within limit: Duration? = nil, hedge: Duration? = nil
    ) async throws(EtcdFailure) -> Listing {
        let question = try Self.encode(EtcdRange(range, at: revision))
        let mark = history.mark
        let bytes = try await askAny("kv/range", question, within: limit, hedge: hedge).answer
        let answer: EtcdRangeAnswer = try Self.decode(bytes)
        history.note(answer.header, since: mark)
        let now = try answer.header.known()
        return Listing(entries: (answer.kvs ?? []).map(\.entry), revision: revision ?? now)
    }
}

extension EtcdHeader {
    /// The store's revision. A real answer always has one; without it nothing else in the answer can be trusted.
    func known() throws(EtcdFailure) -> Revision {
        guard let revision, revision.number > 0 else { throw .unclear("an answer without a revision") }
        return Revision(revision.number)
    }
}

extension EtcdFailure {
    init(_ error: EtcdStreamError?) {
        self.init(code: error?.grpc_code, message: error?.message ?? "an empty answer")
    }
}
