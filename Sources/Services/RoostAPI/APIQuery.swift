public import RoostModel

/// The query of a call: names and values, decoded, in the order they came.
public struct APIQuery: Hashable, Sendable {
    public struct Item: Hashable, Sendable {
        public var name: String
        /// Empty also where there is no `=`.
        public var value: String
    }

    public let items: [Item]

    /// More is no query that a person or a client of this house makes.
    static let itemsMax = 64

    /// - Parameter text: what stands behind the question mark.
    public init(_ text: String?) {
        items = (text ?? "").split(separator: "&").prefix(Self.itemsMax + 1).map { part in
            let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return Item(name: Self.decoded(sides[0]), value: sides.count == 2 ? Self.decoded(sides[1]) : "")
        }
    }

    /// Refuses the first name that the route does not act on, so that nobody relies on it.
    func refuseUnknown(_ known: [String]) throws(Refusal) {
        guard items.count <= Self.itemsMax else {
            throw Refusal(.invalid, "a query has at most \(Self.itemsMax) values")
        }
        for item in items {
            let isKnown = known.contains { item.name == $0 || ($0.hasSuffix(".") && item.name.hasPrefix($0)) }
            guard isKnown else {
                let names = known.map { $0.hasSuffix(".") ? $0 + "KEY" : $0 }.joined(separator: ", ")
                throw Refusal(
                    .invalid,
                    "query parameter '\(item.name.prefix(80))' is not supported here"
                        + (names.isEmpty ? "" : "; there are: \(names)"))
            }
        }
    }

    /// Every value of a name, those that are separated by commas too; empty ones are left out.
    public func list(_ name: String) -> [String] {
        items.filter { $0.name == name }.flatMap { $0.value.split(separator: ",").map(String.init) }
    }

    /// The value of a name that may be there once; an empty one counts as not sent.
    public func text(_ name: String) throws(Refusal) -> String? {
        let values = items.filter { $0.name == name }.map(\.value)
        guard values.count <= 1 else { throw Refusal(.invalid, "\(name) is there more than once") }
        return values.first.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// An empty flag is refused: in a script it is a variable that was not set, and neither yes nor no.
    public func flag(_ name: String) throws(Refusal) -> Bool {
        let values = items.filter { $0.name == name }.map(\.value)
        guard values.count <= 1 else { throw Refusal(.invalid, "\(name) is there more than once") }
        switch values.first {
        case nil, "false", "0": return false
        case "true", "1": return true
        case .some(let other): throw Refusal(.invalid, "\(name) is true or false, not '\(other.prefix(80))'")
        }
    }

    public func number(
        _ name: String, default standard: Int, within range: ClosedRange<Int>
    ) throws(Refusal) -> Int {
        guard let text = try text(name) else { return standard }
        guard let number = Int(text), range.contains(number) else {
            throw Refusal(.invalid, "\(name) must be \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// Seconds, or Go's duration text.
    public func duration(_ name: String) throws(Refusal) -> Duration? {
        guard let text = try text(name) else { return nil }
        if let seconds = Int64(text), seconds >= 0, seconds < 1_000_000 { return .seconds(seconds) }
        do { return try DurationText(text).duration } catch {
            throw Refusal(.invalid, "\(name): \(error.description)")
        }
    }

    /// The names that begin so, without that beginning, and their values.
    public func beginning(_ prefix: String) -> [(name: String, value: String)] {
        items.filter { $0.name.hasPrefix(prefix) }.map { (String($0.name.dropFirst(prefix.count)), $0.value) }
    }

    /// `application/x-www-form-urlencoded`, as browsers and Go's `url.Values` write it: a plus is a space.
    private static func decoded(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "+") {
                bytes.append(UInt8(ascii: " "))
            } else if byte == UInt8(ascii: "%"),
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
