/// A name or number that only means something together with its kind.
///
/// Ids are typed so that the compiler, not a reviewer, notices when a volume's id is passed where a machine's
/// belongs. Each kind validates its own text; a value of this type is always valid.
public struct ID<Kind: IDKind>: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The id as it is kept and sent.
    public let text: String

    /// Takes a text from outside.
    /// - Throws: ``InvalidValue`` with the rule of the kind.
    public init(_ text: String) throws(InvalidValue) {
        guard text.utf8.count <= Kind.lengthMax, Kind.accepts(text) else {
            throw InvalidValue(kind: Kind.noun, value: text, rule: Kind.rule)
        }
        self.text = text
    }

    init(trusted text: String) {
        self.text = text
    }

    public var description: String { text }

    public static func < (left: Self, right: Self) -> Bool { left.text < right.text }
}

/// What makes a text an id of one kind.
public protocol IDKind: Sendable {
    /// What it is called in the error a user sees, for example `app name`.
    static var noun: String { get }
    /// The rule in words, for the error a user sees.
    static var rule: String { get }
    /// In bytes; longer texts are refused before they are looked at.
    static var lengthMax: Int { get }
    /// Whether a text of at most ``lengthMax`` bytes is one.
    static func accepts(_ text: String) -> Bool
}

extension ID: Codable {
    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        do {
            try self.init(text)
        } catch {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: error.description))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}

extension ID: CodingKeyRepresentable {
    public var codingKey: any CodingKey { TextKey(stringValue: text) }

    /// Nil for a key that breaks the kind's rule: a dictionary from elsewhere has no such keys.
    public init?(codingKey: some CodingKey) {
        guard let id = try? ID(codingKey.stringValue) else { return nil }
        self = id
    }
}

struct TextKey: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}

/// A value from outside that breaks the rule of its kind.
public struct InvalidValue: Error, Equatable, CustomStringConvertible {
    /// What the value was taken for, for example `IPv4 address`.
    public let kind: String
    /// As it came, at any length; ``description`` shows its beginning.
    public let value: String
    /// What would have been right, in words that follow a colon.
    public let rule: String

    /// For readers of text from outside.
    public init(kind: String, value: String, rule: String) {
        self.kind = kind
        self.value = value
        self.rule = rule
    }

    /// As much of the value as a person needs to recognise it.
    static let shownMax = 80

    public var description: String {
        let shown = value.count > Self.shownMax ? "\(value.prefix(Self.shownMax))…" : value
        return "'\(shown)' is not a valid \(kind): \(rule)"
    }
}

// MARK: - Kinds

/// Of an app, and of what is named as one: a Postgres cluster. Unique on the planet, by the store.
public typealias AppName = ID<AppNameKind>
/// Of a host, from its configuration. Its mesh address follows from it: renamed, it would be another host.
public typealias HostName = ID<HostNameKind>
/// Of a region. Whoever configures hosts decides which there are; Fly.io's are three letters.
public typealias RegionCode = ID<RegionKind>
/// Of a machine. Random; its mesh address follows from it.
public typealias MachineID = ID<MachineKind>
/// Of a volume. Random.
public typealias VolumeID = ID<VolumeKind>
/// Of a cluster's member, `<cluster>-<number>` (``PostgresNames/member(_:of:)``). It outlives its machine.
public typealias MemberName = ID<MemberKind>
/// Of a private network that apps may share. An app that names none gets one named as itself.
public typealias NetworkName = ID<NetworkKind>

/// Lower-case DNS label: names become host names, file names and store keys.
private func isLabel(_ text: String, first: (UInt8) -> Bool = isLowerOrDigit) -> Bool {
    let bytes = text.utf8
    guard let head = bytes.first, let tail = bytes.last else { return false }
    return first(head) && isLowerOrDigit(tail) && bytes.allSatisfy { isLowerOrDigit($0) || $0 == UInt8(ascii: "-") }
}

