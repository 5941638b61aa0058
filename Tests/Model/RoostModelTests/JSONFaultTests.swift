import Foundation
import RoostModel
import Testing

@Suite struct JSONFaultTests {
    private enum Word: String, ClosedEnum { case started, stopped }

    private struct Thing: Codable {
        var count: Int?
        var port: UInt16?
        var share: Double?
        var name: String?
        var isOn: Bool?
        var numbers: [Int]?
        var sizes: [String: Int]?
        var word: Word?
        var host: HostName?
        var things: [Thing]?
    }

    @Test(
        "What is wrong with JSON is said as JSON has it: no type of this program's language is named",
        arguments: [
            (#"{"count":"x"}"#, "field 'count' has the wrong type: it is not a whole number"),
            (#"{"port":true}"#, "field 'port' has the wrong type: it is not a whole number"),
            (#"{"share":"x"}"#, "field 'share' has the wrong type: it is not a number"),
            (#"{"name":1}"#, "field 'name' has the wrong type: it is not a text"),
            (#"{"isOn":1}"#, "field 'isOn' has the wrong type: it is not true or false"),
            (#"{"numbers":{}}"#, "field 'numbers' has the wrong type: it is not a list"),
            (#"{"numbers":[1,"a"]}"#, "field 'numbers.1' has the wrong type: it is not a whole number"),
            (#"{"sizes":[]}"#, "field 'sizes' has the wrong type: it is not an object"),
            (
                #"{"things":[{},{"sizes":{"a":null}}]}"#,
                "field 'things.1.sizes.a' has the wrong type: it is null and not a whole number"
            ),
            (#"{"things":[null]}"#, "field 'things.0' has the wrong type: it is null and not an object"),
            (#"{"word":"paused"}"#, "field 'word' is wrong: 'paused' is none of started, stopped"),
            (#"{"word":7}"#, "field 'word' has the wrong type: it is not a text"),
            ("[]", "it has the wrong type: it is not an object"),
            ("{", "it is not valid JSON, or a number in it does not fit where it stands"),
            (#"{"port":70000}"#, "it is not valid JSON, or a number in it does not fit where it stands"),
        ])
    func words(json: String, expected: String) {
        do {
            _ = try JSONDecoder().decode(Thing.self, from: Data(json.utf8))
            Issue.record("\(json) was read")
        } catch {
            #expect(JSONFault(error).text(of: "it") == expected)
        }
    }

    @Test func missingFieldsAndOwnRules() throws {
        struct Named: Codable { var host: HostName }
        func text(_ json: String) -> String {
            let read = Result { try JSONDecoder().decode([Named].self, from: Data(json.utf8)) }
            guard case .failure(let error) = read else { return "" }
            return JSONFault(error).text(of: "it")
        }
        #expect(text("[{}]") == "field '0.host' is missing")
        #expect(text(#"[{"host":"UPPER"}]"#).hasPrefix("field '0.host' is wrong: 'UPPER' is not a valid host name"))
    }

    @Test func aClosedWordIsWrittenAsItIsRead() throws {
        let bytes = try JSONEncoder().encode([Word.stopped])
        #expect(String(decoding: bytes, as: UTF8.self) == #"["stopped"]"#)
        #expect(try JSONDecoder().decode([Word].self, from: bytes) == [.stopped])
    }
}
