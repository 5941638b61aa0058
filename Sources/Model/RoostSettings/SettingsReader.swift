public import Foundation
import RoostModel

/// A host's settings, with where each of them comes from.
public struct SettingsInForce: Sendable {
    /// The whole, as the program takes it.
    public let settings: HostSettings
    private let values: [String: JSONTree]
    private let origins: [String: SettingsOrigin]

    /// One setting as people are shown it.
    public struct Line: Hashable, Sendable, Codable {
        /// Dotted.
        public let key: String
        /// As JSON.
        public let value: JSONTree
        /// Who said so.
        public let origin: SettingsOrigin

        /// The value on one line.
        public var text: String { SettingsInForce.text(of: value) }
    }

    static let hidden = JSONTree.text("(set, not shown)")

    /// Names that other programs of this house read, and that are no mistakes in `roostd`'s environment.
    static let foreignVariables: Set<String> = ["ROOST_API", "ROOST_TOKEN", "ROOST_LAB", "ROOST_BIN"]

    /// Reads the file, the environment (`ROOST_…`) and flags; a later one counts more. Refuses every name that is not
    /// known, and says everything that is wrong at once.
    ///
    /// - Parameter path: the file's, for messages.
    public init(file: Data, path: String, environment: [String: String] = [:], flags: [String] = [])
        throws(SettingsError)
    {
        let tree: JSONTree
        do { tree = try JSONDecoder().decode(JSONTree.self, from: file) } catch {
            throw SettingsError(path: path, problems: [JSONFault(error).text(of: "it")])
        }
        guard case .object(let members) = tree else {
            throw SettingsError(path: path, problems: ["it must be one JSON object"])
        }
        if let name = JSONKeys.repeated(in: Array(file)) {
            throw SettingsError(path: path, problems: ["'\(name)' is there twice"])
        }
        var reading = SettingsReading(HostSettings.catalogue)
        for (name, value) in members.sorted(by: { $0.key < $1.key }) { reading.take(value, at: name, from: .file) }
        reading.takeEnvironment(environment, foreign: Self.foreignVariables)
        reading.takeFlags(flags)
        reading.finish(optionalGroups: HostSettings.optionalGroups)
        Self.compare(&reading)
        guard reading.problems.isEmpty else {
            throw SettingsError(path: path, problems: reading.problems.map(\.words))
        }
        do {
            let data = try JSONEncoder().encode(Self.nested(reading.values))
            settings = try JSONDecoder().decode(HostSettings.self, from: data)
        } catch {
            throw SettingsError(path: path, problems: [JSONFault(error).text(of: "it")])
        }
        values = reading.values
        origins = reading.origins
    }

    /// What one setting asks of another.
    private static func compare(_ reading: inout SettingsReading) {
        let values = reading.values
        if values["store.backend"] == .text("etcd"), values["store.endpoints"] == .list([]) {
            reading.complain(SettingsProblem("'store.endpoints' must name etcd's members"))
        }
        if values["edge.uplinks"] == .list([]) {
            reading.complain(
                SettingsProblem("'edge.uplinks' must have a provider; leave 'edge' out where the host is none"))
        }
        if values["edge.uplinks"] != nil, values["anycast.prefixes"] == .list([]) {
            reading.complain(SettingsProblem("'anycast.prefixes' is empty: an edge has nothing to announce"))
        }
    }

    /// From dotted keys to objects in objects.
    private static func nested(_ values: [String: JSONTree]) -> JSONTree {
        var top: [String: JSONTree] = [:]
        for (key, value) in values {
            let parts = key.split(separator: ".").map(String.init)
            guard parts.count == 2 else {
                top[key] = value
                continue
            }
            var group: [String: JSONTree] = if case .object(let members)? = top[parts[0]] { members } else { [:] }
            group[parts[1]] = value
            top[parts[0]] = .object(group)
        }
        return .object(top)
    }

    /// Every setting that is in force, in the order of the page that describes them; what is secret is not shown.
    public var lines: [Line] {
        HostSettings.catalogue.compactMap { setting in
            guard let value = values[setting.key], let origin = origins[setting.key] else { return nil }
            return Line(key: setting.key, value: Self.withoutSecrets(value, of: setting), origin: origin)
        }
    }

    private static func withoutSecrets(_ value: JSONTree, of setting: Setting) -> JSONTree {
        if setting.isSecret { return hidden }
        guard case .objects(let members) = setting.shape, case .list(let elements) = value else { return value }
        return .list(
            elements.map { element in
                guard case .object(var object) = element else { return element }
                for member in members where member.isSecret && object[member.key] != nil { object[member.key] = hidden }
                return .object(object)
            })
    }

    /// A value on one line.
    static func text(of value: JSONTree) -> String {
        if case .text(let text) = value { return text }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(value)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    /// As much of a wrong value as a person needs to recognise it.
    static func shown(_ value: JSONTree) -> String {
        let text = text(of: value)
        let cut = text.count > 80 ? text.prefix(80) + "…" : text[...]
        if case .text = value { return "'\(cut)'" }
        return String(cut)
    }
}

extension HostSettings {
    /// The file that says this.
    public func text() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
    }
}
