/// A key's history as people read it: a line for each entry, by when it began.
public struct HistoryText: Sendable {
    /// What is shown of one key; of more, what lies around the entry in question.
    static let linesMax = 60
    static let elementsShownMax = 12

    private let byKey: [HistoryEntry.Key: [HistoryEntry]]
    private let origin: Int64

    public init(_ entries: [HistoryEntry]) {
        byKey = Dictionary(grouping: entries, by: \.key).mapValues { entries in
            entries.sorted { ($0.begin, $0.worker, $0.number) < ($1.begin, $1.worker, $1.number) }
        }
        origin = entries.map(\.begin).min() ?? 0
    }

    /// The history behind a finding; the entry in question and all that touch its element are marked.
    public func lines(of finding: HistoryFinding) -> [String] {
        let entries = byKey[finding.key] ?? []
        let isInQuestion = { (entry: HistoryEntry) in
            entry.worker == finding.worker && entry.number == finding.number
        }
        let middle = entries.firstIndex(where: isInQuestion) ?? 0
        let marked = entries.indices.filter {
            isInQuestion(entries[$0]) || (entries[$0].action.isWrite && entries[$0].elements.contains(finding.element))
                || entries[$0].isFinal
        }
        let low = max(0, min(middle - Self.linesMax / 2, entries.count - Self.linesMax))
        let shown = Set(low..<min(entries.count, low + Self.linesMax)).union(marked)
        var lines: [String] = []
        var previous = -1
        for index in shown.sorted() {
            if index > previous + 1 { lines.append("    … \(index - previous - 1) more") }
            previous = index
            let sign = isInQuestion(entries[index]) ? ">>" : marked.contains(index) ? " >" : "  "
            lines.append("\(sign) \(line(entries[index], finding.element))")
        }
        if previous < entries.count - 1 { lines.append("    … \(entries.count - 1 - previous) more") }
        return lines
    }

    private func line(_ entry: HistoryEntry, _ element: Int64) -> String {
        let end = entry.end.map { seconds($0) } ?? "never"
        let server = entry.server.map { " at \($0)" } ?? ""
        let timeline = entry.timeline.map { " timeline \($0)" } ?? ""
        let name = "\(entry.worker)/\(entry.number) port \(entry.port) session \(entry.session)"
        let what: String
        switch entry.action {
        case .append, .insert:
            what = "\(entry.action.rawValue) \(entry.elements.first.map(String.init) ?? "nothing")"
        case .readList, .readSet:
            let has = entry.elements.contains(element) ? "with" : "without"
            what = "\(entry.isFinal ? "final " : "")read \(has) it: \(tail(entry.elements))"
        }
        return "\(seconds(entry.begin)) … \(end) \(name) \(what): \(entry.outcome.rawValue)\(server)\(timeline)"
    }

    private func tail(_ elements: [Int64]) -> String {
        let left = elements.count - Self.elementsShownMax
        let shown = elements.suffix(Self.elementsShownMax).map(String.init).joined(separator: " ")
        return left > 0 ? "[\(left) more … \(shown)]" : "[\(shown)]"
    }

    private func seconds(_ moment: Int64) -> String {
        let milliseconds = (moment - origin) / 1000
        let rest = String(milliseconds % 1000)
        return "\(milliseconds / 1000).\(String(repeating: "0", count: 3 - rest.count))\(rest)"
    }
}
