/// How the lines of a program's log look.
public enum LogFormat: String, Hashable, Sendable, Codable, CaseIterable {
    /// For people: `2026-11-27T06:40:00.123Z info roost.agent took over machines=3`.
    case text
    /// For programs: one JSON object on each line.
    case json
}
