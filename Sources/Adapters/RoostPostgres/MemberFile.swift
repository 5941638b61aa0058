import FoundationEssentials
public import RoostFailover
import RoostLinux

/// What a member must still know after a crash, in a file beside its data: lost together or not at all.
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
            return try JSONDecoder().decode(DurableState.self, from: Data(bytes))
        } catch {
            throw MemberFileError(path: path, operation: "read", cause: "\(error)")
        }
    }

    /// On disk for good when this returns.
    public func write(_ state: DurableState) throws(MemberFileError) {
        do {
            try DurableFile.write(Array(try JSONEncoder().encode(state)), to: path)
        } catch {
            throw MemberFileError(path: path, operation: "write", cause: "\(error)")
        }
    }
}

public struct MemberFileError: Error, CustomStringConvertible {
    public let path: String
    public let operation: String
    public let cause: String

    public var description: String { "could not \(operation) the member's state \(path): \(cause)" }
}
