import FoundationEssentials
import RoostModel

/// How records become bytes and come back.
public enum RecordCodec {
    /// Reads a record and believes everything in it that can be read.
    public static func read<Record: Decodable>(_ type: Record.Type, from bytes: [UInt8]) throws -> Record {
        try JSONDecoder().decode(type, from: Data(bytes))
    }

    /// Writes a record that is wholly its writer's own.
    public static func write(_ record: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        // Equal records are equal bytes, whoever writes them.
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(record))
    }

    /// Writes a record over what is there, and leaves alone what a newer program has put beside it.
    public static func write<Record: Codable>(_ record: Record, over present: [UInt8]) throws -> [UInt8] {
        guard var evolving = try? Evolving<Record>(reading: present) else { return try write(record) }
        evolving.record = record
        return try evolving.written()
    }
}

/// A record together with the fields, at any depth, that this version does not know. Read, changed and written back,
/// they are still there.
public struct Evolving<Record: Codable> {
    /// May be changed; what is unknown stays beside it.
    public var record: Record
    private let newer: NewerFields?

    /// - Throws: `DecodingError` when they are not JSON, or not such a record.
    public init(reading bytes: [UInt8]) throws {
        record = try RecordCodec.read(Record.self, from: bytes)
        newer = try NewerFields(in: bytes, of: record)
    }

    /// The record as it is now, with what was unknown put back where it still belongs: in a list, beside the element
    /// with the same name.
    public func written() throws -> [UInt8] {
        var newer = newer
        return try RecordCodec.write(record, beside: &newer)
    }
}
