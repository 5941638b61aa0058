import RoostModel

/// Where a value comes from; a later one counts more.
public enum SettingsOrigin: String, Hashable, Sendable, Codable {
    /// Nobody said anything.
    case byDefault = "default"
    /// The file, a variable `ROOST_…`, a flag `--…`.
    case file, environment, flag
}

/// Takes values in, one by one, and finds out what is wrong.
struct SettingsReading {
    private(set) var values: [String: JSONTree] = [:]
    private(set) var origins: [String: SettingsOrigin] = [:]
    private(set) var problems: [SettingsProblem] = []
    /// Settings that were given and not taken.
    private var wrong: Set<String> = []
    private let settings: [String: Setting]
    private let order: [Setting]
    /// Where the settings are, for messages: empty at the top.
    private let place: String

    init(_ settings: [Setting], place: String = "") {
        order = settings
        self.settings = Dictionary(settings.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
        self.place = place
    }

    /// Takes in a value, or an object of values.
    mutating func take(_ value: JSONTree, at key: String, from origin: SettingsOrigin) {
        // What is null is not set.
        if value == .null { return }
        if let setting = settings[key] { return keep(setting.take(value), of: setting, from: origin) }
        guard order.contains(where: { $0.key.hasPrefix(key + ".") }) else {
            return complain(unknown("'\(place)\(key)'", key, among: names.map { ($0, "'\(place)\($0)'") }))
        }
        guard case .object(let members) = value else {
            return complain(SettingsProblem("'\(place)\(key)' must be an object"))
        }
        for (name, member) in members.sorted(by: { $0.key < $1.key }) {
            take(member, at: key + "." + name, from: origin)
        }
    }

    mutating func takeFlags(_ arguments: [String]) {
        let known = order.map { ($0.flag, $0.flag) }
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard let setting = order.first(where: { $0.flag == parts[0] }) else {
                complain(unknown(parts[0], parts[0], among: known))
                // Its value is not another mistake.
                if parts.count == 1, let next = rest.first, !next.hasPrefix("--") { rest.removeFirst() }
                continue
            }
            var word = parts.count == 2 ? parts[1] : nil
            if word == nil, let next = rest.first, !next.hasPrefix("--") { word = rest.removeFirst() }
            guard let word else {
                if case .flag = setting.shape {
                    keep(.success(.bool(true)), of: setting, from: .flag)
                } else {
                    complain(SettingsProblem("\(parts[0]) needs a value: \(setting.allowed)"))
                }
                continue
            }
            keep(setting.tree(of: word), of: setting, from: .flag)
        }
    }

    /// - Parameter foreign: names that others read.
    mutating func takeEnvironment(_ environment: [String: String], foreign: Set<String>) {
        let known = order.map { ($0.variable, $0.variable) }
        for (name, word) in environment.sorted(by: { $0.key < $1.key })
        where name.hasPrefix(Setting.variablePrefix) && !foreign.contains(name) {
            guard let setting = order.first(where: { $0.variable == name }) else {
                complain(unknown("the variable \(name)", name, among: known))
                continue
            }
            keep(setting.tree(of: word), of: setting, from: .environment)
        }
    }

    /// Fills in what nobody said, and finds what must be said.
    mutating func finish(optionalGroups: Set<String> = []) {
        // What was given and is wrong has been told.
        for setting in order where values[setting.key] == nil && !wrong.contains(setting.key) {
            let group = setting.key.split(separator: ".").first.map(String.init) ?? ""
            let isWanted =
                !optionalGroups.contains(group) || values.keys.contains { $0.hasPrefix(group + ".") }
            guard isWanted else { continue }
            switch setting.presence {
            case .byDefault(let value):
                values[setting.key] = value
                origins[setting.key] = .byDefault
            case .required:
                complain(SettingsProblem("'\(place)\(setting.key)' is missing: \(setting.allowed)"))
            case .absent: break
            }
        }
    }

    mutating func complain(_ problem: SettingsProblem) { problems.append(problem) }

    private mutating func keep(
        _ result: Result<JSONTree, SettingsProblem>, of setting: Setting, from origin: SettingsOrigin
    ) {
        switch result {
        case .success(let value):
            values[setting.key] = value
            origins[setting.key] = origin
        case .failure(let problem):
            wrong.insert(setting.key)
            var problem = problem
            if !place.isEmpty {
                problem.words = problem.words.replacing("'\(setting.key)'", with: "'\(place)\(setting.key)'")
            }
            complain(problem)
        }
    }

    /// Keys, and the groups that they are in.
    private var names: [String] {
        let groups = order.compactMap { setting in
            setting.key.split(separator: ".").count > 1 ? setting.key.split(separator: ".").first.map(String.init) : nil
        }
        return order.map(\.key) + Array(Set(groups)).sorted()
    }

    private func unknown(_ shown: String, _ name: String, among known: [(name: String, shown: String)])
        -> SettingsProblem
    {
        let nearest = known.map { (shown: $0.shown, distance: Self.distance($0.name, name)) }
            .min { $0.distance < $1.distance }
        // A slip of the hand explains no more than so many letters: of what is farther away nothing is meant.
        let meant = nearest.flatMap { $0.distance <= max(1, name.utf8.count / 3) ? $0.shown : nil }
        return SettingsProblem("\(shown) is no setting" + (meant.map { "; the nearest is \($0)" } ?? ""))
    }

    /// How many letters have to be put in, taken out or changed to make one of the other.
    static func distance(_ left: String, _ right: String) -> Int {
        let left = Array(left.utf8.prefix(64))
        let right = Array(right.utf8.prefix(64))
        var row = Array(0...right.count)
        for (index, letter) in left.enumerated() {
            var next = [index + 1]
            for (column, other) in right.enumerated() {
                let changed = row[column] + (letter == other ? 0 : 1)
                next.append(min(changed, row[column + 1] + 1, next[column] + 1))
            }
            row = next
        }
        return row[right.count]
    }
}
