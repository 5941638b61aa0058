import FoundationEssentials
import Glibc
import RoostModel
import RoostWire
import Testing

@testable import RoostClient

/// How a cluster is shown.
@Suite struct ClusterTextTests {
    @Test("Whichever command prints a cluster's URLs, they name the file with its authority, and it is there")
    func urlsNameTheAuthority() async throws {
        var cluster = try Answers.cluster(.ready)
        cluster.authorityCertificate = "pem"
        cluster.writeURL += "?sslmode=verify-full"
        cluster.readURL += "?sslmode=verify-full"
        let (one, list) = (try Answers.json(cluster), try Answers.json(ListClustersBody(clusters: [cluster])))
        let folder = "/tmp/roost-authorities-\(getpid())"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
            .init(parts: [request.line == "GET /v1/postgres" ? list : one])
        }
        try await ScriptedHost.run(answering: answer) { host in
            for command in [["list"], ["status", "shop"], ["pause", "shop"], ["resume", "shop"]] {
                let outcome = try await RoostProgram.run(
                    ["--json", "pg"] + command + ["--api", host.path], environment: ["XDG_CONFIG_HOME": folder])
                #expect(outcome.status == 0, "\(outcome)")
                let output = Data(outcome.output.utf8)
                let shown =
                    command == ["list"]
                    ? try RoostJSON.decode([ClusterBody].self, from: output)
                    : [try RoostJSON.decode(ClusterBody.self, from: output)]
                #expect(shown.count == 1)
                for url in shown.flatMap({ [$0.writeURL, $0.readURL] }) {
                    let path = try #require(url.components(separatedBy: "&sslrootcert=").last, "\(command)")
                    #expect(path.hasPrefix(folder), "\(command): \(url)")
                    #expect(FileManager.default.fileExists(atPath: path), "\(command): \(url)")
                }
            }
        }
    }

    @Test("A cluster with a home says where that is, and what has to be for it to be led from there again")
    func home() async throws {
        func shown(
            _ leader: String?, _ status: ClusterBody.Status, home: String?, isByHand: Bool? = nil,
            state: String = "streaming"
        ) async throws -> RoostProgram.Outcome {
            var cluster = try Answers.cluster(status, leader: leader)
            cluster.survival = SurvivalBody(
                wanted: home == nil ? nil : .region, home: try home.map { try RegionCode($0) }, now: nil, hosts: nil,
                regions: nil)
            cluster.survival?.isLedByHand = isByHand
            cluster.members[0].state = state
            let answer = try Answers.json(cluster)
            return try await ScriptedHost.run { _ in
                .init(parts: [answer])
            } _: { host in
                try await RoostProgram.run(["pg", "status", "shop", "--api", host.path])
            }
        }
        func line(_ outcome: RoostProgram.Outcome) -> String? {
            outcome.output.split(separator: "\n").map(String.init).first { $0.hasPrefix("Home") }
        }
        #expect(try await line(shown("m1", .ready, home: nil)) == nil)
        let there = try #require(try await line(shown("m1", .ready, home: "ams")))
        #expect(there.hasSuffix("ams") && !there.contains("led from"), "\(there)")
        let away = try #require(try await line(shown("m2", .ready, home: "ams")))
        #expect(away.contains("ams; led from iad") && away.contains("10 minutes"), "\(away)")
        let wanted = try #require(try await line(shown("m2", .ready, home: "ams", isByHand: true)))
        #expect(wanted.hasSuffix("led from iad, where somebody has switched it over to"), "\(wanted)")
        // Whom nobody is there for, or only who goes, it does not go back to.
        for outcome in [
            try await shown("m2", .ready, home: "sin"), try await shown("m2", .ready, home: "ams", state: "leaving"),
            try await shown("m2", .ready, home: "ams", state: "no member"),
        ] {
            let empty = try #require(line(outcome))
            #expect(empty.contains("led from iad; no member is there") && !empty.contains("10 minutes"), "\(empty)")
            #expect(empty.contains("roost pg member add shop --region"), "\(empty)")
        }
        // Nobody leads, or nobody knows: it is not said where from.
        let nobody = try #require(try await line(shown(nil, .unavailable, home: "ams")))
        #expect(nobody.hasSuffix("ams"), "\(nobody)")
    }
}
