import FoundationEssentials
import RoostHistory

/// A history as lines of JSON, an entry each: as the clients write it, and as it is kept.
struct HistoryFile: Sendable {
    private struct Name: Hashable {
        var worker: String
        var number: Int
    }

    private var byName: [Name: HistoryEntry] = [:]

    init() {}

    /// Takes what a program wrote. Of a write there are two lines: before it was sent, and when it was known what came of
    /// it. A last line that was cut off is passed over.
    /// - Returns: how many whole lines were no entries.
    mutating func add(_ bytes: [UInt8]) -> Int {
        let decoder = JSONDecoder()
        var strange = 0
        guard let end = bytes.lastIndex(of: UInt8(ascii: "\n")) else { return 0 }
        for line in bytes[..<end].split(separator: UInt8(ascii: "\n")) {
            if let entry = try? decoder.decode(HistoryEntry.self, from: Data(line)) {
                byName[Name(worker: entry.worker, number: entry.number)] = entry
            } else {
                strange += 1
            }
        }
        return strange
    }

    /// By when they began.
    var entries: [HistoryEntry] {
        byName.values.sorted { ($0.begin, $0.worker, $0.number) < ($1.begin, $1.worker, $1.number) }
    }

    static func text(_ entries: [HistoryEntry]) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        var bytes: [UInt8] = []
        for entry in entries { bytes += try encoder.encode(entry) + [UInt8(ascii: "\n")] }
        return bytes
    }
}
