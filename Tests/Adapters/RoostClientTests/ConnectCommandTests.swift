import FoundationEssentials
import Glibc
import RoostWire
import Testing

@testable import RoostClient

/// What `pg connect` hands to psql, by a psql that only shows it.
@Suite struct ConnectCommandTests {
    private let home: String

    init() throws {
        home = "/tmp/roost-connect-test-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: home + "/bin", withIntermediateDirectories: true)
        let script = "#!/bin/sh\necho \"password $PGPASSWORD\"\ncat \"$PGSERVICEFILE\"\n"
        try script.write(toFile: home + "/bin/psql", atomically: true, encoding: .utf8)
        try #require(chmod(home + "/bin/psql", 0o755) == 0)
    }

    private var authorities: String { home + "/roost/authorities" }

    private func connect(_ place: [String], _ more: [String: String] = [:]) async throws -> RoostProgram.Outcome {
        var environment = ["XDG_CONFIG_HOME": home, "PATH": home + "/bin:/usr/bin:/bin"]
        for name in ["PGPASSWORD", "PGSSLROOTCERT", "PGSSLMODE", "PGUSER"] { environment[name] = "" }
        environment.merge(more) { $1 }
        return try await RoostProgram.run(["pg", "connect", "shop"] + place, environment: environment)
    }

    private static func cluster(_ status: ClusterBody.Status = .ready, isWhole: Bool) throws -> ClusterBody {
        var cluster = try Answers.cluster(status)
        let password = isWhole ? ":secret" : ""
        cluster.writeURL = "postgres://postgres\(password)@203.0.113.1:5432/postgres?sslmode=verify-full"
        cluster.authorityCertificate = isWhole ? "PEM" : ""
        cluster.missing = isWhole ? nil : [.password, .authorityCertificate]
        return cluster
    }

    private static func saying(
        _ cluster: ClusterBody
    ) throws -> @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer {
        let text = try Answers.json(cluster)
        return { request in
            .init(parts: [request.line.hasSuffix("/regions") ? #"{"nearest":"ams","regions":[]}"# : text])
        }
    }

    @Test(
        "psql is not started without the cluster's authority or its password, and what is kept of the authority counts")
    func missing() async throws {
        defer { try? FileManager.default.removeItem(atPath: home) }
        let whole = try Self.cluster(isWhole: true)
        try await ScriptedHost.run(answering: try Self.saying(try Self.cluster(isWhole: false))) { host in
            let place = ["--api", host.path]
            let unknown = try await connect(place, ["PGPASSWORD": "own"])
            #expect(unknown.status == 1 && unknown.output.isEmpty, "\(unknown)")
            #expect(unknown.errors.contains("cannot know whether a server is cluster shop"), "\(unknown)")
            // Who trusts something else, or everybody, has said so.
            for (name, value) in [("PGSSLROOTCERT", "/own.crt"), ("PGSSLMODE", "require")] {
                let chosen = try await connect(place, ["PGPASSWORD": "own", name: value])
                #expect(chosen.status == 0 && chosen.output.contains("password own"), "\(chosen)")
            }
            _ = try AuthorityFile.trusting(whole, in: authorities)
            let kept = try await connect(place, ["PGPASSWORD": "own"])
            #expect(kept.status == 0 && kept.output.contains("password own"), "\(kept)")
            #expect(kept.output.contains("sslrootcert=\(authorities)/shop-"), "\(kept)")
            let without = try await connect(place)
            #expect(without.status == 1 && without.output.isEmpty, "\(without)")
            #expect(without.errors.contains("cannot read its password and certificate authority"), "\(without)")
            // Of two nobody knows which is meant.
            var other = whole
            other.authorityCertificate = "another planet's"
            _ = try AuthorityFile.trusting(other, in: authorities)
            let two = try await connect(place, ["PGPASSWORD": "own"])
            #expect(two.status == 1 && two.errors.contains("2 are kept here"), "\(two)")
        }
    }

    @Test("Of a lab, the host is taken that knows with what to log in, and nothing is left of it after the cluster")
    func othersAreAsked() async throws {
        defer { try? FileManager.default.removeItem(atPath: home) }
        let lab = "cli-missing-\(getpid())"
        let folder = "/run/roost-lab/\(lab)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for host in ["ams1", "iad1"] {
            try FileManager.default.createDirectory(atPath: "\(folder)/\(host)", withIntermediateDirectories: true)
        }
        let (partial, whole) = (try Self.cluster(isWhole: false), try Self.cluster(.unheard, isWhole: true))
        try await ScriptedHost.run(at: "\(folder)/ams1/api.sock", answering: try Self.saying(partial)) { _ in
            let alone = try await RoostProgram.run(["pg", "status", "shop", "--lab", lab])
            #expect(alone.output.contains("ready") && alone.output.contains("Missing"), "\(alone)")
            try await ScriptedHost.run(at: "\(folder)/iad1/api.sock", answering: try Self.saying(whole)) { other in
                // How the cluster is counts more than its password, except for who logs in.
                let shown = try await RoostProgram.run(["pg", "status", "shop", "--lab", lab])
                #expect(shown.output.contains("ready") && !shown.output.contains("unknown"), "\(shown)")
                // In a lab psql runs at a client, by this same program, which finds no lab of that name.
                _ = try await connect(["--lab", lab, "--from", "client-ams"])
                let files = try FileManager.default.contentsOfDirectory(atPath: authorities)
                let service = try #require(files.first { $0.hasSuffix(".service") })
                let text = try String(contentsOfFile: "\(authorities)/\(service)", encoding: .utf8)
                #expect(text.contains("sslrootcert=\(authorities)/shop-"), "\(text)")
                #expect(other.log.all.contains { $0.line == "GET /v1/postgres/shop" })
            }
        }
        try AuthorityFile.forget(whole, in: authorities)
        #expect(try FileManager.default.contentsOfDirectory(atPath: authorities) == [])
    }
}
