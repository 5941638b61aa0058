import RoostLinux
import RoostModel
import Testing

@testable import RoostContainers

/// What is beside a machine that runs is read by the version that takes over.
@Suite struct LaunchRecordTests {
    /// Reads what a version has written and writes it again: nothing is another.
    private func keeps<Record: Codable>(_ type: Record.Type, _ text: String) throws -> Record {
        let record = try JSONFile.decode(type, from: text)
        #expect(
            try JSONFile.decode(JSONTree.self, from: try JSONFile.encode(record))
                == JSONFile.decode(JSONTree.self, from: text))
        return record
    }

    @Test("A launch by any version is read, also by one that gave machines no init")
    func launches() throws {
        let first = #"""
            {"machine":"00000000000a21","attempt":"01J","image":"redis:7","digest":"sha256:ab","launchedAt":1795761000000}
            """#
        #expect(try keeps(LaunchRecord.self, first).hasInit == nil)
        let present = first.replacing("\"launchedAt\"", with: "\"hasInit\":true,\"launchedAt\"")
        #expect(try keeps(LaunchRecord.self, present).hasInit == true)
        let later = first.replacing("\"launchedAt\"", with: "\"x_future\":1,\"launchedAt\"")
        #expect(try JSONFile.decode(LaunchRecord.self, from: later).digest == "sha256:ab")
    }

    @Test("The process of a machine is found by a later version")
    func processes() throws {
        let process = try keeps(ProcessIdentity.self, #"{"pid":4711,"startTicks":18446744073709551615}"#)
        #expect(process.pid == 4711 && process.startTicks == .max)
    }
}