private func isLower(_ byte: UInt8) -> Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) }
private func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
private func isLowerOrDigit(_ byte: UInt8) -> Bool { isLower(byte) || isDigit(byte) }
private func isLowerHex(_ byte: UInt8) -> Bool {
    isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
}

/// What a name that is a DNS label may be, in words that follow a colon. Every refusal of one says it, so that none leaves
/// out what another says.
public enum LabelRule {
    /// - Parameter lengthMax: In bytes; what is named may leave less room than the 63 of a DNS label.
    public static func words(upTo lengthMax: Int = 63) -> String {
        "use 1 to \(lengthMax) \(letters)"
    }

    /// The same without how many.
    public static let letters =
        "lower-case letters, digits and '-', starting with a letter and ending with a letter or digit"
}

private let labelRule = LabelRule.words()

/// A DNS label: it is part of host names and keys.
public enum AppNameKind: IDKind {
    public static let noun = "app name"
    public static let rule = labelRule
    public static let lengthMax = 63
    public static func accepts(_ text: String) -> Bool { isLabel(text, first: isLower) }
}

/// A DNS label: it is a key of the store, and the name of files.
public enum HostNameKind: IDKind {
    public static let noun = "host name"
    public static let rule = labelRule
    public static let lengthMax = 63
    public static func accepts(_ text: String) -> Bool { isLabel(text, first: isLower) }
}

/// Two to eight lower-case letters.
public enum RegionKind: IDKind {
    public static let noun = "region"
    public static let rule = "use 2 to 8 lower-case letters, for example ams"
    public static let lengthMax = 8
    public static func accepts(_ text: String) -> Bool { text.utf8.count >= 2 && text.utf8.allSatisfy(isLower) }
}

/// Fly.io's form: 14 hexadecimal digits.
public enum MachineKind: IDKind {
    public static let noun = "machine id"
    public static let rule = "a machine id has 14 hexadecimal digits"
    public static let lengthMax = 14
    public static func accepts(_ text: String) -> Bool { text.utf8.count == 14 && text.utf8.allSatisfy(isLowerHex) }
}

/// Fly.io's form: `vol_` and 16 letters or digits.
public enum VolumeKind: IDKind {
    public static let noun = "volume id"
    public static let rule = "a volume id is 'vol_' followed by 16 lower-case letters or digits"
    public static let lengthMax = 20
    public static func accepts(_ text: String) -> Bool {
        text.hasPrefix("vol_") && text.utf8.count == 20 && text.utf8.dropFirst(4).allSatisfy(isLowerOrDigit)
    }
}

/// A DNS label. Postgres cuts what is made of longer ones: ``PostgresNames``.
public enum MemberKind: IDKind {
    public static let noun = "member name"
    public static let rule = labelRule
    public static let lengthMax = 63
    public static func accepts(_ text: String) -> Bool { isLabel(text, first: isLower) }
}

/// A DNS label: it is a key of the store.
public enum NetworkKind: IDKind {
    public static let noun = "network name"
    public static let rule = labelRule
    public static let lengthMax = 63
    public static func accepts(_ text: String) -> Bool { isLabel(text, first: isLower) }
}

extension ID where Kind == MachineKind {
    /// A new one of 56 random bits. A host refuses an id that its ledger has for another machine.
    public static func random(using generator: inout some RandomNumberGenerator) -> Self {
        let digits = Array("0123456789abcdef")
        return ID(trusted: String((0..<14).map { _ in digits[Int.random(in: 0..<16, using: &generator)] }))
    }

    /// The 56 bits the id spells.
    public var bits: UInt64 { UInt64(text, radix: 16) ?? 0 }
}

extension ID where Kind == VolumeKind {
    /// A new one of some 82 random bits. A host refuses an id that its ledger has for another volume.
    public static func random(using generator: inout some RandomNumberGenerator) -> Self {
        let letters = Array("0123456789abcdefghijklmnopqrstuvwxyz")
        return ID(
            trusted: "vol_" + String((0..<16).map { _ in letters[Int.random(in: 0..<36, using: &generator)] }))
    }
}
