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

    /// Writes down what was done, and what is in the way now, under the duty's fence.
    func note(_ done: [String], obstacle: String?, on id: PlanetOperationID, under fence: Transaction.Compare)
        async throws(Refusal)
    {
        try await change(id, under: fence) { record in
            let now = WallClock.milliseconds()
            record.steps += done.map { OperationRecord.Step(name: $0, at: now) }
            record.steps.removeFirst(max(0, record.steps.count - OperationRecord.stepsMax))
            record.obstacle = obstacle.map { String($0.prefix(OperationRecord.wordsMax)) }
        }
    }

    /// Writes down how it ended, under the duty's fence.
    func end(_ id: PlanetOperationID, _ verdict: OperationVerdict, under fence: Transaction.Compare)
        async throws(Refusal)
    {
        try await change(id, under: fence) { record in
            record.state = verdict.state
            record.result = String(verdict.words.prefix(OperationRecord.wordsMax))
            record.endedAt = WallClock.milliseconds()
            record.obstacle = nil
        }
    }

    /// Only one that is running changes. What a newer program has put into the record stays.
    private func change(
        _ id: PlanetOperationID, under fence: Transaction.Compare, _ body: (inout OperationRecord) -> Void
    ) async throws(Refusal) {
        let key = StoreKeys.operation(id)
        guard var present = try await store.record(OperationRecord.self, at: key), present.record.state == .running
        else { return }
        body(&present.record)
        // Somebody who was faster has the duty, or will be seen at the next look.
        _ = try await store.carryOut(
            Transaction(
                compares: [fence, .modified(key: key, equals: present.revision)],
                then: [try .put(present.record, over: present.bytes, at: key)]))
    }

    func remove(_ ids: [PlanetOperationID], under fence: Transaction.Compare) async throws(Refusal) {
        for first in stride(from: 0, to: ids.count, by: Transaction.operationsMax) {
            let part = ids[first..<min(first + Transaction.operationsMax, ids.count)]
            _ = try await store.carryOut(
                Transaction(compares: [fence], then: part.map { .delete(.key(StoreKeys.operation($0))) }))
        }
    }
}
