import Foundation
import RoostModel
import Testing

@testable import RoostHost

@Suite struct LedgerFixtureTests {
    /// The files are those of RoostRecordsTests, which keeps every record as each version has written it.
    func fixture(_ name: String, from folder: String) throws -> Data {
        let file = URL(filePath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Model/RoostRecordsTests/Fixtures/\(folder)/\(name).json")
        return try Data(contentsOf: file)
    }

    @Test("A machine's row of the first version is read") func machine() throws {
        let row = try JSONDecoder().decode(MachineRow.self, from: try fixture("ledger-machine", from: "first"))
        #expect(row.record.state == .started)
        #expect(row.record.owner?.role == (try MemberName("pg1")))
        #expect(row.events.count == 2)
    }
}
