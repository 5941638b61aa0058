import Foundation
import RoostClient
import RoostModel
import RoostWire
import Testing

@testable import roost

@Suite struct CommandTextTests {
    @Test func columnsAreAsWideAsTheirWidestCell() {
        var table = Table("NAME", "COUNT", "")
        table.add("a", .number(7), "x")
        table.add("longer", .number(1000), "")
        #expect(table.text { text, _ in text } == "NAME    COUNT\na           7  x\nlonger   1000")
    }

    @Test func colourDoesNotShiftColumns() {
        var table = Table("STATE", "NEXT")
        table.add(Cell("ok", .good), "x")
        #expect(table.text { text, style in style == .good ? "<\(text)>" : text } == "STATE  NEXT\n<ok>     x")
    }

    @Test(arguments: [
        (0.0, 1, "0.0"), (0.04, 1, "0.0"), (0.05, 1, "0.1"), (80.25, 2, "80.25"), (-0.04, 1, "0.0"),
        (-1.5, 0, "-2"), (1.005, 3, "1.005"), (.nan, 1, "-"),
    ])
    func decimals(value: Double, digits: Int, text: String) { #expect(Figure.decimal(value, digits) == text) }

    @Test(
        "A time limit has units or is a number of seconds",
        arguments: [
            ("20", 20_000), ("15s", 15_000), ("1m30s", 90_000), ("300ms", 300), ("0", 0), ("", nil), ("-5", nil),
            ("1.5", nil), ("5x", nil), ("99999999999", nil),
        ] as [(String, Int64?)])
    func timeLimits(text: String, milliseconds: Int64?) {
        #expect((try? timeLimit(text))?.duration.milliseconds == milliseconds)
    }

    @Test(
        "Who asked for something that is not there is led to the list of such things",
        arguments: [
            ("GET /v1/postgres/shop", "pg"), ("PUT /v1/postgres/shop/allow", "pg"),
            ("DELETE /v1/postgres/shop/pause", "pg"), ("GET /v1/postgres/shop/recovery", "pg"),
            ("GET /v1/apps/shop", "apps"),
            ("GET /v1/apps/machines", "apps"), ("POST /v1/apps/shop/machines/0123456789abcd/stop", "machines"),
            ("DELETE /v1/apps/shop/volumes/vol_1", "volumes"), ("POST /v1/platform/hosts/nope/edge", "hosts"),
            ("GET /v1/operations/op", "operations"),
        ])
    func families(operation: String, family: String) { #expect(Advice.family(of: operation) == family) }

    @Test(
        "Who asked for something of an app that is not there is led to the list of apps",
        arguments: [
            ("app nope not found", "apps"), ("volume vol_1 not found", "volumes"), ("machine m not found", "machines"),
            ("Postgres cluster db not found", "pg"), ("host h not found", "hosts"), ("no such thing", nil),
        ] as [(String, String?)])
    func missing(message: String, family: String?) { #expect(Advice.family(ofMissing: message) == family) }

    @Test("Who names a member that there is not is sent to its cluster, and to the list of what else is missing")
    func missingMember() {
        func advice(_ message: String, _ call: String) -> String? {
            Advice.after(
                APIError(
                    .refused(status: 404, body: ErrorBody(error: message)), operation: call,
                    endpoint: .socket(path: "/run/x")))
        }
        let call = "DELETE /v1/postgres/orders/members/orders-9"
        #expect(
            advice("orders-9 is not a member; there are: orders-1", call) == "See what there is: roost pg status orders"
        )
        for other in ["POST /v1/postgres/orders/switchover", "POST /v1/postgres/orders/restart"] {
            #expect(
                advice("orders-9 is not a member; there are: orders-1", other)
                    == "See what there is: roost pg status orders")
        }
        #expect(advice("Postgres cluster orders not found", call) == "See what there is: roost pg list")
        let replace = "POST /v1/postgres/orders/members/orders-1/replace"
        #expect(advice("host ams9 not found", replace) == "See what there is: roost hosts list")
        #expect(
            advice("Postgres cluster orders not found", "POST /v1/postgres/orders/members")
                == "See what there is: roost pg list")
    }

    @Test("Only who has asked for a change is told that nothing was changed")
    func nothingWasChanged() {
        for (call, isTold) in [("GET /v1/apps/shop/machines/0/logs", false), ("POST /v1/apps/shop/machines", true)] {
            let words = Advice.after(
                APIError(
                    .refused(status: 503, body: ErrorBody(error: "host ams2 is away")), operation: call,
                    endpoint: .socket(path: "/run/x")))
            #expect(words?.contains("Nothing was changed") == isTold, "\(words ?? "")")
            #expect(words?.contains("roost hosts list") == true)
        }
    }

