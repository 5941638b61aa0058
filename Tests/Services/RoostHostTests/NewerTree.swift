import Foundation
import RoostModel
import RoostRecords
import Testing

/// The records as each version has written them: files of RoostRecordsTests, which keeps those of all rooms.
enum RecordFixture {
    static func bytes(_ name: String, from folder: String, as ending: String = "json") throws -> [UInt8] {
        let file = URL(filePath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Model/RoostRecordsTests/Fixtures/\(folder)/\(name).\(ending)")
        return Array(try Data(contentsOf: file))
    }

    static func tree(_ name: String, from folder: String) throws -> JSONTree {
        try JSONTree(json: try bytes(name, from: folder))
    }
}

extension JSONTree {
    init(json bytes: [UInt8]) throws { self = try JSONDecoder().decode(JSONTree.self, from: Data(bytes)) }

    func json() throws -> [UInt8] { try RecordCodec.write(self) }

    /// The tree with a member of a newer version in every object.
    var fromTheFuture: JSONTree {
        switch self {
        case .object(let members):
            var members = members.mapValues(\.fromTheFuture)
            members["x_future"] = .text("kept")
            return .object(members)
        case .list(let elements): return .list(elements.map(\.fromTheFuture))
        case .null, .bool, .integer, .natural, .number, .text: return self
        }
    }

    /// Everything that is in `other` is here, too.
    func holds(_ other: JSONTree) -> Bool {
        switch (self, other) {
        case (.object(let members), .object(let others)):
            others.allSatisfy { key, value in members[key]?.holds(value) ?? false }
        case (.list(let elements), .list(let others)):
            elements.count == others.count && zip(elements, others).allSatisfy { $0.holds($1) }
        case (.object, _), (.list, _), (.null, _), (.bool, _), (.integer, _), (.natural, _), (.number, _), (.text, _):
            self == other
        }
    }

    /// Nil where there is no such member.
    subscript(_ path: String...) -> JSONTree? {
        path.reduce(self) { tree, key in
            guard case .object(let members)? = tree else { return nil }
            return members[key]
        }
    }

    /// The tree with one member changed, which must be there.
    func changing(_ path: String..., to value: JSONTree?) throws -> JSONTree { try changing(path[...], to: value) }

    private func changing(_ path: ArraySlice<String>, to value: JSONTree?) throws -> JSONTree {
        guard case .object(var members) = self, let name = path.first else {
            Issue.record("no object with a member \(path)")
            return self
        }
        let present = try #require(members[name], "no member \(name)")
        members[name] = path.count == 1 ? value : try present.changing(path.dropFirst(), to: value)
        return .object(members)
    }
}
