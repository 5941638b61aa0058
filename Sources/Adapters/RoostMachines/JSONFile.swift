import FoundationEssentials
import RoostLinux

/// Small records on disk.
enum JSONFile {
    static func read<Value: Decodable>(_ type: Value.Type, from path: String, bytesMax: Int = 4 << 20)
        throws(RuntimeError) -> Value?
    {
        do {
            guard let bytes = try DurableFile.read(path, bytesMax: bytesMax) else { return nil }
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch {
            throw RuntimeError(code: .failed, operation: "read", subject: path, cause: "\(error)")
        }
    }

    /// Durably, as ``DurableFile`` does.
    static func write(_ value: some Encodable, to path: String) throws(RuntimeError) {
        do { try DurableFile.write(encode(value), to: path) } catch {
            throw RuntimeError(code: .failed, operation: "write", subject: path, cause: "\(error)")
        }
    }

    static func decode<Value: Decodable>(_ type: Value.Type, from text: String) throws -> Value {
        try JSONDecoder().decode(type, from: Data(text.utf8))
    }

    static func encode(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(value))
    }
}
