import Glibc
public import Logging
public import RoostModel
import Synchronization

/// Writes log lines, in one of two formats.
public struct LineLogHandler: LogHandler {
    private let part: String
    private let format: LogFormat
    private let write: @Sendable ([UInt8]) -> Void
    /// For a protocol of the library.
    public var metadataProvider: Logger.MetadataProvider?
    /// Fields of every line.
    public var metadata: Logger.Metadata = [:]
    /// Lines below this are not written.
    public var logLevel: Logger.Level

    /// - Parameters:
    ///   - part: the part of the program that speaks.
    ///   - write: takes a whole line; standard error unless somebody else wants it.
    public init(
        _ part: String, level: Logger.Level, format: LogFormat, provider: Logger.MetadataProvider? = nil,
        write: @escaping @Sendable ([UInt8]) -> Void = StandardError.write
    ) {
        self.part = part
        self.format = format
        self.write = write
        metadataProvider = provider
        logLevel = level
    }

    /// For a protocol of the library.
    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// For a protocol of the library.
    public func log(event: LogEvent) {
        var fields = metadata
        if let provided = metadataProvider?.get() { fields.merge(provided) { _, new in new } }
        if let own = event.metadata { fields.merge(own) { _, new in new } }
        let line = LogLine(
            time: WallTime.now(), level: event.level, part: part, message: event.message.description,
            fields: fields.sorted { $0.key < $1.key }.map { ($0.key, "\($0.value)") })
        write(line.bytes(as: format))
    }
}

/// Where the log goes.
public enum StandardError {
    private static let turn = Mutex(())

    /// Writes all of it, lines of several threads one after the other. Where nobody reads any more it is lost.
    public static func write(_ bytes: [UInt8]) {
        turn.withLock { _ in
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return }
                rest = rest.dropFirst(count)
            }
        }
    }
}
