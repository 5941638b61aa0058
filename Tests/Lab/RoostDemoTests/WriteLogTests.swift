import Testing

@testable import RoostDemo

@Suite struct WriteLogTests {
    private func log(_ times: [Int64]) -> WriteLog {
        var log = WriteLog()
        for (row, time) in times.enumerated() {
            log.append(#"{"row":\#(row),"sent_ms":\#(time - 1),"confirmed_ms":\#(time),"backend":"x"}\#n"#.utf8)
        }
        return log
    }

    @Test func gapsBelongToTheSpanTheyTouch() {
        let log = log([100, 110, 120, 900, 910, 920, 1500, 1510])
        #expect(log.longestGap(from: 125, to: 920) == 780)
        #expect(log.longestGap(from: 905, to: 925) == 10)
        #expect(log.longestGap(from: 925, to: 1400) == 480, "still open")
        #expect(log.longestGap(from: 1510, to: 1510) == 0)
        #expect(log.longestGap(from: 0, to: 130) == 100)
        #expect(WriteLog().longestGap(from: 5, to: 25) == 20)
    }

    @Test func countsWhatWasSentAfterwards() {
        let log = log([100, 110, 120])
        #expect(log.countSent(after: 105) == 2)
        #expect(log.countSent(after: 500) == 0)
    }

    @Test func takesLinesInPiecesAndPassesOverOthers() {
        var log = WriteLog()
        let text = """
            {"error":"connection refused","at_ms":3,"unknown":false}
            {"row":1,"sent_ms":1,"confirmed_ms":2,"backend":"x"}
            nonsense
            {"row":2,"sent_ms":3,"confirmed_ms":4,"backend":"x"}
            {"row":3,"sent
            """
        for byte in text.utf8 { log.append([byte]) }
        #expect(log.confirmations.map(\.row) == [1, 2])
    }
}
