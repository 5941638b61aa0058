import RoostHost
import RoostLinux
public import RoostModel
import RoostPlanet
public import RoostStore

/// Operations as records: begun with the work that they stand for, noted on and ended by whoever has the duty.
public struct OperationDirectory: Sendable {
    let store: any Store

    public init(store: any Store) { self.store = store }

    /// A new id.
    public static func makeID() -> PlanetOperationID {
        guard let id = try? PlanetOperationID(InstanceID.make()) else {
            preconditionFailure("an id that is none was made")
        }
        return id
    }

    /// What begins an operation, as a part of the transaction that begins its work.
    public static func begin(_ record: OperationRecord) throws(Refusal) -> (
        compare: Transaction.Compare, operation: Transaction.Operation
    ) {
        let key = StoreKeys.operation(record.id)
        return (.modified(key: key, equals: .absent), try .put(record, at: key))
    }

    /// The operation as the store has it now.
    public func find(_ id: PlanetOperationID) async throws(Refusal) -> OperationRecord? {
        try await store.record(OperationRecord.self, at: StoreKeys.operation(id))?.record
    }

    /// Writes down what was done, each once, and what is in the way now, under the duty's fence.
    ///
    /// - Returns: false when others have changed the record all the time, or have the duty: it is not written.
    @discardableResult
    func note(
        _ done: [String], obstacle: String?, on id: PlanetOperationID, under fence: Transaction.Compare
    ) async throws(Refusal) -> Bool {
        try await change(id, under: fence) { record in
            Self.add(Self.new(done, on: record), to: &record)
            record.obstacle = obstacle.map { String($0.prefix(OperationRecord.wordsMax)) }
        }
    }

    /// Writes down what was seen to have happened, each once, under the duty's fence.
    func see(_ steps: [String], on id: PlanetOperationID, under fence: Transaction.Compare) async throws(Refusal) {
        try await change(id, under: fence) { Self.add(Self.new(steps, on: $0), to: &$0) }
    }

    /// Writes down how it ended, and what was seen of it last, under the duty's fence.
    func end(
        _ id: PlanetOperationID, _ verdict: OperationVerdict, seeing steps: [String] = [],
        under fence: Transaction.Compare
    ) async throws(Refusal) {
        try await change(id, under: fence) { Self.finish(&$0, verdict, seeing: steps) }
    }

    private static func finish(_ record: inout OperationRecord, _ verdict: OperationVerdict, seeing steps: [String]) {
        add(new(steps, on: record), to: &record)
        record.state = verdict.state
        record.result = String(verdict.words.prefix(OperationRecord.wordsMax))
        record.endedAt = WallClock.milliseconds()
        record.obstacle = nil
    }

    /// What ends an operation, as a part of the transaction that takes away what its end is seen by: afterwards nobody, duty
    /// or not, could say it any more. Nil where it has ended already.
    public func ending(
        _ id: PlanetOperationID, _ verdict: OperationVerdict, seeing steps: [String]
    ) async throws(Refusal) -> (compare: Transaction.Compare, operation: Transaction.Operation)? {
        let key = StoreKeys.operation(id)
        guard var present = try await store.record(OperationRecord.self, at: key), present.record.state == .running
        else { return nil }
        Self.finish(&present.record, verdict, seeing: steps)
        return (.modified(key: key, equals: present.revision), try .put(present.record, over: present.bytes, at: key))
    }

    /// Those that are not on the record.
    static func new(_ steps: [String], on record: OperationRecord) -> [String] {
        let known = Set(record.steps.map(\.name))
        return steps.filter { !known.contains($0) }
    }

    private static func add(_ steps: [String], to record: inout OperationRecord) {
        let now = WallClock.milliseconds()
        record.steps += steps.map { OperationRecord.Step(name: String($0.prefix(OperationRecord.wordsMax)), at: now) }
        record.steps.removeFirst(max(0, record.steps.count - OperationRecord.stepsMax))
    }

    /// Only one that is running changes. What a newer program has put into the record stays. Two parts of the host with the
    /// duty write to one record, who does the work and who sees it end: neither takes the other's words away.
    ///
    /// - Returns: false when it is not written, though it could still be said.
    @discardableResult
    private func change(
        _ id: PlanetOperationID, under fence: Transaction.Compare, _ body: (inout OperationRecord) -> Void
    ) async throws(Refusal) -> Bool {
        let key = StoreKeys.operation(id)
        var refused: Revision?
        for _ in 0..<AppDirectory.triesMax {
            guard var present = try await store.record(OperationRecord.self, at: key), present.record.state == .running
            else { return true }
            // Nobody has changed it: it is the duty that somebody else has.
            guard present.revision != refused else { return false }
            body(&present.record)
            let outcome = try await store.carryOut(
                Transaction(
                    compares: [fence, .modified(key: key, equals: present.revision)],
                    then: [try .put(present.record, over: present.bytes, at: key)]))
            if outcome.succeeded { return true }
            refused = present.revision
        }
        return false
    }

    func remove(_ ids: [PlanetOperationID], under fence: Transaction.Compare) async throws(Refusal) {
        for first in stride(from: 0, to: ids.count, by: Transaction.operationsMax) {
            let part = ids[first..<min(first + Transaction.operationsMax, ids.count)]
            _ = try await store.carryOut(
                Transaction(compares: [fence], then: part.map { .delete(.key(StoreKeys.operation($0))) }))
        }
    }
}
