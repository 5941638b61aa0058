import Foundation

/// Reads Prometheus's text format and takes nothing that is not exactly right.
struct StrictExposition {
    struct Series: Hashable {
        var name: String
        var labels: [String: String]
        var value: Double
    }

    struct Family {
        var type: String
        var series: [Series] = []
    }

    struct Wrong: Error, CustomStringConvertible {
        var line: String
        var why: String
        var description: String { "\(why): \(line)" }
    }

    static func parse(_ text: String) throws -> [String: Family] {
        guard text.isEmpty || text.hasSuffix("\n") else { throw Wrong(line: "", why: "the last line has no end") }
        var families: [String: Family] = [:]
        var present: String?
        var helped: Set<String> = []
        var seen: Set<String> = []
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init) {
            let words = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false).map(String.init)
            if line.hasPrefix("# HELP ") {
                guard words.count == 4, !words[3].isEmpty, helped.insert(words[2]).inserted else {
                    throw Wrong(line: line, why: "no help, or a second one")
                }
            } else if line.hasPrefix("# TYPE ") {
                guard words.count == 4, ["counter", "gauge", "histogram"].contains(words[3]), isName(words[2]),
                    families[words[2]] == nil, helped.contains(words[2])
                else { throw Wrong(line: line, why: "no type, or a second one, or before its help") }
                families[words[2]] = Family(type: words[3])
                present = words[2]
            } else {
                let series = try sample(line)
                guard let family = present, let type = families[family]?.type else {
                    throw Wrong(line: line, why: "before its type")
                }
                let names = type == "histogram" ? ["_bucket", "_sum", "_count"].map { family + $0 } : [family]
                guard names.contains(series.name) else { throw Wrong(line: line, why: "not of \(family)") }
                let key = series.name + "\(series.labels.sorted { $0.key < $1.key })"
                guard seen.insert(key).inserted else { throw Wrong(line: line, why: "a second time") }
                families[family]?.series.append(series)
            }
        }
        for (name, family) in families where family.type == "histogram" { try checkBuckets(name, family) }
        return families
    }

    private static func checkBuckets(_ name: String, _ family: Family) throws {
        let buckets = Dictionary(grouping: family.series.filter { $0.name == name + "_bucket" }) { series in
            series.labels.filter { $0.key != "le" }
        }
        for (labels, buckets) in buckets {
            let bounds = buckets.compactMap { $0.labels["le"] == "+Inf" ? .infinity : Double($0.labels["le"] ?? "") }
            let counts = buckets.map(\.value)
            let count = family.series.first { $0.name == name + "_count" && $0.labels == labels }?.value
            guard bounds.count == buckets.count, bounds == bounds.sorted(), bounds.last == .infinity,
                counts == counts.sorted(), counts.last == count,
                family.series.contains(where: { $0.name == name + "_sum" && $0.labels == labels })
            else { throw Wrong(line: name, why: "its buckets do not add up") }
        }
    }

    private static func sample(_ line: String) throws -> Series {
        var rest = Substring(line)
        let name = String(rest.prefix { isLetter($0) || $0.isNumber })
        rest = rest.dropFirst(name.count)
        guard isName(name) else { throw Wrong(line: line, why: "no name") }
        var labels: [String: String] = [:]
        if rest.first == "{" {
            rest = rest.dropFirst()
            repeat {
                let label = String(rest.prefix { isLetter($0) || $0.isNumber })
                rest = rest.dropFirst(label.count)
                guard isName(label), rest.hasPrefix("=\"") else { throw Wrong(line: line, why: "no label") }
                rest = rest.dropFirst(2)
                var value = ""
                while let letter = rest.popFirst(), letter != "\"" {
                    guard letter == "\\" else {
                        value.append(letter)
                        continue
                    }
                    switch rest.popFirst() {
                    case "n": value.append("\n")
                    case "\\": value.append("\\")
                    case "\"": value.append("\"")
                    default: throw Wrong(line: line, why: "no such escape")
                    }
                }
                guard labels.updateValue(value, forKey: label) == nil else { throw Wrong(line: line, why: "twice") }
                guard let next = rest.popFirst(), next == "," || next == "}" else {
                    throw Wrong(line: line, why: "the labels have no end")
                }
                if next == "}" { break }
            } while true
        }
        guard rest.popFirst() == " " else { throw Wrong(line: line, why: "no space before the value") }
        let number = rest == "+Inf" ? .infinity : rest == "-Inf" ? -.infinity : rest == "NaN" ? .nan : Double(rest)
        guard let number else { throw Wrong(line: line, why: "no number") }
        return Series(name: name, labels: labels, value: number)
    }

    private static func isLetter(_ letter: Character) -> Bool {
        letter.isASCII && (letter.isLetter || letter == "_" || letter == ":")
    }

    private static func isName(_ name: String) -> Bool { name.first.map(isLetter) ?? false }
}

extension [String: StrictExposition.Family] {
    /// The value of one series, whatever family it is in.
    func value(_ name: String, _ labels: [String: String]) -> Double? {
        values.flatMap(\.series).first { $0.name == name && $0.labels == labels }?.value
    }
}
