import Foundation
import RoostClient
import RoostLab
import RoostLinux
import RoostModel
import RoostWire
import Testing

extension OneHostTests {
    /// Wrong input at every endpoint of docs/api.md: refused with the right status and words, and nothing is changed.
    @Suite(.serialized) struct WrongInputTests {
        let stock: Stock

        init() async throws { stock = try await Stock.ready(on: try LabPlanet.present()) }

        @Test(arguments: WrongRequest.apps) func apps(_ request: WrongRequest) async throws {
            try await stock.expectRefusal(request)
        }

        @Test(arguments: WrongRequest.newMachines) func newMachines(_ request: WrongRequest) async throws {
            try await stock.expectRefusal(request)
        }

        @Test(arguments: WrongRequest.machines) func machines(_ request: WrongRequest) async throws {
            try await stock.expectRefusal(request)
        }

        @Test(arguments: WrongRequest.volumes) func volumes(_ request: WrongRequest) async throws {
            try await stock.expectRefusal(request)
        }

        @Test(arguments: WrongRequest.clusters) func clusters(_ request: WrongRequest) async throws {
            try await stock.expectRefusal(request)
        }

        @Test(arguments: WrongRequest.platform) func platform(_ request: WrongRequest) async throws {
            try await stock.expectRefusal(request)
        }

        @Test(arguments: WrongRequest.paths) func paths(_ request: WrongRequest) async throws {
            try await stock.expectRefusal(request)
        }

        /// Over TCP every path wants the token, whatever it leads to.
        @Test(arguments: [
            "GET /v1/apps", "POST /v1/postgres", "DELETE /v1/apps/stock-shop", "GET /v1/platform/hosts",
            "GET /v1/internal/mesh", "GET /v1/bogus", "GET /",
        ])
        func theTokenIsNeededOverTCP(_ line: String) async throws {
            let before = try await stock.inventory()
            let token = try String(contentsOfFile: stock.planet.paths.tokenFile, encoding: .utf8)
                .trimmingCharacters(in: .whitespacesAndNewlines)
            let request = WrongRequest(line, nil, 401, "Authorization: Bearer TOKEN")
            for header in [
                nil, "", "Bearer", "Bearer ", "Bearer \(token)x", "Bearer \(token.dropLast())", "Basic \(token)", token,
                "Bearer bearer \(token)",
            ] {
                let answer = try await overTCP(request, authorization: header)
                try Stock.check(answer, against: request, #_sourceLocation)
            }
            let accepted = try await overTCP(
                WrongRequest("GET /v1/platform/hosts", nil, 200, ""), authorization: "Bearer \(token)")
            #expect(accepted.hasPrefix("HTTP/1.1 200"))
            #expect(try await stock.inventory() == before)
        }

        private func overTCP(_ request: WrongRequest, authorization: String?) async throws -> String {
            let host = stock.planet.plan.hosts[0].name
            // With a semicolon curl sends a header without a value.
            let header = authorization.map { $0.isEmpty ? "authorization;" : "authorization: \($0)" }
            return try await stock.planet.run(
                in: host.text,
                ["curl", "-sS", "-i", "--max-time", "30", "-X", request.method]
                    + (header.map { ["-H", $0] } ?? [])
                    + ["http://[\(MeshAddress.host(host))]:\(LabPlan.apiPort)\(request.path)"]
            ).standardOutput
        }

        /// What is no HTTP, or half of it.
        enum BrokenHTTP: String, CaseIterable {
            case unknownMethod = "BREW /v1/apps HTTP/1.1\r\nhost: x\r\n\r\n"
            case noVersion = "GET /v1/apps\r\n\r\n"
            case noText = "\0\0\0\0"
            case halfBody = "POST /v1/apps HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{\"name\":\"half\""
            case negativeLength = "POST /v1/apps HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n{\"name\":\"half\"}"
            case brokenChunks =
                "POST /v1/apps HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nf\r\n{\"name\":\"half\"}\r\nzz\r\n"
        }

        /// It is not the API that answers it, and the next request is answered as ever.
        @Test(arguments: BrokenHTTP.allCases) func brokenHTTPChangesNothing(_ bytes: BrokenHTTP) async throws {
            let before = try await stock.inventory()
            let outcome = try await RawConnection.send(bytes.rawValue, to: socket, listening: .seconds(1))
            #expect(!outcome.answer.contains("HTTP/1.1 2"), "\(outcome.answer)")
            #expect(try await stock.inventory() == before)
        }

        /// Whoever sends half a request does not hold its connection for ever.
        @Test func halfARequestIsHungUpOn() async throws {
            let outcome = try await RawConnection.send(
                BrokenHTTP.halfBody.rawValue, to: socket, listening: .seconds(60))
            #expect(outcome.isClosed)
        }

        private var socket: String { stock.planet.paths.apiSocket(stock.planet.plan.hosts[0].name.text) }

        /// Orders that are no mistakes when they are repeated: as on Fly.io, the second one changes nothing.
        @Test func startingAStartedMachineChangesNothing() async throws {
            let before = try await stock.inventory()
            let (app, machine) = (try AppName(Stock.shop), try MachineID(try #require(stock.names["{machine}"])))
            try await stock.api.startMachine(machine, of: app)
            #expect(try await stock.inventory() == before)
        }
    }
}
