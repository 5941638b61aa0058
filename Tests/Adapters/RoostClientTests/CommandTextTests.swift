import RoostModel
import RoostWire
import Testing

@testable import roost

@Suite struct CommandTextTests {
    @Test func columnsAreAsWideAsTheirWidestCell() {
        var table = Table("NAME", "COUNT", "")
        table.add("a", .number(7), "x")
        table.add("longer", .number(1000), "")
        #expect(table.text { text, _ in text } == "NAME    COUNT\na           7  x\nlonger   1000")
    }

    @Test func colourDoesNotShiftColumns() {
        var table = Table("STATE", "NEXT")
        table.add(Cell("ok", .good), "x")
        #expect(table.text { text, style in style == .good ? "<\(text)>" : text } == "STATE  NEXT\n<ok>     x")
    }

    @Test(arguments: [
        (0.0, 1, "0.0"), (0.04, 1, "0.0"), (0.05, 1, "0.1"), (80.25, 2, "80.25"), (-0.04, 1, "0.0"),
        (-1.5, 0, "-2"), (1.005, 3, "1.005"), (.nan, 1, "-"),
    ])
    func decimals(value: Double, digits: Int, text: String) { #expect(Figure.decimal(value, digits) == text) }

    @Test func timesAreRFC3339() {
        #expect(Timestamp.text(milliseconds: 0) == "1970-01-01T00:00:00.000Z")
        #expect(Timestamp.text(milliseconds: 1_767_225_599_042) == "2025-12-31T23:59:59.042Z")
    }

    @Test func passwordLeavesTheURL() {
        let target = ConnectTarget(url: "postgres://postgres:p%40ss@203.0.113.1:5432/postgres?sslmode=require")
        #expect(target.url == "postgres://postgres@203.0.113.1:5432/postgres?sslmode=require")
        #expect(target.password == "p@ss")
        let bare = ConnectTarget(url: "postgres://203.0.113.1:5432/postgres")
        #expect(bare.url == "postgres://203.0.113.1:5432/postgres")
        #expect(bare.password == nil)
    }

    @Test func meshMatrixHasAColumnForAHostThatIsSilent() throws {
        let ams = try HostName("ams1")
        let iad = try HostName("iad1")
        let path = MeshMatrixBody.Path(
            peer: iad, roundTripMicroseconds: 80_300, jitterMicroseconds: 100, lossPercent: 12)
        let matrix = MeshMatrixBody(
            rows: [.init(host: ams, region: try RegionCode("ams"), paths: [path])], silent: [iad])
        #expect(matrix.matrix.headers == ["FROM \\ TO", "ams1", "iad1"])
        #expect(matrix.matrix.rows.first?.last?.text == "80.3 ms, 12 % lost")
        #expect(matrix.silence.contains("iad1"))
    }

    @Test(arguments: [
        (80, "creating cluster shop: no host in region ams fits (3 s)"), (30, "creating cluster shop:… (3 s)"),
    ])
    func progressStaysInOneLine(columns: Int, expected: String) {
        let line = Progress.line("creating cluster shop: no host in region ams fits", time: "3 s", columns: columns)
        #expect(line == expected)
        #expect(line.count < columns)
    }
}
