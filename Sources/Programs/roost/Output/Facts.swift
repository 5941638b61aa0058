/// One thing's facts, a line each.
struct Facts {
    var facts: [(name: String, value: String)]

    init(_ facts: [(String, String)]) { self.facts = facts.map { (name: $0.0, value: $0.1) } }

    var text: String {
        let width = facts.map(\.name.count).max() ?? 0
        return facts.map { fact in
            let padding = String(repeating: " ", count: width - fact.name.count)
            return Terminal.paint(fact.name, .faint) + padding + "  " + Terminal.harmlessButColours(fact.value)
        }.joined(separator: "\n")
    }
}
