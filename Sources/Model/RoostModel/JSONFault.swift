/// Why JSON is not what was expected, in words for whoever wrote it: without names of Swift's types, which are in the
/// texts of its decoder.
public struct JSONFault: Hashable, Sendable {
    /// Where: `config.mounts.0.path`. Empty: the whole.
    public let place: String
    /// What is wrong there, to follow a name: `is missing`.
    public let words: String

    /// - Parameter error: a decoder's, of any kind.
    public init(_ error: any Error) {
        switch error {
        case DecodingError.keyNotFound(let key, let context):
            self.init(context.codingPath + [key], "is missing")
        case DecodingError.valueNotFound(let type, let context):
            self.init(context.codingPath, "has the wrong type: it is null and not \(Self.noun(of: type))")
        case DecodingError.typeMismatch(let type, let context):
            self.init(context.codingPath, "has the wrong type: it is not \(Self.noun(of: type))")
        case DecodingError.dataCorrupted(let context):
            // The decoder does not say where a text is no JSON, or a number none that its place can hold.
            self.init(
                context.codingPath,
                context.codingPath.isEmpty
                    ? "is not valid JSON, or a number in it does not fit where it stands"
                    : "is wrong: \(context.debugDescription)")
        default: self.init([], "cannot be read: \(error)")
        }
    }

    private init(_ path: [any CodingKey], _ words: String) {
        place = path.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
        self.words = words
    }

    /// - Parameter whole: what the JSON is, for a fault that has no place in it: `the request's body`.
    public func text(of whole: String) -> String { place.isEmpty ? "\(whole) \(words)" : "field '\(place)' \(words)" }

    /// What a decoder was asked for, as JSON has it.
    private static func noun(of type: any Any.Type) -> String {
        switch type {
        case is String.Type: "a text"
        case is Bool.Type: "true or false"
        case is any BinaryInteger.Type: "a whole number"
        case is any BinaryFloatingPoint.Type: "a number"
        case is [String: Any].Type: "an object"
        case is [Any].Type: "a list"
        default: "what belongs there"
        }
    }
}

/// An enum whose words are all there will be: any other is refused, and the refusal says which there are.
public protocol ClosedEnum: RawRepresentable<String>, CaseIterable, Hashable, Sendable, Codable {}

extension ClosedEnum {
    /// Reads one of its words.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let word = try container.decode(String.self)
        guard let value = Self(rawValue: word) else {
            throw DecodingError.dataCorruptedError(
                in: container,
                debugDescription:
                    "'\(word.prefix(openEnumWordMax))' is none of \(Self.allCases.map(\.rawValue).joined(separator: ", "))"
            )
        }
        self = value
    }
}
