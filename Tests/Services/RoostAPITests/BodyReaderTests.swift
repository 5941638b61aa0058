import Foundation
import RoostModel
import RoostWire
import Testing

@testable import RoostAPI

@Suite struct BodyReaderTests {
    private func refusal<Value: Codable>(of text: String, as type: Value.Type) -> String {
        do throws(Refusal) {
            _ = try BodyReader.wish(type, from: Data(text.utf8))
            return "accepted"
        } catch {
            return error.code == .invalid ? error.message : "\(error.code): \(error.message)"
        }
    }

    @Test(arguments: [
        ("", "the request needs a body: a JSON object"), ("{", "the request's body is not valid JSON"),
        ("{\"name\":\"a\"} x", "the request's body is not valid JSON"),
        ("[]", "the request's body is not a JSON object"), ("7", "the request's body is not a JSON object"),
        ("{}", "field 'config' is missing"), ("{\"config\":{}}", "field 'config.image' is missing"),
        ("{\"config\":{\"image\":\"a\"},\"zone\":1}", "field 'zone' is not supported"),
        ("{\"config\":{\"image\":\"a\",\"checks\":{\"up\":{\"port\":1}}}}", "field 'config.checks' is not supported"),
        ("{\"config\":{\"image\":\"a\",\"image\":\"b\"}}", "field 'image' is there twice"),
        ("{\"config\":{\"image\":\"a\",\"guest\":{\"gpus\":1}}}", "field 'config.guest.gpus' is not supported"),
        (
            "{\"config\":{\"image\":\"a\",\"mounts\":[{\"volume\":\"vol_0123456789abcdef\",\"path\":\"/d\",\"name\":\"d\"}]}}",
            "field 'config.mounts.name' is not supported"
        ),
    ])
    func whatIsWrongIsNamed(text: String, expected: String) {
        #expect(refusal(of: text, as: CreateMachineRequest.self) == expected)
    }

    @Test func whatIsUnderstoodIsTaken() throws {
        let text = """
            {"name": "web", "region": null, "bogus": null, "config": {"image": "a", "env": {"ANY": "thing"},
            "metadata": {"anything": "goes"}, "stop_config": {"timeout": 5000000000}, "guest": {}}}
            """
        let wish = try BodyReader.wish(CreateMachineRequest.self, from: Data(text.utf8))
        #expect(wish.config.environment == ["ANY": "thing"])
        #expect(wish.config.stop.effectiveTimeout == .seconds(5))
        #expect(wish.config.guest == MachineGuest())
    }

    @Test(
        "What nobody set is sent as empty or false by some clients, and counts as not sent",
        arguments: ["null", "false", "0", "\"\"", "[]", "{}", "{\"port\":0,\"names\":[]}"])
    func emptyIsNotSent(value: String) throws {
        let text = "{\"config\":{\"image\":\"a\",\"restart\":{},\"services\":\(value)},\"skip_secrets\":\(value)}"
        let wish = try BodyReader.wish(CreateMachineRequest.self, from: Data(text.utf8))
        #expect(wish.config.restart.policy == .onFailure)
    }

    @Test func typesAreNamedWithTheirPlace() {
        let text = refusal(
            of: "{\"config\":{\"image\":\"a\",\"guest\":{\"cpus\":\"2\"}}}", as: CreateMachineRequest.self)
        #expect(text == "field 'config.guest.cpus' has the wrong type: it is not a whole number")
        let large = refusal(of: "{\"name\":\"a\",\"size_gb\":1.5}", as: CreateVolumeRequest.self)
        #expect(large.contains("a number in it does not fit"), "\(large)")
        #expect(
            refusal(of: "{\"state\":\"paused\"}", as: EdgeRequest.self)
                == "field 'state' is wrong: 'paused' is none of started, stopped, replaced")
    }
}
