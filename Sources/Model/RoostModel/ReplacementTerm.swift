/// When a member whose host stays lost is replaced without anybody's asking.
public enum ReplacementTerm: Hashable, Sendable, CustomStringConvertible {
    /// When nothing of it was heard for so long.
    case after(Duration)
    /// Only when a person asks.
    case never
    /// Of a newer version: nobody acts by what he does not understand.
    case unknown(String)

    /// Of a cluster of which nobody has said anything else.
    public static let standard = Self.after(.seconds(600))
    /// A failover and a restart of a host's programs are over by then.
    public static let shortest = Duration.seconds(10)
    /// A week.
    public static let longest = Duration.seconds(7 * 24 * 3600)

    /// As people write it: `never`, or a duration.
    /// - Throws: ``InvalidValue`` for another text, and for a duration that is not within the bounds.
    public init(_ text: String) throws(InvalidValue) {
        if text == Self.never.description {
            self = .never
            return
        }
        guard let term = try? DurationText(text).duration, (Self.shortest...Self.longest).contains(term) else {
            throw InvalidValue(
                kind: "time until a lost member is replaced", value: text,
                rule: "never, or a duration from 10s to 168h, for example 10m")
        }
        self = .after(term)
    }

    /// What ``init(_:)`` reads.
    public var description: String {
        switch self {
        case .after(let term): Self.words(for: term)
        case .never: "never"
        case .unknown(let text): text
        }
    }
}

extension ReplacementTerm {
    private static func words(for term: Duration) -> String {
        let (seconds, rest) = term.components
        guard rest == 0, seconds.isMultiple(of: 60) else { return DurationText(term).description }
        return seconds.isMultiple(of: 3600) ? "\(seconds / 3600)h" : "\(seconds / 60)m"
    }
}

extension ReplacementTerm: Codable {
    /// A text that is not understood spoils nothing but this: see ``unknown(_:)``.
    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        self = (try? Self(text)) ?? .unknown(String(text.prefix(openEnumWordMax)))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
