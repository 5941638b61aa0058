public import RoostModel
import RoostRecords
public import RoostStore

/// Small steps over the store that several parts take.
extension Store {
    /// The record at a key and the revision to compare against, read now; and its bytes, for who writes it back.
    public func record<Record: Decodable>(_ type: Record.Type, at key: String) async throws(Refusal)
        -> (record: Record, revision: Revision, bytes: [UInt8])?
    {
        let listing: Listing
        do { listing = try await read(.key(key), at: nil) } catch { throw Refusal(store: error) }
        guard let entry = listing.entries.first else { return nil }
        do {
            return (try RecordCodec.read(type, from: entry.value), entry.modified, entry.value)
        } catch {
            throw Refusal(.failed, "a record of the store cannot be read", details: "\(key): \(error)")
        }
    }

    public func carryOut(_ transaction: Transaction) async throws(Refusal) -> TransactionOutcome {
        do { return try await commit(transaction) } catch { throw Refusal(store: error) }
    }
}

extension Transaction.Operation {
    public static func put(_ record: some Encodable, at key: String) throws(Refusal) -> Self {
        do {
            return .put(key: key, value: try RecordCodec.write(record), lease: nil)
        } catch {
            throw Refusal(.failed, "a record cannot be written", details: "\(key): \(error)")
        }
    }

    /// Writes a changed record over the one that was read, with what a newer program has put into it.
    public static func put(_ record: some Codable, over present: [UInt8], at key: String) throws(Refusal) -> Self {
        do {
            return .put(key: key, value: try RecordCodec.write(record, over: present), lease: nil)
        } catch {
            throw Refusal(.failed, "a record cannot be written", details: "\(key): \(error)")
        }
    }
}

extension Refusal {
    public init(store error: StoreError) {
        switch error.code {
        case .unavailable:
            self.init(.unavailable, "the store does not answer; nothing was changed. Try again. (\(error.cause))")
        case .outcomeUnknown:
            self.init(
                .outcomeUnknown,
                "the store did not say whether the change was made. Look before you try again. (\(error.cause))")
        case .compacted, .leaseNotFound: self.init(.unavailable, error.description)
        case .invalid: self.init(.invalid, error.description)
        }
    }
}
