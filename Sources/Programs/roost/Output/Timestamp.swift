import Glibc

/// Wall-clock times for people: RFC 3339 in UTC, to the millisecond.
enum Timestamp {
    static func text(milliseconds: Int64) -> String {
        var seconds = time_t(milliseconds / 1000)
        var parts = tm()
        guard gmtime_r(&seconds, &parts) != nil else { return "-" }
        let date = [Int(parts.tm_year) + 1900, Int(parts.tm_mon) + 1, Int(parts.tm_mday)]
        let clock = [Int(parts.tm_hour), Int(parts.tm_min), Int(parts.tm_sec)]
        return date.map { padded($0) }.joined(separator: "-") + "T" + clock.map { padded($0) }.joined(separator: ":")
            + "." + padded(Int(milliseconds % 1000), 3) + "Z"
    }

    private static func padded(_ number: Int, _ digits: Int = 2) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, digits - text.count)) + text
    }
}
