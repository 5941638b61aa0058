import Foundation
import Logging
import RoostModel
import Synchronization
import Testing

@testable import RoostTelemetry

@Suite struct LogTests {
    /// What a logger writes, a line each.
    private final class Lines: Sendable {
        let written = Mutex<[String]>([])

        func logger(_ format: LogFormat, provider: Logger.MetadataProvider? = nil) -> Logger {
            Logger(label: "roost.test") { label in
                LineLogHandler(label, level: .info, format: format, provider: provider) { bytes in
                    self.written.withLock { $0.append(String(decoding: bytes, as: UTF8.self)) }
                }
            }
        }

        var all: [String] { written.withLock { $0 } }
    }

    private static func object(_ line: String) throws -> [String: String] {
        let parsed = try JSONSerialization.jsonObject(with: Data(line.utf8))
        return try #require(parsed as? [String: String])
    }

    @Test("Every line is one JSON object with time, level, part, message and each field")
    func json() throws {
        let lines = Lines()
        var logger = lines.logger(.json, provider: .init { ["request": "r1"] })
        logger[metadataKey: "host"] = "ams1"
        logger.info("took over", metadata: ["machines": "3", "time": "own", "nested": ["a": "b"]])
        logger.debug("not shown")
        logger.error("failed", metadata: ["error": "line one\nline \"two\" \\ \u{1B}[31m \u{9B}x \u{2028}"])
        #expect(lines.all.count == 2)
        for line in lines.all {
            #expect(line.hasSuffix("}\n") && line.dropLast().allSatisfy { !$0.isNewline })
            #expect(!line.unicodeScalars.dropLast().contains { $0.value < 0x20 || (0x7F..<0xA0).contains($0.value) })
        }
        let first = try Self.object(lines.all[0])
        #expect(first["level"] == "info" && first["part"] == "roost.test" && first["message"] == "took over")
        #expect(first["machines"] == "3" && first["host"] == "ams1" && first["request"] == "r1")
        #expect(first["time_"] == "own")
        let time = try #require(first["time"])
        let format = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        #expect(abs(try format.parse(time).timeIntervalSinceNow) < 60)
        let second = try Self.object(lines.all[1])
        #expect(second["error"] == "line one\nline \"two\" \\ \u{1B}[31m \u{9B}x \u{2028}")
    }

    @Test("Text stays on its line, and a value that is no plain word is in quotation marks")
    func text() {
        let lines = Lines()
        let logger = lines.logger(.text)
        logger.warning("first\nsecond", metadata: ["a": "plain", "b": "two words", "c": "", "d": "x\ny"])
        #expect(lines.all.count == 1)
        let line = lines.all[0]
        #expect(line.hasSuffix(" warning roost.test first\\nsecond a=plain b=\"two words\" c=\"\" d=\"x\\ny\"\n"))
    }

    @Test("A line is bounded, whatever is logged")
    func bounded() throws {
        let lines = Lines()
        let long = String(repeating: "x", count: 1 << 20)
        let fields = Dictionary(uniqueKeysWithValues: (0..<200).map { ("f\($0)", Logger.MetadataValue.string(long)) })
        lines.logger(.json).info("\(long)", metadata: fields)
        let line = try #require(lines.all.first)
        #expect(line.utf8.count < (LogLine.fieldsMax + 2) * (LogLine.valueCharactersMax + 64))
        #expect(try Self.object(line).count == LogLine.fieldsMax + LogLine.reserved.count)
    }

    @Test func times() {
        #expect(WallTime(seconds: 0, milliseconds: 7).text == "1970-01-01T00:00:00.007Z")
        #expect(WallTime(seconds: 1_709_210_096, milliseconds: 0).text == "2024-02-29T12:34:56.000Z")
    }
}
