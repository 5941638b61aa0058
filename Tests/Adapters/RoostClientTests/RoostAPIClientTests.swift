import FoundationEssentials
import RoostModel
import RoostWire
import Testing

@testable import RoostClient

@Suite struct RoostAPIClientTests {
    private func client(_ host: ScriptedHost) -> RoostAPIClient { RoostAPIClient(.socket(path: host.path)) }

    @Test func typedCallsGoWhereFlysPathsSay() async throws {
        let app = try AppName("shop")
        let machine = try MachineID("0123456789abcd")
        let body = #"{"ok":true,"state":"started","version":"1"}"#
        try await ScriptedHost.run { _ in
            .init(parts: [body])
        } _: { host in
            let client = client(host)
            let answer = try await client.waitForMachine(machine, of: app, state: .started, timeout: .seconds(5))
            #expect(answer.state == .started)
            try await client.stopMachine(machine, of: app, with: .init(signal: "SIGINT", timeout: .init(.seconds(3))))
            try await client.switchover(app, to: try MemberName("m2"))
            #expect(
                host.log.all.map(\.line) == [
                    "GET /v1/apps/shop/machines/0123456789abcd/wait?state=started&timeout=5",
                    "POST /v1/apps/shop/machines/0123456789abcd/stop",
                    "POST /v1/postgres/shop/switchover",
                ])
            #expect(host.log.all[1].body == #"{"signal":"SIGINT","timeout":"3s"}"#)
            #expect(host.log.all[1].headers["content-type"] == "application/json")
            #expect(host.log.all[2].body == #"{"to":"m2"}"#)
            #expect(host.log.all.allSatisfy { $0.headers["authorization"] == nil }, "a socket needs no token")
        }
    }

    @Test func refusalCarriesTheBodyAndTheRequestID() async throws {
        let answer = ScriptedHost.Answer(
            status: 422, headers: [("fly-request-id", "01ABC")],
            parts: [#"{"error":"app 'shop' is taken","status":"name_taken"}"#])
        try await ScriptedHost.run { _ in
            answer
        } _: { host in
            let error = await #expect(throws: APIError.self) {
                try await client(host).createApp(CreateAppRequest(name: "shop"))
            }
            guard let error, case .refused(422, let body) = error.cause else {
                Issue.record("not a refusal: \(String(describing: error))")
                return
            }
            #expect(body == ErrorBody(error: "app 'shop' is taken", status: .nameTaken))
            #expect(error.requestID == "01ABC")
            #expect(error.description == "app 'shop' is taken (POST /v1/apps: 422, request 01ABC)")
        }
    }

    @Test func refusalWithoutABodyIsStillARefusal() async throws {
        try await ScriptedHost.run { _ in
            .init(status: 502, parts: ["<html>"])
        } _: { host in
            let error = await #expect(throws: APIError.self) { try await client(host).apps() }
            #expect(error?.status == 502)
        }
    }

    @Test func nobodyListening() async throws {
        let missing = RoostAPIClient(.socket(path: "/tmp/roost-client-test-missing.sock"))
        let error = await #expect(throws: APIError.self) { try await missing.apps() }
        #expect(error?.isUnreachable == true, "\(String(describing: error))")
        let closed = RoostAPIClient(.tcp(host: "127.0.0.1", port: 1))
        let other = await #expect(throws: APIError.self) { try await closed.apps() }
        #expect(other?.isUnreachable == true, "\(String(describing: other))")
    }

    @Test func silenceEndsWithTheTimeLimit() async throws {
        try await ScriptedHost.run { _ in
            .init(parts: ["{"], ending: .silent)
        } _: { host in
            let error = await #expect(throws: APIError.self) {
                try await client(host).send(.get, "/v1/apps", as: ListAppsBody.self, timeout: .milliseconds(200))
            }
            guard let error, case .unanswered = error.cause else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
    }

    @Test func brokenConnectionLeavesTheOutcomeUnknown() async throws {
        try await ScriptedHost.run { _ in
            .init(parts: ["{"], ending: .broken)
        } _: { host in
            let error = await #expect(throws: APIError.self) { try await client(host).apps() }
            guard let error, case .unanswered = error.cause else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
    }

    @Test func wrongShapeNamesTheField() async throws {
        try await ScriptedHost.run { _ in
            .init(parts: [#"{"hosts":[{"name":"ams1"}]}"#])
        } _: { host in
            let error = await #expect(throws: APIError.self) { try await client(host).hosts() }
            #expect(error?.description.contains("'hosts.0.region' is missing") == true, "\(String(describing: error))")
        }
    }

    @Test func answersAreBounded() async throws {
        try await ScriptedHost.run { _ in
            .init(parts: [String(repeating: "x", count: 5000)])
        } _: { host in
            let request = APIRequest(.get, "/v1/apps", answerBytesMax: 4096)
            let error = await #expect(throws: APIError.self) { try await client(host).execute(request) }
            #expect(error?.description.contains("4096") == true)
        }
    }

    @Test func forwardingHandsBackAnyStatusAndHeader() async throws {
        let answer = ScriptedHost.Answer(status: 409, headers: [("fly-request-id", "7")], parts: ["{}"])
        try await ScriptedHost.run { _ in
            answer
        } _: { host in
            let response = try await client(host).execute(
                APIRequest(.post, "/v1/apps", headers: [("x-roost-forwarded-by", "ams1")], body: Data("{}".utf8)))
            #expect(response.status == 409)
            #expect(response.requestID == "7")
            #expect(response.body == Data("{}".utf8))
            #expect(host.log.all.first?.headers["x-roost-forwarded-by"] == "ams1")
        }
    }

    @Test func queriesAreEncoded() async throws {
        try await ScriptedHost.run { _ in
            .init(parts: ["[]"])
        } _: { host in
            _ = try await client(host).send(.get, "/v1/x", query: [("a b", "ü&=")], as: [String].self)
            #expect(host.log.all.first?.line == "GET /v1/x?a%20b=%C3%BC%26%3D")
        }
    }

    @Test func linesArriveAsTheyAreSaid() async throws {
        try await ScriptedHost.run { _ in
            .init(parts: ["on", "e\ntwo\n", "three"])
        } _: { host in
            var lines: [String] = []
            for try await line in try await client(host).lines(.get, "/v1/cluster/watch") {
                lines.append(String(decoding: line, as: UTF8.self))
            }
            #expect(lines == ["one", "two", "three"])
        }
    }

    @Test func brokenStreamThrowsAfterTheLinesThatCame() async throws {
        try await ScriptedHost.run { _ in
            .init(parts: ["one\ntwo"], ending: .broken)
        } _: { host in
            var iterator = try await client(host).lines(.get, "/v1/cluster/watch").makeAsyncIterator()
            #expect(try await iterator.next() == Array("one".utf8))
            await #expect(throws: APIError.self) { try await iterator.next() }
        }
    }

    @Test func endlessLineIsRefused() async throws {
        let answer = ScriptedHost.Answer(parts: [String(repeating: "x", count: 3000)], ending: .silent)
        try await ScriptedHost.run { _ in
            answer
        } _: { host in
            var iterator = try await client(host).lines(.get, "/v1/w", lineBytesMax: 1000).makeAsyncIterator()
            let error = await #expect(throws: APIError.self) { try await iterator.next() }
            #expect(error?.description.contains("1000") == true)
        }
    }

    @Test func cancellingEndsACall() async throws {
        try await ScriptedHost.run { _ in
            .init(ending: .silent)
        } _: { host in
            let client = client(host)
            let call = Task { try await client.apps() }
            call.cancel()
            let error = await #expect(throws: APIError.self) { try await call.value }
            guard let error, case .cancelled = error.cause else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
    }
}
