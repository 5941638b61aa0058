import Logging
import RoostModel

/// One line of a log, and how it is written. Whatever was logged stays on its line: what others can write (an image's
/// output, a registry's error) cannot begin a line of its own, nor steer a terminal.
struct LogLine {
    var time: WallTime
    var level: Logger.Level
    /// The part of the program that speaks: `roost.agent`.
    var part: String
    var message: String
    var fields: [(name: String, value: String)]

    /// Characters of a message or a field's value; what is longer is cut.
    static let valueCharactersMax = 4096
    /// Fields of a line; more are left out.
    static let fieldsMax = 64
    /// What a line of JSON always has, and a field is therefore not called.
    static let reserved: Set<String> = ["time", "level", "part", "message"]

    func bytes(as format: LogFormat) -> [UInt8] {
        var text =
            switch format {
            case .text: plain
            case .json: json
            }
        text.append("\n")
        return Array(text.utf8)
    }

    private var json: String {
        var text = "{"
        func add(_ name: String, _ value: String) {
            if text.utf8.count > 1 { text.append(",") }
            text.append("\"\(Self.escaped(name))\":\"\(Self.escaped(value))\"")
        }
        add("time", time.text)
        add("level", level.rawValue)
        add("part", part)
        add("message", message)
        for field in fields.prefix(Self.fieldsMax) {
            add(Self.reserved.contains(field.name) ? field.name + "_" : field.name, field.value)
        }
        return text + "}"
    }

    private var plain: String {
        var text = "\(time.text) \(level.rawValue) \(part) \(Self.escaped(message, quotes: false))"
        for field in fields.prefix(Self.fieldsMax) {
            text.append(" \(Self.escaped(field.name, quotes: false))=\(Self.word(field.value))")
        }
        return text
    }

    /// As it is where it is one plain word, in quotation marks otherwise.
    private static func word(_ value: String) -> String {
        let isPlain =
            !value.isEmpty && value.unicodeScalars.count <= valueCharactersMax
            && value.unicodeScalars.allSatisfy { $0 != " " && $0 != "\"" && $0 != "=" && $0 != "\\" && !isControl($0) }
        return isPlain ? value : "\"\(escaped(value))\""
    }

    /// As inside a string of JSON.
    private static func escaped(_ value: String, quotes: Bool = true) -> String {
        var text = ""
        var count = 0
        for scalar in value.unicodeScalars {
            count += 1
            if count > valueCharactersMax { return text + "…" }
            switch scalar {
            case "\"" where quotes: text.append("\\\"")
            case "\\" where quotes: text.append("\\\\")
            case "\n": text.append("\\n")
            case "\t": text.append("\\t")
            case _ where isControl(scalar):
                let digits = String(scalar.value, radix: 16)
                text.append("\\u" + String(repeating: "0", count: 4 - digits.count) + digits)
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }

    /// Control characters, and what some readers take for the end of a line.
    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F..<0xA0, 0x2028, 0x2029: true
        default: false
        }
    }
}
