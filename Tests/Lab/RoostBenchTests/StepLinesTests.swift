import Testing

@testable import RoostBench

@Suite struct StepLinesTests {
    private static func line(_ second: Int, _ message: String, _ fields: String) -> String {
        "2026-11-27T06:40:0\(second).123Z info roost-pg \(message) \(fields)\n"
    }

    @Test func theLastLineOfEachRoundIsTaken() {
        let first = Self.line(1, "steps of a failover", "called_ms=1500 epoch=2 member=bench-2 open_ms=2740")
        let restart = Self.line(2, "steps of a restart", "epoch=2 member=bench-2 open_ms=900 started_ms=250")
        let second = Self.line(3, "steps of a failover", "called_ms=1700 end_read_ms=1800 epoch=4 open_ms=3000")
        let other = "FATAL:  open_ms=1\n" + Self.line(4, "now leading", "epoch=4 open=true")
        var lines = StepLines()
        lines.take(.failover, in: other)
        #expect(lines.steps.isEmpty)
        lines.take(.failover, in: other + first + restart)
        // A round whose line is not there says nothing, and that of the round before is not taken twice.
        lines.take(.failover, in: first + restart + other)
        lines.take(.failover, in: first + restart + second)
        #expect(lines.steps.map(\.name) == ["called", "end read", "open"])
        #expect(lines.steps.map(\.values) == [[1500, 1700], [1800], [2740, 3000]])
        // Of two members, whichever comes first.
        lines.take(.failover, in: Self.line(5, "steps of a failover", "called_ms=400 epoch=5") + first + second)
        #expect(lines.steps.first?.values == [1500, 1700, 400])
        var restarts = StepLines()
        restarts.take(.restart, in: first + restart + second)
        #expect(restarts.steps.map(\.name) == ["started", "open"])
    }
}
