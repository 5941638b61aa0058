/// The names in a JSON text. Decoders take one of two members of the same name, and do not say that there was another.
public enum JSONKeys {
    /// The first name that an object of the text has twice. The text is known to be JSON; of one that is not in UTF-8,
    /// nothing is found.
    public static func repeated(in text: [UInt8]) -> String? {
        // No JSON in UTF-8 has a zero byte, and every other encoding of it has.
        guard !text.contains(0) else { return nil }
        // The names so far of each object that is open; nil for a list. As bytes: a text is compared in its normal form,
        // which takes long where somebody means it to.
        var open: [Set<[UInt8]>?] = []
        var isNameNext = false
        var index = 0
        while index < text.count {
            let byte = text[index]
            index += 1
            switch byte {
            case UInt8(ascii: "{"):
                open.append(Set())
                isNameNext = true
            case UInt8(ascii: "["):
                open.append(nil)
                isNameNext = false
            case UInt8(ascii: "}"), UInt8(ascii: "]"): _ = open.popLast()
            case UInt8(ascii: ","): isNameNext = open.last.map { $0 != nil } ?? false
            case UInt8(ascii: "\""):
                let string = string(in: text, &index)
                guard isNameNext else { continue }
                isNameNext = false
                if open[open.count - 1]?.insert(string).inserted == false {
                    return String(decoding: string, as: UTF8.self)
                }
            default: break
            }
        }
        return nil
    }

    /// The rest of a string behind its first quote, unescaped (RFC 8259, 7). Half of a surrogate pair is U+FFFD.
    private static func string(in text: [UInt8], _ index: inout Int) -> [UInt8] {
        var bytes: [UInt8] = []
        while index < text.count, text[index] != UInt8(ascii: "\"") {
            let byte = text[index]
            index += 1
            guard byte == UInt8(ascii: "\\"), index < text.count else {
                bytes.append(byte)
                continue
            }
            let escape = text[index]
            index += 1
            switch escape {
            case UInt8(ascii: "b"): bytes.append(8)
            case UInt8(ascii: "f"): bytes.append(12)
            case UInt8(ascii: "n"): bytes.append(10)
            case UInt8(ascii: "r"): bytes.append(13)
            case UInt8(ascii: "t"): bytes.append(9)
            case UInt8(ascii: "u"): bytes += scalar(in: text, &index).utf8
            default: bytes.append(escape)
            }
        }
        index += 1
        return bytes
    }

    /// What stands behind `\u`, with the other half of its pair.
    private static func scalar(in text: [UInt8], _ index: inout Int) -> String {
        var units = [unit(in: text, &index)]
        if UTF16.isLeadSurrogate(units[0]), text[index...].starts(with: Array(#"\u"#.utf8)) {
            index += 2
            units.append(unit(in: text, &index))
        }
        return String(decoding: units, as: UTF16.self)
    }

    private static func unit(in text: [UInt8], _ index: inout Int) -> UInt16 {
        let digits = text[index...].prefix(4)
        index += digits.count
        return UInt16(String(decoding: digits, as: UTF8.self), radix: 16) ?? 0xfffd
    }
}
