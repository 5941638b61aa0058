import RoostModel

/// One setting: what it is called, what it may be, and what it is when nobody says.
public struct Setting: Sendable {
    /// A rule for a text, and the rule in words.
    struct Rule: Sendable {
        var words: String
        var check: @Sendable (String) -> Bool
    }

    enum Shape: Sendable {
        case text(Rule)
        case texts(Rule)
        case number(ClosedRange<Int64>, unit: String)
        case flag
        case word([String])
        /// Objects, each with these settings. They can be given in the file only.
        case objects([Setting])
    }

    enum Presence: Sendable {
        /// Must be given; in a group that may be absent, when the group is there.
        case required
        case byDefault(JSONTree)
        /// What it means when it is not there.
        case absent(String)
    }

    /// Dotted: `mesh.listen_port`.
    public let key: String
    let shape: Shape
    let presence: Presence
    /// What it is for.
    public let help: String
    /// Its value is not for everybody who may see that it is set.
    public let isSecret: Bool

    init(_ key: String, _ shape: Shape, _ presence: Presence, _ help: String, isSecret: Bool = false) {
        self.key = key
        self.shape = shape
        self.presence = presence
        self.help = help
        self.isSecret = isSecret
    }

    /// What it may be, in words.
    var allowed: String {
        switch shape {
        case .text(let rule): rule.words
        case .texts(let rule): "a list, each \(rule.words)"
        case .number(let range, let unit):
            "\(range.lowerBound) to \(range.upperBound)" + (unit.isEmpty ? "" : " \(unit)")
        case .flag: "true or false"
        case .word(let words): words.joined(separator: ", ")
        case .objects(let members): "a list of objects with " + members.map(\.key).joined(separator: ", ")
        }
    }

    /// What it is when nobody says, in words.
    var fallback: String {
        switch presence {
        case .required: "must be given"
        case .absent(let meaning): meaning
        case .byDefault(let value): SettingsInForce.text(of: value)
        }
    }

    /// `--mesh-listen-port`
    var flag: String { "--" + String(key.map { $0 == "." || $0 == "_" ? "-" : $0 }) }
    /// `ROOST_MESH_LISTEN_PORT`
    var variable: String { Self.variablePrefix + key.uppercased().map { $0 == "." ? "_" : String($0) }.joined() }
    static let variablePrefix = "ROOST_"

    /// The value as it is kept, with what objects leave out filled in; or what is wrong with it.
    func take(_ value: JSONTree) -> Result<JSONTree, SettingsProblem> {
        let wrong = SettingsProblem(
            "'\(key)' is \(isSecret ? "not right" : SettingsInForce.shown(value)); it must be \(allowed)")
        switch (shape, value) {
        case (.text(let rule), .text(let text)): return rule.check(text) ? .success(value) : .failure(wrong)
        case (.texts(let rule), .list(let elements)):
            let isRight = elements.allSatisfy { if case .text(let text) = $0 { rule.check(text) } else { false } }
            return isRight ? .success(value) : .failure(wrong)
        case (.number(let range, _), .integer(let number)):
            return range.contains(number) ? .success(value) : .failure(wrong)
        case (.flag, .bool): return .success(value)
        case (.word(let words), .text(let text)): return words.contains(text) ? .success(value) : .failure(wrong)
        case (.objects(let members), .list(let elements)):
            var filled: [JSONTree] = []
            for (index, element) in elements.enumerated() {
                guard case .object(let given) = element else { return .failure(wrong) }
                var reading = SettingsReading(members, place: "\(key)[\(index)].")
                for (name, value) in given.sorted(by: { $0.key < $1.key }) {
                    reading.take(value, at: name, from: .file)
                }
                reading.finish()
                if let problem = reading.problems.first { return .failure(problem) }
                filled.append(.object(reading.values))
            }
            return .success(.list(filled))
        default: return .failure(wrong)
        }
    }

    /// A value that came as one word, by flag or variable.
    func tree(of word: String) -> Result<JSONTree, SettingsProblem> {
        switch shape {
        case .text, .word: return take(.text(word))
        case .texts:
            return take(.list(word.split(separator: ",").map { .text(String($0)) }))
        case .number:
            guard let number = Int64(word) else { return take(.text(word)) }
            return take(.integer(number))
        case .flag:
            guard word == "true" || word == "false" else { return take(.text(word)) }
            return take(.bool(word == "true"))
        case .objects: return .failure(SettingsProblem("'\(key)' can be given in the file only"))
        }
    }
}

/// One thing that is wrong.
struct SettingsProblem: Error, Hashable {
    var words: String
    init(_ words: String) { self.words = words }
}

/// What is wrong with a host's settings, all of it at once.
public struct SettingsError: Error, Hashable, CustomStringConvertible {
    /// The file's.
    public let path: String
    /// In words, in the order of the file.
    public let problems: [String]

    /// For what the catalogue does not know of.
    public init(path: String, problems: [String]) {
        self.path = path
        self.problems = problems
    }

    public var description: String { "configuration \(path): " + problems.joined(separator: "; ") }
}
