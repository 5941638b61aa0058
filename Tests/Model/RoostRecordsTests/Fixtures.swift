import Foundation
import RoostModel
import RoostRecords
import Testing

/// Every record as a version has written it. These files are kept for ever; a change of a record adds a folder.
struct Fixture: Sendable, CustomTestStringConvertible {
    let folder: String
    let name: String

    static let folders = ["first", "second", "third"]

    /// The records of the store. A machine's row in the ledger is read by its own room's tests.
    static let names = [
        "host", "machine", "volume", "app", "ip", "network", "cluster-spec", "cluster-placement", "cluster-obstacle",
        "cluster-secrets", "cluster-rule", "cluster-heartbeat", "cluster-report",
    ]

    static let all =
        folders.flatMap { folder in names.map { Fixture(folder: folder, name: $0) } }
        + ["operation", "cluster-identity"].map { Fixture(folder: "fourth", name: $0) }
        + ["host", "cluster-spec"].map { Fixture(folder: "fifth", name: $0) }
        + ["host"].map { Fixture(folder: "sixth", name: $0) }

    var testDescription: String { "\(folder)/\(name)" }

    func bytes() throws -> [UInt8] {
        let url = try #require(
            Bundle.module.url(forResource: name, withExtension: "json", subdirectory: "Fixtures/\(folder)"))
        return Array(try Data(contentsOf: url))
    }

    func tree() throws -> JSONTree { try JSONDecoder().decode(JSONTree.self, from: Data(try bytes())) }

    /// Reads bytes as the record of this name, with all that is unknown in it, and writes it back.
    func passThrough(_ bytes: [UInt8]) throws -> JSONTree {
        func pass<Record: Codable>(_ type: Record.Type) throws -> [UInt8] {
            try Evolving<Record>(reading: bytes).written()
        }
        let written =
            switch name {
            case "host": try pass(HostRecord.self)
            case "machine": try pass(MachineRecord.self)
            case "volume": try pass(VolumeRecord.self)
            case "app": try pass(AppRecord.self)
            case "ip": try pass(IPRecord.self)
            case "network": try pass(NetworkNumber.self)
            case "cluster-spec": try pass(ClusterSpec.self)
            case "cluster-placement": try pass(MemberPlacement.self)
            case "cluster-obstacle": try pass(ClusterObstacle.self)
            case "cluster-secrets": try pass(ClusterSecrets.self)
            case "cluster-identity": try pass(ClusterIdentity.self)
            case "cluster-rule": try pass(ClusterRule.self)
            case "cluster-heartbeat": try pass(Heartbeat.self)
            case "cluster-report": try pass(MemberReport.self)
            case "operation": try pass(OperationRecord.self)
            default: throw UnknownFixture(name: name)
            }
        return try JSONDecoder().decode(JSONTree.self, from: Data(written))
    }
}

struct UnknownFixture: Error {
    let name: String
}

extension JSONTree {
    /// The tree with a member of a newer version in every object.
    var fromTheFuture: JSONTree {
        switch self {
        case .object(let members):
            var members = members.mapValues(\.fromTheFuture)
            members["x_future"] = .text("kept")
            return .object(members)
        case .list(let elements): return .list(elements.map(\.fromTheFuture))
        default: return self
        }
    }

    /// Everything that is in `other` is here, too.
    func holds(_ other: JSONTree) -> Bool {
        switch (self, other) {
        case (.object(let members), .object(let others)):
            others.allSatisfy { key, value in members[key]?.holds(value) ?? false }
        case (.list(let elements), .list(let others)):
            elements.count == others.count && zip(elements, others).allSatisfy { $0.holds($1) }
        default: self == other
        }
    }

    subscript(_ path: String...) -> JSONTree? {
        get {
            path.reduce(self) { tree, key in
                guard case .object(let members)? = tree else { return nil }
                return members[key]
            }
        }
        set {
            guard let first = path.first, case .object(var members) = self, let newValue else { return }
            if path.count == 1 {
                members[first] = newValue
            } else if var inner = members[first], case .object(var deeper) = inner {
                deeper[path[1]] = newValue
                inner = .object(deeper)
                members[first] = inner
            }
            self = .object(members)
        }
    }
}
