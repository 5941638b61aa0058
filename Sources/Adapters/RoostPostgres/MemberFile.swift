public import RoostFailover
import RoostLinux
import RoostModel
import RoostRecords

/// What a member must still know after a crash, in a file beside its data: lost together or not at all.
///
/// A machine's image may be exchanged for another version's and back: what the other has put into the file is still
/// there when it comes back.
public struct MemberFile: Sendable {
    public let path: String

    public init(_ path: String) { self.path = path }

    /// Nil when there is none.
    ///
    /// - Throws: also when the file cannot be read as what it should be: a member that has forgotten what it promised
    ///   must not take part.
    public func read() throws(MemberFileError) -> DurableState? {
        do {
            guard let bytes = try DurableFile.read(path) else { return nil }
            return try RecordCodec.read(DurableState.self, from: bytes)
        } catch {
            throw MemberFileError(path: path, operation: "read", cause: Self.words(for: error))
        }
    }

    /// On disk for good when this returns, beside what this version does not know.
    public func write(_ state: DurableState) throws(MemberFileError) {
        do {
            let present = try DurableFile.read(path)
            let bytes = try present.map { try RecordCodec.write(state, over: $0) } ?? RecordCodec.write(state)
            try DurableFile.write(bytes, to: path)
        } catch {
            throw MemberFileError(path: path, operation: "write", cause: Self.words(for: error))
        }
    }

    private static func words(for error: any Error) -> String {
        error is DecodingError ? JSONFault(error).text(of: "it") : "\(error)"
    }
}

public struct MemberFileError: Error, CustomStringConvertible {
    public let path: String
    public let operation: String
    public let cause: String

    public var description: String { "could not \(operation) the member's state \(path): \(cause)" }
}
