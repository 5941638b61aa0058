import FoundationEssentials
import RoostModel

/// How records become bytes and come back.
public enum RecordCodec {
    /// Reads a record and believes everything in it that can be read.
    public static func read<Record: Decodable>(_ type: Record.Type, from bytes: [UInt8]) throws -> Record {
        try JSONDecoder().decode(type, from: Data(bytes))
    }

    /// Writes a record that is wholly its writer's own.
    public static func write(_ record: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        // Equal records are equal bytes, whoever writes them.
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(record))
    }

    /// Writes a record over what is there, and leaves alone what a newer program has put beside it.
    public static func write<Record: Codable>(_ record: Record, over present: [UInt8]) throws -> [UInt8] {
        guard var evolving = try? Evolving<Record>(reading: present) else { return try write(record) }
        evolving.record = record
        return try evolving.written()
    }
}

/// A record together with the fields, at any depth, that this version does not know. Read, changed and written back,
/// they are still there.
public struct Evolving<Record: Codable> {
    /// May be changed; what is unknown stays beside it.
    public var record: Record
    private let unknown: JSONTree?

    /// Reads the bytes twice, as the record and as a tree; what the record does not write again was unknown.
    /// - Throws: `DecodingError` when they are not JSON, or not such a record.
    public init(reading bytes: [UInt8]) throws {
        let data = Data(bytes)
        record = try JSONDecoder().decode(Record.self, from: data)
        let present = try JSONDecoder().decode(JSONTree.self, from: data)
        // What was understood comes out again; what does not was not known.
        unknown = present.without(try Self.tree(of: record))
    }

    /// The record as it is now, with what was unknown put back where it still belongs: in a list, beside the element
    /// with the same name.
    public func written() throws -> [UInt8] {
        var tree = try Self.tree(of: record)
        if let unknown { tree.add(unknown) }
        return try RecordCodec.write(tree)
    }

    private static func tree(of record: Record) throws -> JSONTree {
        try JSONDecoder().decode(JSONTree.self, from: try JSONEncoder().encode(record))
    }
}

extension JSONTree {
    /// Members by which an element of a list is known again.
    private static let names = ["id", "name", "member", "epoch", "volume"]

    private var name: JSONTree? {
        guard case .object(let members) = self else { return nil }
        return Self.names.lazy.compactMap { members[$0] }.first
    }

    /// The members that `known` does not have; nil when there are none.
    func without(_ known: JSONTree) -> JSONTree? {
        switch (self, known) {
        case (.object(let members), .object(let others)):
            let rest = members.compactMapValues { $0 }.reduce(into: [String: JSONTree]()) { rest, member in
                guard let other = others[member.key] else {
                    rest[member.key] = member.value
                    return
                }
                if let inner = member.value.without(other) { rest[member.key] = inner }
            }
            return rest.isEmpty ? nil : .object(rest)
        case (.list(let elements), .list(let others)):
            // Elements that have nothing unknown in them are left out; the others keep their name.
            let rest = elements.compactMap { element -> JSONTree? in
                guard let name = element.name, let other = others.first(where: { $0.name == name }),
                    case .object(var members)? = element.without(other), case .object(let all) = element
                else { return nil }
                for key in Self.names where all[key] == name { members[key] = name }
                return .object(members)
            }
            return rest.isEmpty ? nil : .list(rest)
        default: return nil
        }
    }

    /// Adds what is not there. Nothing that is there changes.
    mutating func add(_ unknown: JSONTree) {
        switch (self, unknown) {
        case (.object(var members), .object(let others)):
            for (key, other) in others {
                if var member = members[key] {
                    member.add(other)
                    members[key] = member
                } else {
                    members[key] = other
                }
            }
            self = .object(members)
        case (.list(let elements), .list(let others)):
            self = .list(
                elements.map { element in
                    guard let name = element.name, let other = others.first(where: { $0.name == name }) else {
                        return element
                    }
                    var element = element
                    element.add(other)
                    return element
                })
        default: break
        }
    }
}
