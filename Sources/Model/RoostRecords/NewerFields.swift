import FoundationEssentials
import RoostModel

/// What a newer program has put into a record, at any depth, beside the fields that this version knows.
///
/// For whoever keeps records while it runs and writes them again and again: what is here is all that has to be kept of
/// the bytes that were read. As a rule there is nothing to keep.
public struct NewerFields: Hashable, Sendable {
    private var tree: JSONTree

    /// Nil when there is nothing that this version does not know.
    ///
    /// - Parameters:
    ///   - bytes: the record was read from these, and is as it was read.
    ///   - former: members of the record that this version knows and does not always write.
    /// - Throws: `DecodingError` when the bytes are not JSON.
    public init?(in bytes: [UInt8], of record: some Encodable, former: Set<String> = []) throws {
        // What this version has written itself it would write again so.
        guard try RecordCodec.write(record) != bytes else { return nil }
        let present = try JSONDecoder().decode(JSONTree.self, from: Data(bytes))
        // What was understood comes out again; what does not was not known.
        guard var unknown = present.without(try JSONTree(of: record)) else { return nil }
        if case .object(var members) = unknown {
            for name in former { members[name] = nil }
            guard members.keys.contains(where: { !JSONTree.identities.contains($0) }) else { return nil }
            unknown = .object(members)
        }
        tree = unknown
    }

    private init(_ tree: JSONTree) { self.tree = tree }

    /// The record with what is unknown put back where it still belongs.
    ///
    /// - Returns: also what is unknown in these bytes: what belonged to something that has gone is forgotten with it.
    fileprivate func written(beside record: some Encodable) throws -> (bytes: [UInt8], left: NewerFields?) {
        let known = try JSONTree(of: record)
        var whole = known
        whole.add(tree)
        return (try RecordCodec.write(whole), whole.without(known).map { NewerFields($0) })
    }
}

extension NewerFields {
    /// Takes out what is unknown in the elements of some of the lists of the record.
    ///
    /// - Returns: for each element, by its id.
    public static func takeElements(of lists: Set<String>, from all: inout NewerFields?) -> [String: NewerFields] {
        guard case .object(var members)? = all?.tree else { return [:] }
        var taken: [String: NewerFields] = [:]
        for list in lists {
            guard case .list(let elements)? = members.removeValue(forKey: list) else { continue }
            for element in elements {
                if case .object(let fields) = element, case .text(let id)? = fields["id"] { taken[id] = Self(element) }
            }
        }
        all = members.isEmpty ? nil : Self(.object(members))
        return taken
    }

    /// The opposite of ``takeElements(of:from:)``, for one list.
    public static func put(_ elements: [String: NewerFields], in list: String, of all: inout NewerFields?) {
        guard !elements.isEmpty else { return }
        var members: [String: JSONTree] = [:]
        if case .object(let present)? = all?.tree { members = present }
        members[list] = .list(
            elements.sorted { $0.key < $1.key }.map { id, newer in
                guard case .object(var fields) = newer.tree else { return newer.tree }
                fields["id"] = .text(id)
                return .object(fields)
            })
        all = Self(.object(members))
    }
}

extension RecordCodec {
    /// Writes a record with what a newer program has put into it, and keeps of that what is still there.
    public static func write(_ record: some Encodable, beside newer: inout NewerFields?) throws -> [UInt8] {
        guard let present = newer else { return try write(record) }
        let written = try present.written(beside: record)
        newer = written.left
        return written.bytes
    }
}

extension JSONTree {
    /// Members that say which thing an object is.
    fileprivate static let identities = ["id", "name"]
    /// Members by which an element of a list is known again.
    private static let names = ["id", "name", "member", "epoch", "volume"]

    fileprivate init(of record: some Encodable) throws {
        self = try JSONDecoder().decode(JSONTree.self, from: try JSONEncoder().encode(record))
    }

    private var name: JSONTree? {
        guard case .object(let members) = self else { return nil }
        return Self.names.lazy.compactMap { members[$0] }.first
    }

    /// The members that `known` does not have, beside the identity of what they are in; nil when there are none.
    fileprivate func without(_ known: JSONTree) -> JSONTree? {
        switch (self, known) {
        case (.object(let members), .object(let others)):
            var rest: [String: JSONTree] = [:]
            for (key, member) in members {
                guard let other = others[key] else {
                    rest[key] = member
                    continue
                }
                if let inner = member.without(other) { rest[key] = inner }
            }
            guard !rest.isEmpty else { return nil }
            for key in Self.identities where others[key] == members[key] { rest[key] = members[key] }
            return .object(rest)
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

    /// Adds what is not there. Nothing that is there changes, and nothing is added to a thing that has taken the place
    /// of another one: what a newer program says of a machine that runs it does not say of one that ends.
    fileprivate mutating func add(_ unknown: JSONTree) {
        switch (self, unknown) {
        case (.object(var members), .object(let others)):
            let isAnother = Self.identities.contains { key in
                if let own = members[key], let other = others[key] { own != other } else { false }
            }
            guard !isAnother else { return }
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
