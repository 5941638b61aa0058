import RoostLinux
import RoostModel
import Testing

@testable import RoostImages

/// What is kept beside images is read by later versions: they are not fetched anew.
@Suite struct ImageRecordTests {
    /// Reads what a version has written and writes it again: nothing is another.
    private func keeps<Record: Codable>(_ type: Record.Type, _ text: String) throws -> Record {
        let record = try JSONFile.decode(type, from: text)
        #expect(
            try JSONFile.decode(JSONTree.self, from: try JSONFile.encode(record))
                == JSONFile.decode(JSONTree.self, from: text))
        return record
    }

    @Test("What an image says of itself")
    func images() throws {
        let text = #"""
            {"entrypoint":["/init"],"command":["serve"],"environment":["PATH=/bin"],"workingDirectory":"/data",
            "user":"1000:1000","stopSignal":"SIGINT"}
            """#
        let record = try keeps(ImageRecord.self, text)
        #expect(record.entrypoint == ["/init"] && record.user == "1000:1000" && record.stopSignal == "SIGINT")
        #expect(
            try keeps(ImageRecord.self, text.replacing(",\"stopSignal\":\"SIGINT\"", with: "")).stopSignal == nil)
    }

    @Test("What a tag meant last")
    func resolutions() throws {
        let record = try keeps(
            OCIImageStore.Resolution.self,
            #"{"reference":"docker.example/redis:7","remote":"ab","manifest":"sha256:cd"}"#)
        #expect(record.manifest == "sha256:cd")
    }
}
