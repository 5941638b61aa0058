import FoundationEssentials
import RoostModel

/// Small records on disk, as JSON.
public enum JSONFile {
    /// More than any record has.
    public static let bytesMaxDefault = 4 << 20

    /// The record, or nil if there is none.
    public static func read<Value: Decodable>(
        _ type: Value.Type, from path: String, bytesMax: Int = bytesMaxDefault
    ) throws(JSONFileError) -> Value? {
        do {
            guard let bytes = try DurableFile.read(path, bytesMax: bytesMax) else { return nil }
            return try decode(type, from: bytes)
        } catch {
            throw JSONFileError(operation: "read", path: path, cause: error)
        }
    }

    /// Durably, as ``DurableFile`` does: it waits for the disk.
    public static func write(_ value: some Encodable, to path: String) throws(JSONFileError) {
        do { try DurableFile.write(encode(value), to: path) } catch {
            throw JSONFileError(operation: "write", path: path, cause: error)
        }
    }

    /// A value from its text.
    public static func decode<Value: Decodable>(_ type: Value.Type, from text: String) throws -> Value {
        try decode(type, from: Array(text.utf8))
    }

    /// A value from its bytes.
    public static func decode<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
        try JSONDecoder().decode(type, from: Data(bytes))
    }

    /// The same value is always the same bytes.
    public static func encode(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(value))
    }
}

/// A record that could not be read or written, and why.
public struct JSONFileError: Error, CustomStringConvertible {
    /// `read` or `write`.
    public let operation: String
    /// Of the record.
    public let path: String
    /// What the system or the decoder said.
    public let cause: any Error

    /// For the host's own log: it names the path.
    public var description: String {
        let why = cause is DecodingError ? JSONFault(cause).text(of: "it") : "\(cause)"
        return "\(operation) \(path): \(why)"
    }
}
