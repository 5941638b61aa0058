/// The fields of a record that this version does not know: they come out again when the record is written back.
///
/// For the types that travel through programs of several versions and are changed on the way. They take no part in
/// comparisons: two values that differ only in what is not understood here are the same to this version.
public struct UnknownFields: Sendable {
    private var members: [String: JSONTree] = [:]

    /// None.
    public init() {}

    /// All fields of the object but those that have a key.
    public init<Key: CodingKey>(of decoder: any Decoder, besides keys: Key.Type) throws {
        let container = try decoder.container(keyedBy: TextKey.self)
        for key in container.allKeys where Key(stringValue: key.stringValue) == nil {
            members[key.stringValue] = try container.decode(JSONTree.self, forKey: key)
        }
    }

    /// The same fields with the same values.
    public func isIdentical(to other: Self) -> Bool { members == other.members }

    /// Writes them beside what is known.
    public func encode(beside encoder: any Encoder) throws {
        guard !members.isEmpty else { return }
        var container = encoder.container(keyedBy: TextKey.self)
        for (name, value) in members { try container.encode(value, forKey: TextKey(stringValue: name)) }
    }
}

extension UnknownFields: Hashable {
    public static func == (left: Self, right: Self) -> Bool { true }
    public func hash(into hasher: inout Hasher) {}
}
