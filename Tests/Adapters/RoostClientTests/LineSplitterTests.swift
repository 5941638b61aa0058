import Testing

@testable import RoostClient

@Suite struct LineSplitterTests {
    /// However the bytes are cut on the way, the lines are the same.
    @Test(arguments: 1...9)
    func portionsDoNotMatter(size: Int) {
        let text = Array("one\n\ntwo three\nfour".utf8)
        var splitter = LineSplitter()
        var lines: [[UInt8]] = []
        for start in stride(from: 0, to: text.count, by: size) {
            splitter.append(text[start..<min(start + size, text.count)])
            while let line = splitter.nextLine() { lines.append(line) }
        }
        if let rest = splitter.rest() { lines.append(rest) }
        #expect(lines.map { String(decoding: $0, as: UTF8.self) } == ["one", "", "two three", "four"])
        #expect(splitter.rest() == nil)
        #expect(splitter.pending == 0)
    }
}
