import Foundation

/// Times as the API writes them, RFC 3339.
public enum TimeText {
    public static func of(_ milliseconds: Int64) -> String {
        Date(timeIntervalSince1970: Double(milliseconds) / 1000).formatted(.iso8601)
    }
}
