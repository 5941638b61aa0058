import Glibc
import RoostLinux
public import RoostModel

/// Where the log of a stopped Postgres ends.
public struct LogEnd: Hashable, Sendable {
    public var timeline: UInt32
    public var end: LSN
}

extension PostgresInstance {
    /// The last segment's records are looked for in steps of this many bytes, backwards: a list of all could be long.
    private static let window: UInt64 = 256 << 10

    /// Reads the end of the log of a stopped Postgres from the disk (`pg_controldata`, `pg_waldump`): the end of the
    /// last whole record. What was killed in the middle of a record ends before it.
    ///
    /// - Parameter deadline: of each of its parts. As a whole it is its operation's to bound.
    func endOfStoppedLog(within deadline: Duration) async throws(PostgresError) -> LogEnd {
        do {
            guard !isRunning else { throw PostgresError("read the log", "Postgres runs") }
            let output = try await layout.command("pg_controldata", ["-D", layout.data], deadline: deadline).run()
            let control = ControlData(text: output.standardOutput)
            guard let redo = control.redo, let checkpointTimeline = control.timeline else {
                throw PostgresError("read pg_control", output.standardOutput)
            }
            let segments = try LogFiles(layout.outside(layout.data + "/pg_wal")).segments()
            guard let timeline = segments.map(\.timeline).max() else {
                throw PostgresError("read the log", "there is none")
            }
            var start = redo
            if timeline != checkpointTimeline, let parent = try history(of: timeline)?.last {
                start = max(redo, parent.end)
            }
            let last = try await lastRecord(
                from: start, timeline: timeline, segments: segments, size: control.segmentSize, within: deadline)
            let end = try await end(of: last, timeline: timeline, size: control.segmentSize, within: deadline)
            return LogEnd(timeline: timeline, end: max(end, control.minimumRecoveryEnd ?? .zero))
        } catch {
            throw PostgresError("find the end of the log", error)
        }
    }

    private func lastRecord(
        from start: LSN, timeline: UInt32, segments: [LogSegment], size: UInt64, within deadline: Duration
    ) async throws -> LSN {
        // Where the last segment ends. Told of it, pg_waldump does not wait 5 s for the next one to appear.
        let edge = segments.filter { $0.timeline == timeline }.map { $0.end(segmentSize: size) }.max() ?? 0
        let part = ["--end=\(LSN(edge))", "--timeline=\(timeline)"]
        let scan = try await waldump(["--quiet", "--start=\(start)"] + part, within: deadline)
        if let last = WaldumpText.lastRecord(inError: scan.standardError) { return last }
        // It is full to the brim, or was left early (after a backup, or by hand) and has nothing in its last part.
        for back in stride(from: Self.window, through: size, by: Int(Self.window)) {
            let from = max(start, LSN(edge - min(back, edge)))
            let listing = try await waldump(["--start=\(from)"] + part, within: deadline)
            if let record = WaldumpText.records(in: listing.standardOutput).last { return record.begin }
        }
        throw PostgresError("read the log from \(start)", scan.standardError)
    }

    private func end(
        of record: LSN, timeline: UInt32, size: UInt64, within deadline: Duration
    ) async throws -> LSN {
        let listing = try await waldump(
            ["--start=\(record)", "--timeline=\(timeline)", "--limit=1"], within: deadline)
        guard let found = WaldumpText.records(in: listing.standardOutput).first, found.begin == record else {
            throw PostgresError("read the record at \(record)", listing.standardError)
        }
        return found.end(segmentSize: size)
    }

    private func waldump(_ arguments: [String], within deadline: Duration) async throws -> Command.Output {
        try await layout.command(
            "pg_waldump", ["--path=\(layout.data)/pg_wal"] + arguments, deadline: deadline
        ).outcome()
    }
}

/// What `pg_controldata` prints, as far as it matters here.
struct ControlData: Hashable, Sendable {
    var redo: LSN?
    var timeline: UInt32?
    var minimumRecoveryEnd: LSN?
    var segmentSize: UInt64 = 16 << 20
    /// It was stopped cleanly, as a primary or as a standby.
    var isStopped = false
    /// It is a primary that runs.
    var isInProduction = false

    init(text: String) {
        for line in text.split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            switch line[..<colon] {
            case "Database cluster state":
                isStopped = value.hasPrefix("shut down")
                isInProduction = value == "in production"
            case "Latest checkpoint's REDO location": redo = LSN(text: value)
            case "Latest checkpoint's TimeLineID": timeline = UInt32(value)
            case "Minimum recovery ending location": minimumRecoveryEnd = LSN(text: value)
            case "Bytes per WAL segment": segmentSize = UInt64(value) ?? segmentSize
            default: break
            }
        }
    }
}

/// What `pg_waldump` prints.
enum WaldumpText {
    struct Record: Hashable, Sendable {
        var begin: LSN
        var length: UInt64
        /// `pg_switch_wal()`, and the end of every backup: the rest of its segment is left empty.
        var isSwitch = false

        /// Where the next record may begin: the record's bytes, the headers of the pages it goes through, and padding
        /// to eight bytes (PostgreSQL's xlog_internal.h). A switch of the segment counts up to the segment's end
        /// (xlogreader.c, XLogDecodeNextRecord): so far says replay that it has come.
        func end(segmentSize: UInt64) -> LSN {
            let page: UInt64 = 8192
            var position = begin.offset
            var left = length
            while left > 0 {
                let taken = min(left, page - position % page)
                position += taken
                left -= taken
                if left > 0 { position += position % segmentSize == 0 ? 40 : 24 }
            }
            let end = (position + 7) & ~7
            return LSN(isSwitch ? (end + segmentSize - 1) / segmentSize * segmentSize : end)
        }
    }

    /// `rmgr: Heap len (rec/tot): 54/ 54, tx: 733, lsn: 0/0152A1C8, prev …`
    static func records(in text: String) -> [Record] {
        text.split(separator: "\n").compactMap { line in
            guard let total = value(after: "len (rec/tot):", in: line)?.split(separator: "/").last,
                let length = UInt64(total.drop { $0 == " " }),
                let begin = value(after: "lsn:", in: line).flatMap({ LSN(text: $0) })
            else { return nil }
            let isSwitch =
                value(after: "rmgr:", in: line)?.hasPrefix("XLOG ") == true
                && value(after: "desc:", in: line)?.hasPrefix("SWITCH") == true
            return Record(begin: begin, length: length, isSwitch: isSwitch)
        }
    }

    /// `pg_waldump: error: error in WAL record at 0/152A1C8: invalid record length …`: the last good record.
    static func lastRecord(inError text: String) -> LSN? {
        guard let range = text.firstRange(of: "error in WAL record at ") else { return nil }
        return LSN(text: text[range.upperBound...].prefix { $0 != ":" })
    }

    private static func value(after label: String, in line: Substring) -> Substring? {
        guard let range = line.firstRange(of: label) else { return nil }
        let rest = line[range.upperBound...].drop { $0 == " " }
        return rest.prefix { $0 != "," }
    }
}
