import FoundationEssentials

/// What a writer of numbered rows has said so far. Times are wall-clock milliseconds of this computer.
public struct WriteLog: Sendable {
    public struct Confirmation: Sendable, Hashable, Decodable {
        public var row: Int64
        public var sent: Int64
        public var confirmed: Int64

        enum CodingKeys: String, CodingKey {
            case row
            case sent = "sent_ms"
            case confirmed = "confirmed_ms"
        }
    }

    public private(set) var confirmations: [Confirmation] = []
    private var rest: [UInt8] = []

    public init() {}

    /// Takes the next bytes of the writer's output: a JSON object a line. Lines that confirm nothing are passed over.
    public mutating func append(_ bytes: some Collection<UInt8>) {
        rest += bytes
        guard let end = rest.lastIndex(of: UInt8(ascii: "\n")) else { return }
        for line in rest[..<end].split(separator: UInt8(ascii: "\n")) {
            if let confirmation = try? JSONDecoder().decode(Confirmation.self, from: Data(line)) {
                confirmations.append(confirmation)
            }
        }
        rest.removeSubrange(...end)
    }

    /// The longest time without a confirmation that has to do with the span: from the last confirmation before it.
    public func longestGap(from begin: Int64, to end: Int64) -> Int64 {
        var last = confirmations.last { $0.confirmed <= begin }?.confirmed ?? begin
        var longest: Int64 = 0
        for confirmation in confirmations where confirmation.confirmed > begin && confirmation.confirmed <= end {
            longest = max(longest, confirmation.confirmed - last)
            last = confirmation.confirmed
        }
        return max(longest, end - last)
    }

    public func countSent(after moment: Int64) -> Int { confirmations.reversed().prefix { $0.sent > moment }.count }
}
