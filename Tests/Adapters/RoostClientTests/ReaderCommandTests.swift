import FoundationEssentials
import RoostModel
import RoostWire
import Synchronization
import Testing

@testable import RoostClient

/// `roost pg` for readers, against a host that answers by a script.
@Suite struct ReaderCommandTests {
    @Test("Readers are asked for by their number in a region, waited for until they serve, and shown")
    func readers() async throws {
        let (one, other) = (try MemberName("shop-4"), try MemberName("shop-5"))
        var cluster = try Answers.cluster(.ready)
        cluster.readers = try [one, other].map {
            var reader = ReaderBody(name: $0, placement: nil, region: try RegionCode("iad"), state: "running")
            (reader.isServing, reader.upstream, reader.lagBytes, reader.lagSeconds) = (
                true, try MemberName("shop-2"), 0, 0.1
            )
            return reader
        }
        let calls: [([String], String, String)] = [
            (
                ["scale", "shop", "--readers", "iad=2", "--yes"], "PUT /v1/postgres/shop/readers",
                #"{"regions":{"iad":2}}"#
            ),
            (["reader", "remove", "shop", "shop-6", "--yes"], "DELETE /v1/postgres/shop/readers/shop-6", ""),
            (
                ["reader", "replace", "shop", "shop-3", "--region", "sin", "--yes"],
                "POST /v1/postgres/shop/readers/shop-3/replace", #"{"region":"sin"}"#
            ),
        ]
        let told = try Answers.json(cluster)
        let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
            .init(parts: [request.line.hasPrefix("GET") ? told : #"{"ok":true,"readers":["shop-4","shop-5"]}"#])
        }
        try await ScriptedHost.run(answering: answer) { host in
            for (words, line, body) in calls {
                let before = host.log.all.count
                let outcome = try await RoostProgram.run(["pg"] + words + ["--json", "--api", host.path])
                #expect(outcome.status == 0, "\(outcome)")
                let sent = try #require(host.log.all.dropFirst(before).first { !$0.line.hasPrefix("GET") })
                #expect(sent.line == line && sent.body == body, "\(sent)")
                let shown = try RoostJSON.decode(ClusterBody.self, from: .init(outcome.output.utf8))
                #expect(shown.readers == cluster.readers)
            }
            let status = try await RoostProgram.run(["pg", "status", "shop", "--api", host.path])
            #expect(status.output.contains("READER") && status.output.contains("shop-5"), "\(status)")
        }
        for words in [
            ["scale", "shop", "--readers", "iad"], ["scale", "shop", "--readers", "iad=33"],
            ["scale", "shop", "--readers", "iad=1", "--readers", "iad=2"],
            ["scale", "shop", "--readers", "iad=1", "--cancel"],
            ["create", "shop", "--region", "ams", "--reader-region", "iad=1", "--reader-region", "iad=2"],
        ] {
            let outcome = try await RoostProgram.run(["pg"] + words + ["--api", "unix:///nowhere"])
            #expect(outcome.status == 2, "\(outcome)")
        }
    }

    @Test("A reader that comes is waited for, and one that was there and does not serve holds up nobody")
    func readersThatDoNotServe() async throws {
        var cluster = try Answers.cluster(.ready)
        cluster.readers = try ["shop-4", "shop-5"].map {
            var reader = ReaderBody(
                name: try MemberName($0), placement: nil, region: try RegionCode("iad"), state: "running")
            reader.isServing = $0 == "shop-4"
            return reader
        }
        let now = try Answers.json(cluster)
        cluster.readers?.removeLast()
        let before = try Answers.json(cluster)
        for (words, comes) in [
            (["scale", "shop", "--readers", "iad=2", "--yes"], true),
            (["scale", "shop", "--readers", "sin=0", "--yes"], false),
            (["reader", "remove", "shop", "shop-6", "--yes"], false),
        ] {
            let isAsked = Mutex(false)
            let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer = { request in
                if request.line.hasPrefix("GET") {
                    return .init(parts: [comes && !isAsked.withLock { $0 } ? before : now])
                }
                isAsked.withLock { $0 = true }
                return .init(parts: [#"{"ok":true,"readers":["shop-4","shop-5"]}"#])
            }
            try await ScriptedHost.run(answering: answer) { host in
                let outcome = try await RoostProgram.run(["pg"] + words + ["--timeout", "1s", "--api", host.path])
                #expect(outcome.status == (comes ? 1 : 0), "\(words): \(outcome)")
                #expect(outcome.errors.contains("no sign after") == comes, "\(words): \(outcome)")
            }
        }
    }
}
