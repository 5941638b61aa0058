/// Any JSON: what a version carries along without knowing what it means.
public enum JSONTree: Hashable, Sendable {
    /// JSON's own, not an absent value.
    case null
    /// `true` or `false`; never a number.
    case bool(Bool)
    /// A whole number that fits.
    case integer(Int64)
    /// A whole number above what ``integer(_:)`` takes.
    case natural(UInt64)
    /// What is no whole number, or too large for one; so its last digits may change.
    case number(Double)
    /// A string, unescaped.
    case text(String)
    /// An array, in its order.
    case list([JSONTree])
    /// Members by their names; their order is not kept.
    case object([String: JSONTree])
}

extension JSONTree {
    /// Null, false, zero, or nothing in it: what clients send for a field that their user did not set.
    public var isUnset: Bool {
        switch self {
        case .null: true
        case .bool(let value): !value
        case .integer(let value): value == 0
        case .natural(let value): value == 0
        case .number(let value): value == 0
        case .text(let text): text.isEmpty
        case .list(let elements): elements.isEmpty
        case .object(let members): members.values.allSatisfy(\.isUnset)
        }
    }

    /// The path of a member that is set here and that another tree has no place for: `init.swap`, `mounts.0.size`.
    public func firstMember(notIn other: JSONTree) -> String? {
        switch (self, other) {
        case (.object(let members), .object(let others)):
            for (name, value) in members.sorted(by: { $0.key < $1.key }) where !value.isUnset {
                guard let counterpart = others[name] else { return name }
                if let inner = value.firstMember(notIn: counterpart) { return name + "." + inner }
            }
        case (.list(let elements), .list(let others)):
            for (index, pair) in zip(elements, others).enumerated() {
                if let inner = pair.0.firstMember(notIn: pair.1) { return "\(index).\(inner)" }
            }
        case (.object, _), (.list, _), (.null, _), (.bool, _), (.integer, _), (.natural, _), (.number, _), (.text, _):
            break
        }
        return nil
    }
}

extension JSONTree: Codable {
    public init(from decoder: any Decoder) throws {
        if let container = try? decoder.container(keyedBy: TextKey.self) {
            var members: [String: JSONTree] = [:]
            for key in container.allKeys { members[key.stringValue] = try container.decode(JSONTree.self, forKey: key) }
            self = .object(members)
            return
        }
        if var container = try? decoder.unkeyedContainer() {
            var elements: [JSONTree] = []
            while !container.isAtEnd { elements.append(try container.decode(JSONTree.self)) }
            self = .list(elements)
            return
        }
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int64.self) {
            self = .integer(value)
        } else if let value = try? container.decode(UInt64.self) {
            self = .natural(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else {
            self = .text(try container.decode(String.self))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        switch self {
        case .object(let members):
            var container = encoder.container(keyedBy: TextKey.self)
            for (name, value) in members { try container.encode(value, forKey: TextKey(stringValue: name)) }
        case .list(let elements):
            var container = encoder.unkeyedContainer()
            for element in elements { try container.encode(element) }
        case .null:
            var container = encoder.singleValueContainer()
            try container.encodeNil()
        case .bool(let value): try Self.write(value, to: encoder)
        case .integer(let value): try Self.write(value, to: encoder)
        case .natural(let value): try Self.write(value, to: encoder)
        case .number(let value): try Self.write(value, to: encoder)
        case .text(let value): try Self.write(value, to: encoder)
        }
    }

    private static func write(_ value: some Encodable, to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(value)
    }
}
