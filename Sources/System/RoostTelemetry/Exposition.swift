extension MetricsRegistry {
    /// The media type of ``exposition(with:)``.
    public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// Everything that was counted and the given samples, in Prometheus's text format
    /// (https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format), in a fixed order.
    public func exposition(with samples: [MetricSample] = []) -> String {
        var families = snapshot()
        for sample in samples {
            let labels = zip(sample.metric.labels, sample.values).map { Label(name: $0, value: $1) }
            var family = families[sample.metric.name] ?? Family(kind: sample.metric.kind)
            guard family.kind == sample.metric.kind, family.cells.count < Self.seriesMax else { continue }
            family.cells[labels] = SampleCell(sample.number)
            families[sample.metric.name] = family
        }
        var text = ""
        for (name, family) in families.sorted(by: { $0.key < $1.key }) { write(name, family, to: &text) }
        return text
    }

    private func write(_ name: String, _ family: Family, to text: inout String) {
        let help = Metric.all.first { $0.name == name }?.help ?? "Counted by a library."
        let name = Self.plain(name)
        text += "# HELP \(name) \(Self.escaped(help, quotes: false))\n# TYPE \(name) \(family.kind.rawValue)\n"
        for (labels, cell) in family.cells.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            switch cell.reading {
            case .number(let number): text += "\(name)\(Self.text(labels)) \(Self.text(number))\n"
            case .histogram(let counts, let sum):
                var total: UInt64 = 0
                for (index, count) in counts.enumerated() {
                    total += count
                    let bound = index < HistogramCell.bounds.count ? Self.text(HistogramCell.bounds[index]) : "+Inf"
                    text += "\(name)_bucket\(Self.text(labels + [Label(name: "le", value: bound)])) \(total)\n"
                }
                text += "\(name)_sum\(Self.text(labels)) \(Self.text(sum))\n"
                text += "\(name)_count\(Self.text(labels)) \(total)\n"
            }
        }
    }

    private static func text(_ labels: [Label]) -> String {
        if labels.isEmpty { return "" }
        return "{" + labels.map { "\(plain($0.name))=\"\(escaped($0.value))\"" }.joined(separator: ",") + "}"
    }

    private static func text(_ number: Double) -> String {
        if let whole = Int64(exactly: number) { return "\(whole)" }
        if number.isNaN { return "NaN" }
        if number.isInfinite { return number > 0 ? "+Inf" : "-Inf" }
        return "\(number)"
    }

    /// Letters, digits and underscores: libraries name things as they like.
    private static func plain(_ name: String) -> String {
        let letters = name.unicodeScalars.map { scalar -> Character in
            switch scalar {
            case "a"..."z", "A"..."Z", "0"..."9": Character(scalar)
            default: "_"
            }
        }
        return String(letters.first?.isNumber == true ? ["_"] + letters : letters)
    }

    private static func escaped(_ text: String, quotes: Bool = true) -> String {
        var escaped = ""
        for letter in text.unicodeScalars {
            switch letter {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\"" where quotes: escaped += "\\\""
            default: escaped.unicodeScalars.append(letter)
            }
        }
        return escaped
    }
}

/// A sample beside what was counted.
private final class SampleCell: MetricCell {
    let reading: MetricReading
    init(_ number: Double) { reading = .number(number) }
}
