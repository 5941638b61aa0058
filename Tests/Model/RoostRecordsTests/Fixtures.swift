import Foundation
import RoostModel
import RoostRecords
import RoostWire
import Testing

/// Every record as a version has written it. These files are kept for ever; a change of a record adds a folder.
struct Fixture: Sendable, Hashable, CustomTestStringConvertible {
    let folder: String
    let name: String

    /// Reads bytes as a record and writes it back.
    typealias Pass = @Sendable ([UInt8]) throws -> [UInt8]

    /// With all that is unknown in it.
    private static func kept<Record: Codable & SendableMetatype>(_ type: Record.Type) -> Pass {
        { try Evolving<Record>(reading: $0).written() }
    }

    /// Without what is unknown in it: nobody writes it back.
    private static func read<Record: Codable & SendableMetatype>(_ type: Record.Type) -> Pass {
        { try RecordCodec.write(try RecordCodec.read(Record.self, from: $0)) }
    }

    /// The records of the store. scripts/records.py complains of a type that is neither here, nor in ``sent``, nor in its
    /// own list.
    static let stored: [String: Pass] = [
        "host": kept(HostRecord.self), "host-small": kept(HostRecord.self), "machine": kept(MachineRecord.self),
        "volume": kept(VolumeRecord.self), "generation": kept(Generation.self), "app": kept(AppRecord.self),
        "machine-name": kept(MachineNameRecord.self), "ip": kept(IPRecord.self), "network": kept(NetworkNumber.self),
        "network-counter": kept(NetworkNumber.self), "cluster-spec": kept(ClusterSpec.self),
        "cluster-placement": kept(MemberPlacement.self), "cluster-obstacle": kept(ClusterObstacle.self),
        "cluster-secrets": kept(ClusterSecrets.self), "cluster-identity": kept(ClusterIdentity.self),
        "cluster-rule": kept(ClusterRule.self), "cluster-heartbeat": kept(Heartbeat.self),
        "cluster-report": kept(MemberReport.self), "operation": kept(OperationRecord.self),
    ]

    /// What programs of two versions say to each other.
    static let sent: [String: Pass] = [
        "cluster-view": read(ClusterView.self), "change-rule-request": read(ChangeRuleRequest.self),
        "heartbeat-request": read(HeartbeatRequest.self), "change-outcome": read(ChangeOutcome.self),
        "gate-request": read(GateRequest.self), "lease-word": read(LeaseWord.self),
        "edge-greeting": read(EdgeGreeting.self),
        "edge-identity": read(EdgeIdentityBody.self), "edge-route": read(EdgeRouteBody.self),
        "edge-route-gone": read(EdgeRouteGoneBody.self), "edge-listeners": read(EdgeListenersBody.self),
        "edge-retirement": read(EdgeRetirementBody.self), "edge-report": read(EdgeReportBody.self),
        "edge-count": read(EdgeCountBody.self), "recovery": read(RecoveryBody.self),
    ]

    /// Of rooms that are above this one; their own tests read these files.
    static let elsewhere: Set<String> = [
        "ledger-machine", "ledger-machine-resting", "ledger-machine-due", "ledger-volume", "machine-order",
        "volume-order",
    ]

    /// Every file that is there.
    static let files: [Fixture] = {
        guard let folder = Bundle.module.url(forResource: "Fixtures", withExtension: nil) else { return [] }
        let paths = FileManager.default.subpaths(atPath: folder.path) ?? []
        return paths.sorted().compactMap { path in
            let parts = path.split(separator: "/").map(String.init)
            guard parts.count == 2, parts[1].hasSuffix(".json") else { return nil }
            return Fixture(folder: parts[0], name: String(parts[1].dropLast(5)))
        }
    }()

    static let all = files.filter { !elsewhere.contains($0.name) }

    var testDescription: String { "\(folder)/\(name)" }

    func bytes() throws -> [UInt8] {
        let url = try #require(
            Bundle.module.url(forResource: name, withExtension: "json", subdirectory: "Fixtures/\(folder)"))
        return Array(try Data(contentsOf: url))
    }

    func tree() throws -> JSONTree { try JSONDecoder().decode(JSONTree.self, from: Data(try bytes())) }

    /// Reads bytes as the record of this name and writes it back.
    func passThrough(_ bytes: [UInt8]) throws -> JSONTree {
        let pass = try #require(Self.stored[name] ?? Self.sent[name], "nobody says which record \(name) is")
        return try JSONDecoder().decode(JSONTree.self, from: Data(try pass(bytes)))
    }
}

/// A place in a record where there is a word that later versions may have more of.
struct Word: Sendable, CustomTestStringConvertible {
    let type: any OpenEnum.Type
    let name: String
    let path: [String]

    init(_ type: any OpenEnum.Type, in name: String, at path: String...) {
        (self.type, self.name, self.path) = (type, name, path)
    }

    var testDescription: String { "\(type) in \(name)" }

    /// All there are: scripts/records.py looks for each `OpenEnum` here. Those of events are in the ledger, and looked at
    /// there.
    static let all = [
        Word(MachineState.self, in: "machine", at: "state"), Word(OwnerKind.self, in: "machine", at: "owner", "kind"),
        Word(MachineGuest.CPUKind.self, in: "machine", at: "config", "guest", "cpu_kind"),
        Word(MachineRestart.Policy.self, in: "machine", at: "config", "restart", "policy"),
        Word(VolumeState.self, in: "volume", at: "state"),
        Word(MachineGuest.CPUKind.self, in: "volume", at: "reserved", "cpu_kind"),
        Word(OwnerKind.self, in: "app", at: "owner"),
        Word(MachineGuest.CPUKind.self, in: "cluster-spec", at: "guest", "cpu_kind"),
        Word(SurvivalGoal.self, in: "cluster-spec", at: "survive"),
        Word(MemberReport.State.self, in: "cluster-report", at: "state"),
        Word(MemberReport.Role.self, in: "cluster-report", at: "role"),
        Word(MemberData.self, in: "cluster-report", at: "data"),
        Word(Recruitment.Reason.self, in: "cluster-rule", at: "recruitment", "reason"),
        Word(OperationRecord.Kind.self, in: "operation", at: "kind"),
        Word(OperationRecord.State.self, in: "operation", at: "state"),
    ]
}

extension JSONTree {
    /// The tree with a member of a newer version in every object.
    var fromTheFuture: JSONTree {
        switch self {
        case .object(let members):
            // What is counted is no field: its names are data.
            var future: [String: JSONTree] = [:]
            for (name, member) in members { future[name] = name == "counters" ? member : member.fromTheFuture }
            future["x_future"] = .text("kept")
            return .object(future)
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

    /// Nil where there is no such member.
    subscript(_ path: String...) -> JSONTree? { self[path] }

    subscript(_ path: [String]) -> JSONTree? {
        path.reduce(self) { tree, key in
            guard case .object(let members)? = tree else { return nil }
            return members[key]
        }
    }

    /// Sets a member, whose object must be there.
    mutating func set(_ path: String..., to value: JSONTree) throws { try set(path[...], to: value) }

    mutating func set(_ path: ArraySlice<String>, to value: JSONTree) throws {
        guard case .object(var members) = self, let name = path.first else { throw NoSuchObject(path: Array(path)) }
        if path.count == 1 {
            members[name] = value
        } else {
            guard var inner = members[name] else { throw NoSuchObject(path: Array(path)) }
            try inner.set(path.dropFirst(), to: value)
            members[name] = inner
        }
        self = .object(members)
    }
}

struct NoSuchObject: Error {
    let path: [String]
}
