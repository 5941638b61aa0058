import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import RoostHost
import RoostModel
import RoostPlanet
import RoostPostgresControl
import RoostWire
import Testing

@testable import RoostAPI

@Suite struct RequestReaderTests {
    private func refusal<Value: Codable>(of text: String, as type: Value.Type) -> String {
        do throws(Refusal) {
            _ = try RequestReader.wish(type, from: Data(text.utf8))
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
        ("{\"config\":{\"image\":\"a\",\"checks\":{}}}", "field 'config.checks' is not supported"),
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
        let wish = try RequestReader.wish(CreateMachineRequest.self, from: Data(text.utf8))
        #expect(wish.config.environment == ["ANY": "thing"])
        #expect(wish.config.stop.effectiveTimeout == .seconds(5))
        #expect(wish.config.guest == MachineGuest())
    }

    @Test func typesAreNamedWithTheirPlace() {
        let text = refusal(
            of: "{\"config\":{\"image\":\"a\",\"guest\":{\"cpus\":\"2\"}}}", as: CreateMachineRequest.self)
        #expect(text.hasPrefix("field 'config.guest.cpus' has the wrong type"), "\(text)")
        let large = refusal(of: "{\"name\":\"a\",\"size_gb\":1.5}", as: CreateVolumeRequest.self)
        #expect(large.contains("a number in it does not fit"), "\(large)")
    }

    // MARK: - Queries

    private func request(_ query: String) -> Request {
        Request(
            head: HTTPRequest(method: .get, scheme: nil, authority: nil, path: "/v1/apps?\(query)"),
            body: .init(buffer: ByteBuffer()))
    }

    @Test(arguments: [("limit=1", 1), ("limit=50", 50), ("", 20), ("other=3", 20)])
    func numbersAreTaken(query: String, expected: Int) throws {
        #expect(try RequestReader.number("limit", in: request(query), default: 20, within: 1...50) == expected)
    }

    @Test(arguments: [
        "limit=0", "limit=51", "limit=-1", "limit=x", "limit=", "limit=1.5", "limit=99999999999999999999",
    ])
    func numbersOutOfRangeAreRefused(query: String) {
        #expect(throws: Refusal(.invalid, "limit must be 1 to 50")) {
            try RequestReader.number("limit", in: request(query), default: 20, within: 1...50)
        }
    }

    @Test func flagsAreTrueOrFalse() throws {
        for query in ["force=true", "force=1", "force="] {
            #expect(try RequestReader.flag("force", in: request(query)))
        }
        for query in ["force=false", "force=0", "", "kill=true"] {
            #expect(try !RequestReader.flag("force", in: request(query)))
        }
        #expect(throws: Refusal.self) { try RequestReader.flag("force", in: request("force=maybe")) }
    }

    @Test func durationsAreSecondsOrGosText() throws {
        #expect(try RequestReader.duration("timeout", in: request("timeout=7")) == .seconds(7))
        #expect(try RequestReader.duration("timeout", in: request("timeout=1m30s")) == .seconds(90))
        #expect(try RequestReader.duration("timeout", in: request("")) == nil)
        let century = String(repeating: "999999999h", count: 3)
        for text in ["-1", "soon", "", "9999999", "1d", century] {
            #expect(throws: Refusal.self) { try RequestReader.duration("timeout", in: request("timeout=\(text)")) }
        }
    }
}
