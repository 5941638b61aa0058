/// An enum that is kept or sent as a word, and whose list of words grows from version to version.
///
/// A word that this version does not know is kept as it is and means "unknown, hands off": it survives being read and
/// written back, and a `switch` has to say what to do with it.
public protocol OpenEnum: RawRepresentable<String>, Hashable, Sendable, Codable, CustomStringConvertible {
    /// All that this version knows.
    static var known: [Self] { get }
    /// A word that this version does not know.
    static func unknown(_ word: String) -> Self
}

/// The longest word of an ``OpenEnum`` that is read, in bytes.
public let openEnumWordMax = 64

extension OpenEnum {
    /// The case that is written as the word, or the word itself.
    public static func of(_ word: String) -> Self {
        known.first { $0.rawValue == word } ?? .unknown(word)
    }

    /// For what people ask for: nil for a word that this version does not know.
    public init?(known word: String) {
        guard let value = Self.known.first(where: { $0.rawValue == word }) else { return nil }
        self = value
    }

    /// As ``of(_:)``.
    public init(rawValue word: String) { self = .of(word) }

    /// The word.
    public var description: String { rawValue }

    /// False for a word of a newer version.
    public var isKnown: Bool { Self.known.contains(self) }

    /// Reads a word, known or not.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let word = try container.decode(String.self)
        guard word.utf8.count <= openEnumWordMax else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "a word has at most \(openEnumWordMax) bytes")
        }
        self = .of(word)
    }
}
