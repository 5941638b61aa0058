import Foundation

// The JSON of etcd's HTTP gateway: protobuf's JSON mapping, so bytes are base64, 64-bit integers are text, and
// fields at their zero value are absent. Source: etcd 3.4's rpc.proto and kv.proto.

struct EtcdBytes: Codable, Sendable {
    var bytes: [UInt8]

    init(_ bytes: [UInt8]) { self.bytes = bytes }
    init(_ text: String) { bytes = Array(text.utf8) }

    init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let data = Data(base64Encoded: text) else {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "not base64"))
        }
        bytes = [UInt8](data)
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(Data(bytes).base64EncodedString())
    }

    var text: String { String(decoding: bytes, as: UTF8.self) }
}

struct EtcdInteger: Codable, Sendable {
    var number: Int64

    init(_ number: Int64) { self.number = number }

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let number = try? container.decode(Int64.self) {
            self.number = number
            return
        }
        guard let number = Int64(try container.decode(String.self)) else {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "not a number"))
        }
        self.number = number
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(String(number))
    }
}

/// Of 64 bits without a sign.
struct EtcdIdentity: Decodable, Sendable {
    var number: UInt64

    init(_ number: UInt64) { self.number = number }

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let number = try? container.decode(UInt64.self) {
            self.number = number
            return
        }
        guard let number = UInt64(try container.decode(String.self)) else {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "not a number"))
        }
        self.number = number
    }
}

// MARK: - Requests

struct EtcdRange: Encodable {
    var key: EtcdBytes
    var range_end: EtcdBytes?
    var revision: EtcdInteger?
    var count_only: Bool?

    init(_ range: KeyRange, at revision: Revision? = nil) {
        (key, range_end) = Self.bounds(range)
        self.revision = revision.map { EtcdInteger($0.number) }
    }

    /// The zero byte as both ends is every key.
    static func bounds(_ range: KeyRange) -> (EtcdBytes, EtcdBytes?) {
        switch range {
        case .key(let key): (EtcdBytes(key), nil)
        case .prefix(let prefix):
            range.prefixEnd.map { (EtcdBytes(prefix), EtcdBytes($0)) } ?? (EtcdBytes([0]), EtcdBytes([0]))
        }
    }

    /// Nothing but proof that a quorum answers: a key that nobody can have.
    static let pulse = {
        var range = EtcdRange(.key("\u{0}"))
        range.count_only = true
        return range
    }()
}

struct EtcdPut: Encodable {
    var key: EtcdBytes
    var value: EtcdBytes
    var lease: EtcdInteger?
}

struct EtcdDelete: Encodable {
    var key: EtcdBytes
    var range_end: EtcdBytes?

    init(_ range: KeyRange) { (key, range_end) = EtcdRange.bounds(range) }
}

struct EtcdTransaction: Encodable {
    struct Compare: Encodable {
        var key: EtcdBytes
        var target = "MOD"
        var result = "EQUAL"
        var mod_revision: EtcdInteger
    }

    struct Step: Encodable {
        var request_range: EtcdRange?
        var request_put: EtcdPut?
        var request_delete_range: EtcdDelete?

        init(_ operation: Transaction.Operation) {
            switch operation {
            case .put(let key, let value, let lease):
                request_put = EtcdPut(
                    key: EtcdBytes(key), value: EtcdBytes(value), lease: lease.map { EtcdInteger($0.number) })
            case .delete(let range): request_delete_range = EtcdDelete(range)
            case .read(let range): request_range = EtcdRange(range)
            }
        }
    }

    var compare: [Compare]
    var success: [Step]
    var failure: [Step]

    init(_ transaction: Transaction) {
        compare = transaction.compares.map { compare in
            switch compare {
            case .modified(let key, let revision):
                Compare(key: EtcdBytes(key), mod_revision: EtcdInteger(revision.number))
            }
        }
        success = transaction.then.map(Step.init)
        failure = transaction.otherwise.map(Step.init)
    }
}

struct EtcdLease: Codable {
    var ID: EtcdInteger?
    var TTL: EtcdInteger?
}

struct EtcdWatchRequest: Encodable {
    struct Create: Encodable {
        var key: EtcdBytes
        var range_end: EtcdBytes?
        var start_revision: EtcdInteger
        /// Lets etcd cut a large answer into pieces; without it one line has no bound.
        var fragment = true
    }

    var create_request: Create

    init(_ range: KeyRange, from revision: Revision) {
        let (key, end) = EtcdRange.bounds(range)
        create_request = Create(key: key, range_end: end, start_revision: EtcdInteger(revision.number))
    }
}

// MARK: - Answers

struct EtcdHeader: Decodable {
    var cluster_id: EtcdIdentity?
    var revision: EtcdInteger?
}

struct EtcdKeyValue: Decodable {
    var key: EtcdBytes?
    var value: EtcdBytes?
    var create_revision: EtcdInteger?
    var mod_revision: EtcdInteger?
    var lease: EtcdInteger?

    var entry: Entry {
        Entry(
            key: key?.text ?? "", value: value?.bytes ?? [], created: Revision(create_revision?.number ?? 0),
            modified: Revision(mod_revision?.number ?? 0),
            lease: lease.flatMap { $0.number == 0 ? nil : LeaseID($0.number) })
    }
}

struct EtcdRangeAnswer: Decodable {
    var header: EtcdHeader
    var kvs: [EtcdKeyValue]?
}

struct EtcdTransactionAnswer: Decodable {
    struct Step: Decodable {
        var response_range: EtcdRangeAnswer?
    }

    var header: EtcdHeader
    var succeeded: Bool?
    var responses: [Step]?
}

/// A stream's answer: each line has one of the two.
struct EtcdStreamed<Result: Decodable>: Decodable {
    var result: Result?
    var error: EtcdStreamError?
}

struct EtcdStreamError: Decodable {
    var grpc_code: Int?
    var message: String?
}

struct EtcdWatchAnswer: Decodable {
    struct Event: Decodable {
        var type: String?
        var kv: EtcdKeyValue
    }

    var created: Bool?
    var canceled: Bool?
    var cancel_reason: String?
    var compact_revision: EtcdInteger?
    var fragment: Bool?
    var events: [Event]?
}

/// What the gateway says instead of an answer.
struct EtcdErrorAnswer: Decodable {
    var code: Int?
    var message: String?
    var error: String?
}