    @Test func timesAreRFC3339() {
        #expect(Timestamp.text(milliseconds: 0) == "1970-01-01T00:00:00.000Z")
        #expect(Timestamp.text(milliseconds: 1_767_225_599_042) == "2025-12-31T23:59:59.042Z")
    }

    @Test("A URL is handed to psql in its environment, and the superuser's password only to the superuser")
    func connectTarget() throws {
        let url = "postgres://postgres:p%40ss@203.0.113.1:5433/postgres?sslmode=verify-full&sslrootcert=/a%20b.crt"
        let target = try #require(ConnectTarget(url: url))
        let plain = target.environment(for: ["-c", "select 1"], beside: { _ in nil })
        #expect(
            plain == [
                "PGHOST": "203.0.113.1", "PGPORT": "5433", "PGUSER": "postgres", "PGDATABASE": "postgres",
                "PGPASSWORD": "p@ss", "PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/a b.crt",
            ])
        for words in [["-U", "other"], ["-Uother"], ["--username=other"], ["-d", "user=other"], ["db", "other"]] {
            #expect(target.environment(for: words, beside: { _ in nil })["PGPASSWORD"] == nil, "\(words)")
        }
        for words in [["template1"], ["-d", "other"], ["-Atc", "select 'x'", "db"], ["-v", "ON_ERROR_STOP=1", "db"]] {
            let environment = target.environment(for: words, beside: { _ in nil })
            #expect(environment["PGPASSWORD"] == "p@ss", "\(words)")
            #expect(environment["PGHOST"] == "203.0.113.1")
        }
        let own = target.environment(
            for: [], beside: { ["PGUSER": "other", "PGDATABASE": "mine", "PGPASSWORD": "x"][$0] })
        #expect(own["PGUSER"] == nil && own["PGDATABASE"] == nil && own["PGPASSWORD"] == nil)
        #expect(own["PGHOST"] == "203.0.113.1")
        #expect(ConnectTarget(url: "") == nil)
        let lively = try #require(
            ConnectTarget(url: url + "&keepalives_idle=2&tcp_user_timeout=9000&connect_timeout=10"))
        #expect(
            lively.service(beside: { _ in nil }) == """
                [roost]
                host=203.0.113.1
                port=5433
                connect_timeout=10
                keepalives_idle=2
                sslmode=verify-full
                sslrootcert=/a b.crt
                tcp_user_timeout=9000

                """)
        #expect(!lively.service(beside: { $0 == "PGSSLMODE" ? "require" : nil }).contains("sslmode"))
    }

    @Test("What others have written is shown on a terminal, and not obeyed: in tables, in facts")
    func foreignText() {
        var table = Table("detail")
        table.add(Table.Cell("a\u{1b}[2Jb\nc"))
        #expect(table.text(paint: { text, _ in text }) == "detail\na\\x1b[2Jb c")
        #expect(Facts([("why", "\u{9b}31m")]).text.hasSuffix("\\x9b31m"))
        let own = Terminal.Style.good.rawValue + "ready\u{1b}[0m"
        #expect(Facts([("state", own + "\u{1b}]0;title\u{7}")]).text.hasSuffix(own + "\\x1b]0;title\\x07"))
    }

    @Test("A password stays off the screen")
    func withoutPassword() {
        #expect(
            ClusterBody.withoutPassword("postgres://postgres:secret@203.0.113.1:5432/postgres?sslmode=require")
                == "postgres://postgres@203.0.113.1:5432/postgres?sslmode=require")
        #expect(ClusterBody.withoutPassword("postgres://postgres@203.0.113.1/a") == "postgres://postgres@203.0.113.1/a")
    }

    @Test(
        "Options that all commands share may stand before the command too",
        arguments: [
            (["--json", "pg", "list"], ["pg", "list", "--json"]),
            (["--json", "hosts", "list"], ["hosts", "list", "--json"]),
            (["--token-file", "f", "pg", "list"], ["pg", "list", "--token-file", "f"]),
            (["--lab", "x", "pg", "--json", "status", "db"], ["pg", "status", "--lab", "x", "--json", "db"]),
            (
                ["--api=http://h:1", "machines", "exec", "a", "--", "--json"],
                ["machines", "exec", "--api=http://h:1", "a", "--", "--json"]
            ),
            (["pg", "list", "--json"], ["pg", "list", "--json"]), (["--json"], ["--json"]),
            (["--lab"], ["--lab"]), (["--nonsense", "pg"], ["--nonsense", "pg"]),
            (["help", "pg", "--api", "/sock"], ["help", "pg"]), (["--lab", "x", "help", "pg"], ["help", "pg"]),
            (["help", "--json", "pg", "--api=/sock", "create"], ["help", "pg", "create"]),
            (["help", "pg", "--api"], ["help", "pg", "--api"]),
            (["pg", "connect", "help", "--", "--json"], ["pg", "connect", "help", "--", "--json"]),
        ])
    func leadingOptions(words: [String], expected: [String]) {
        #expect(LeadingOptions.behindTheCommand(words, of: RoostCommand.self) == expected)
    }

    @Test("Control characters of a machine's output are shown on a terminal, not obeyed")
    func harmless() {
        #expect(Terminal.harmless("a\u{1b}[2Jb\tc\r\nd\u{9b}é") == "a\\x1b[2Jb\tc\nd\\x9bé")
    }

    @Test("The authority is kept in a file that the URLs name")
    func authorityFile() throws {
        let folder = NSTemporaryDirectory() + "roost-authorities-\(ProcessInfo.processInfo.processIdentifier)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var cluster = try Answers.cluster(.ready)
        #expect(try AuthorityFile.trusting(cluster, in: folder) == cluster)
        cluster.authorityCertificate = "PEM"
        cluster.writeURL = "postgres://postgres@203.0.113.1:5432/postgres?sslmode=verify-full"
        let trusting = try AuthorityFile.trusting(cluster, in: folder)
        let path = try #require(trusting.writeURL.split(separator: "=").last.map(String.init))
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "PEM")
        #expect(try AuthorityFile.trusting(trusting, in: folder) == trusting)
    }

    @Test("Of a cluster that is gone its authority is forgotten, and nothing of another of its name")
    func forgottenAuthority() throws {
        let folder = NSTemporaryDirectory() + "roost-forgotten-\(ProcessInfo.processInfo.processIdentifier)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        func keep(_ authority: String) throws -> (cluster: ClusterBody, files: [String]) {
            var cluster = try Answers.cluster(.ready)
            cluster.authorityCertificate = authority
            cluster.writeURL = "postgres://postgres:p@203.0.113.1:5432/postgres?sslmode=verify-full"
            let trusting = try AuthorityFile.trusting(cluster, in: folder)
            let target = try #require(ConnectTarget(url: trusting.writeURL))
            // Also those of a user who chose the authority himself: they name none.
            let services = try ["", "PGSSLROOTCERT"].map { chosen in
                try AuthorityFile.keep(
                    target.service(beside: { $0 == chosen ? "/own.crt" : nil }), of: cluster, as: "service", in: folder)
            }
            return (cluster, [try #require(target.parameters["sslrootcert"])] + services)
        }
        let (gone, other) = (try keep("PEM"), try keep("another planet's"))
        #expect((gone.files + other.files).allSatisfy { FileManager.default.fileExists(atPath: $0) })
        #expect(Set(gone.files + other.files).count == 6)
        let shop = gone.cluster.name
        #expect(Set(try AuthorityFile.kept(of: shop, in: folder)) == ["PEM", "another planet's"])
        try AuthorityFile.forget(gone.cluster, in: folder)
        #expect(gone.files.allSatisfy { !FileManager.default.fileExists(atPath: $0) })
        #expect(other.files.allSatisfy { FileManager.default.fileExists(atPath: $0) })
        #expect(try AuthorityFile.kept(of: shop, in: folder) == ["another planet's"])
        // A cluster may be named as the files of another begin.
        let path = try #require(gone.files.first)
        let stem = try #require(path.split(separator: "/").last?.split(separator: ".").first)
        var follower = try Answers.cluster(.ready)
        follower.name = try AppName(String(stem))
        follower.authorityCertificate = "the follower's"
        _ = try AuthorityFile.trusting(follower, in: folder)
        let service = try AuthorityFile.keep("service", of: follower, as: "service", in: folder)
        let again = try keep("PEM")
        try AuthorityFile.forget(gone.cluster, in: folder)
        #expect(again.files.allSatisfy { !FileManager.default.fileExists(atPath: $0) })
        #expect(try AuthorityFile.kept(of: follower.name, in: folder) == ["the follower's"])
        #expect(FileManager.default.fileExists(atPath: service))
        // Once more, and where nothing was ever kept.
        try AuthorityFile.forget(gone.cluster, in: folder)
        try AuthorityFile.forget(gone.cluster, in: folder + "/none")
    }

    @Test("Service files of clusters of one name on two planets do not take each other's place")
    func serviceFiles() throws {
        let folder = NSTemporaryDirectory() + "roost-services-\(ProcessInfo.processInfo.processIdentifier)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let texts = ["203.0.113.1", "203.0.113.2"].compactMap { host in
            ConnectTarget(url: "postgres://postgres:p@\(host):5432/postgres")?.service(beside: { _ in nil })
        }
        let shop = try Answers.cluster(.ready)
        let paths = try texts.map { try AuthorityFile.keep($0, of: shop, as: "service", in: folder) }
        #expect(texts.count == 2 && Set(paths).count == 2)
        for (path, text) in zip(paths, texts) {
            #expect(try String(contentsOfFile: path, encoding: .utf8) == text)
            #expect(try AuthorityFile.keep(text, of: shop, as: "service", in: folder) == path)
        }
    }

    @Test func meshMatrixHasAColumnForAHostThatIsSilent() throws {
        let ams = try HostName("ams1")
        let iad = try HostName("iad1")
        let path = MeshMatrixBody.Path(
            peer: iad, roundTripMicroseconds: 80_300, jitterMicroseconds: 100, lossPercent: 12)
        let matrix = MeshMatrixBody(
            rows: [.init(host: ams, region: try RegionCode("ams"), paths: [path])], silent: [iad])
        #expect(matrix.matrix.headers == ["FROM \\ TO", "ams1", "iad1"])
        #expect(matrix.matrix.rows.first?.last?.text == "80.3 ms, 12 % lost")
        #expect(matrix.silence.contains("iad1"))
        var hole = MeshMatrixBody.Path(
            peer: iad, roundTripMicroseconds: 80_300, jitterMicroseconds: 100, lossPercent: 0, fullSizeLossPercent: 100)
        func cell() throws -> String? {
            MeshMatrixBody(rows: [.init(host: ams, region: try RegionCode("ams"), paths: [hole])], silent: [])
                .matrix.rows.first?.last?.text
        }
        #expect(try cell() == "80.3 ms, small only")
        hole.lossPercent = 100
        #expect(try cell() == "80.3 ms, 100 % lost")
    }

    @Test("A stopped edge is seen in the list of hosts; a host of another version says nothing of it")
    func stoppedEdge() throws {
        func roles(_ fields: String) throws -> String {
            let json = """
                {"name":"ams1","region":"ams","reachable":true,"store_member":true,"address":"fdaa::1","machines":0,
                "volumes":0,"capacity":{"cpus":1,"memory":1,"disk":1},"free":{"cpus":1,"memory":1,"disk":1},\(fields)}
                """
            let host = try JSONDecoder().decode(ListHostsBody.Host.self, from: Data(json.utf8))
            return HostsCommand.List.cells(host)[3].text
        }
        #expect(try roles(#""edge":true,"edge_stopped":true"#) == "edge (stopped), store")
        #expect(try roles(#""edge":true,"edge_stopped":false"#) == "edge, store")
        #expect(try roles(#""edge":true"#) == "edge, store")
        #expect(try roles(#""edge":false"#) == "store")
    }

    @Test(arguments: [
        (80, "creating cluster shop: no host in region ams fits (3 s)"), (30, "creating cluster shop:… (3 s)"),
    ])
    func progressStaysInOneLine(columns: Int, expected: String) {
        let line = Progress.line("creating cluster shop: no host in region ams fits", time: "3 s", columns: columns)
        #expect(line == expected)
        #expect(line.count < columns)
    }

    @Test("What only counts on is no new phase, who and which epoch is")
    func phases() {
        func silent(_ primary: String, _ seconds: Int) -> String {
            "cluster shop: the primary \(primary) has sent no heartbeat for \(seconds) s; not streaming: shop-3"
        }
        #expect(Progress.phase(of: silent("shop-1", 6)) == Progress.phase(of: silent("shop-1", 17)))
        #expect(Progress.phase(of: silent("shop-1", 6)) != Progress.phase(of: silent("shop-2", 6)))
        #expect(Progress.phase(of: "copying 1.5 MiB, 3 %") == Progress.phase(of: "copying 20 MiB, 40 %"))
        #expect(Progress.phase(of: "recruiting for epoch 5") != Progress.phase(of: "recruiting for epoch 6"))
    }
}
