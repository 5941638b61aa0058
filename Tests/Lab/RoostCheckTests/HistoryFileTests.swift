import RoostHistory
import Testing

@testable import RoostCheck

@Suite struct HistoryFileTests {
    private func entry(_ number: Int, _ worker: String = "client-ams-0") -> HistoryEntry {
        HistoryEntry(
            worker: worker, number: number, port: HistoryPort.primary, session: 1, action: .append, keyNumber: 3,
            elements: [Int64(number) + 1000], begin: Int64(number) * 10)
    }

    @Test func theLastLineOfAWriteCounts() throws {
        var done = entry(1)
        (done.end, done.outcome, done.timeline, done.server) = (17, .confirmed, 2, "fdaa::1")
        let text = try HistoryFile.text([entry(1), entry(2), done])
        var file = HistoryFile()
        #expect(file.add(text) == 0)
        #expect(file.entries == [done, entry(2)], "the second was sent, and nothing heard of it")
        #expect(file.add(try HistoryFile.text([entry(1, "client-iad-0")])) == 0)
        #expect(file.entries.count == 3, "another worker's")
    }

    @Test func aLineThatWasCutOffIsPassedOverAndAStrangeOneIsTold() throws {
        let text = try HistoryFile.text([entry(1), entry(2)])
        for length in text.indices {
            var file = HistoryFile()
            #expect(file.add(Array(text[..<length])) == 0)
            #expect(file.entries.count == (length < text.count / 2 ? 0 : 1), "\(length)")
        }
        var file = HistoryFile()
        #expect(file.add(Array("{}\nnonsense\n".utf8) + text) == 2)
        #expect(file.entries.count == 2)
    }

    @Test func whatIsKeptCanBeReadAgain() throws {
        var read = entry(4)
        (read.action, read.elements, read.isFinal, read.end, read.outcome) = (.readSet, [], true, 50, .confirmed)
        let entries = [entry(1), entry(2), read]
        var file = HistoryFile()
        #expect(file.add(try HistoryFile.text(entries)) == 0)
        #expect(file.entries == entries)
        let line = String(decoding: try HistoryFile.text([entry(1)]), as: UTF8.self)
        #expect(
            line == """
                {"action":"append","begin_us":10,"elements":[1001],"final":false,"key":3,"number":1,\
                "outcome":"unknown","port":5432,"session":1,"worker":"client-ams-0"}

                """)
    }
}
