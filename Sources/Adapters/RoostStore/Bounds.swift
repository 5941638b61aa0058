// What every backend refuses in the same words, before anything is sent.

extension KeyRange {
    public static let keyBytesMax = 1024

    func check(for operation: String) throws(StoreError) {
        switch self {
        case .key(let key): try Self.check(key: key, for: operation)
        case .prefix(let prefix): if !prefix.isEmpty { try Self.check(key: prefix, for: operation) }
        }
    }

    /// Printable ASCII only: Swift compares text by its Unicode meaning and etcd by its bytes, and here both agree.
    static func check(key: String, for operation: String) throws(StoreError) {
        guard (1...keyBytesMax).contains(key.utf8.count) else {
            throw .invalid(operation, "a key has 1 to \(keyBytesMax) bytes, this one \(key.utf8.count)")
        }
        guard key.utf8.allSatisfy({ (0x20...0x7e).contains($0) }) else {
            throw .invalid(operation, "a key is printable ASCII, this one is not: \(key.debugDescription)")
        }
    }

    func contains(_ key: String) -> Bool {
        switch self {
        case .key(let own): own == key
        case .prefix(let prefix): key.utf8.starts(with: prefix.utf8)
        }
    }

    /// The first text after every key of a prefix; nil when there is none (the empty prefix). Keys are ASCII,
    /// so the last byte can always grow by one.
    var prefixEnd: String? {
        guard case .prefix(let prefix) = self, let last = prefix.utf8.last else { return nil }
        return String(decoding: Array(prefix.utf8.dropLast()) + [last + 1], as: UTF8.self)
    }

    var text: String {
        switch self {
        case .key(let key): key
        case .prefix(let prefix): prefix + "*"
        }
    }
}

extension Transaction {
    /// All keys and values of a transaction together, below what etcd takes in one request (1.5 MiB by default:
    /// etcd's `--max-request-bytes`).
    public static let bytesMax = 1_400_000

    func check(for operation: String) throws(StoreError) {
        for (name, count) in [
            ("compares", compares.count), ("operations", then.count), ("operations", otherwise.count),
        ] where count > Self.operationsMax {
            throw .invalid(operation, "at most \(Self.operationsMax) \(name) in a transaction, this has \(count)")
        }
        var bytes = 0
        for compare in compares {
            switch compare {
            case .modified(let key, _):
                try KeyRange.check(key: key, for: operation)
                bytes += key.utf8.count
            }
        }
        for branch in [then, otherwise] {
            bytes += try Self.check(branch, for: operation)
        }
        guard bytes <= Self.bytesMax else {
            throw .invalid(operation, "at most \(Self.bytesMax) bytes in a transaction, this has \(bytes)")
        }
    }

    /// - Returns: the bytes of all keys and values.
    private static func check(_ branch: [Operation], for operation: String) throws(StoreError) -> Int {
        var bytes = 0
        var puts: Set<String> = []
        var deletes: [KeyRange] = []
        for step in branch {
            switch step {
            case .put(let key, let value, _):
                try KeyRange.check(key: key, for: operation)
                guard value.count <= valueBytesMax else {
                    throw .invalid(
                        operation, "a value has at most \(valueBytesMax) bytes, that of \(key) \(value.count)")
                }
                guard puts.insert(key).inserted else { throw .invalid(operation, "puts \(key) twice") }
                bytes += key.utf8.count + value.count
            case .delete(let range):
                try range.check(for: operation)
                deletes.append(range)
                bytes += range.text.utf8.count
            case .read(let range):
                try range.check(for: operation)
                bytes += range.text.utf8.count
            }
        }
        for range in deletes {
            if let key = puts.first(where: { range.contains($0) }) {
                throw .invalid(operation, "both puts and deletes \(key)")
            }
        }
        return bytes
    }
}

extension LeaseID {
    public static let timeToLiveMin = Duration.seconds(1)
    public static let timeToLiveMax = Duration.seconds(86_400)

    static func check(timeToLive: Duration, for operation: String) throws(StoreError) {
        guard timeToLive >= timeToLiveMin, timeToLive <= timeToLiveMax else {
            throw .invalid(
                operation, "a lease lives \(timeToLiveMin) to \(timeToLiveMax), not \(timeToLive)")
        }
    }
}

extension StoreError {
    static func invalid(_ operation: String, _ cause: String) -> StoreError {
        StoreError(code: .invalid, operation: operation, cause: cause)
    }

    static func unavailable(_ operation: String, _ cause: String) -> StoreError {
        StoreError(code: .unavailable, operation: operation, cause: cause)
    }
}

extension WatchEvent {
    /// About how much memory the event holds.
    var weight: Int {
        switch self {
        case .listing(let listing): listing.entries.reduce(0) { $0 + $1.weight }
        case .changes(let changes, _):
            changes.reduce(0) { sum, change in
                switch change {
                case .put(let entry): sum + entry.weight
                case .delete(let key): sum + key.utf8.count
                }
            }
        case .interrupted: 0
        }
    }
}

extension Entry {
    var weight: Int { key.utf8.count + value.count + 64 }
}
