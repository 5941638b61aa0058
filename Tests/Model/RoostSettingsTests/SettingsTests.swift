import Foundation
import RoostModel
import Testing

@testable import RoostSettings

@Suite struct SettingsTests {
    static let key = String(repeating: "A", count: 43) + "="

    static func full() throws -> HostSettings {
        HostSettings(
            host: try HostName("ams1"), region: try RegionCode("ams"),
            capacity: .init(cpus: 8, memoryMebibytes: 30000, diskGibibytes: 400),
            store: .init(backend: .etcd, endpoints: ["http://[fdaa::1]:2379"], member: true),
            mesh: .init(
                endpoint: "192.0.2.11:51820",
                seeds: [.init(host: try HostName("iad1"), publicKey: key, endpoint: "[2001:db8::1]:51820")]),
            anycast: .init(prefixes: ["203.0.113.0/24"]),
            edge: .init(
                localAS: 65101, routerID: try IPv4Address("192.0.2.11"),
                uplinks: [
                    .init(
                        name: "aurora", neighbor: try IPv4Address("192.0.2.1"), neighborAS: 64501,
                        local: try IPv4Address("192.0.2.2"), password: "secret-of-bgp")
                ]))
    }

    private static let least = """
        {"host": "ams1", "region": "ams", "capacity": {"cpus": 1, "memory_mb": 512, "disk_gb": 10},
         "mesh": {"endpoint": "192.0.2.11:51820"}}
        """

    private static func read(_ text: String, environment: [String: String] = [:], flags: [String] = [])
        throws -> SettingsInForce
    {
        try SettingsInForce(file: Data(text.utf8), path: "test.json", environment: environment, flags: flags)
    }

    /// What is said of a file in which something was replaced.
    private static func problems(_ replaced: String, _ with: String, of text: String? = nil) throws -> [String] {
        let before = try text ?? full().text()
        let after = before.replacing(replaced, with: with)
        #expect(after != before, "nothing was replaced")
        do throws(SettingsError) { _ = try SettingsInForce(file: Data(after.utf8), path: "test.json") } catch {
            return error.problems
        }
        return []
    }

    @Test("What is written is read as it was, and what may be left out has its default")
    func roundTrip() throws {
        let full = try Self.full()
        #expect(try Self.read(full.text()).settings == full)
        let least = try Self.read(Self.least).settings
        #expect(least.store.backend == .sqlite && least.edge == nil && least.mesh.mtu == 1420)
        #expect(least.stateFolder == "/var/lib/roost" && least.api.tokenFile == "/etc/roost/token")
        #expect(least.log == .init(level: "info", format: .text))
    }

    @Test("A name that is written twice is refused: its writer meant one of the two")
    func namesTwice() throws {
        #expect(
            try Self.problems("\"host\": \"ams1\",", "\"host\": \"ams1\", \"host\": \"ams2\",", of: Self.least) == [
                "'host' is there twice"
            ])
    }

    @Test("A name that is not known is refused wherever it stands, and the nearest known one is named")
    func unknownNames() throws {
        let cases = [
            (
                "\"imports_routes\"", "\"import_routes\"",
                "'edge.import_routes' is no setting; the nearest is 'edge.imports_routes'"
            ),
            ("\"state_dir\"", "\"statedir\"", "'statedir' is no setting; the nearest is 'state_dir'"),
            ("\"mesh\"", "\"mesch\"", "'mesch' is no setting; the nearest is 'mesh'"),
            // No slip of the hand makes this of any.
            ("\"state_dir\"", "\"bogus\"", "'bogus' is no setting"),
            (
                "\"public_key\"", "\"publickey\"",
                "'mesh.seeds[0].publickey' is no setting; the nearest is 'mesh.seeds[0].public_key'"
            ),
            (
                "\"ttl_security\"", "\"ttl_securty\"",
                "'edge.uplinks[0].ttl_securty' is no setting; the nearest is 'edge.uplinks[0].ttl_security'"
            ),
        ]
        for (name, wrong, words) in cases {
            #expect(try Self.problems(name, wrong).first == words)
        }
        func words(_ environment: [String: String], _ flags: [String]) throws -> [String] {
            do { _ = try Self.read(Self.least, environment: environment, flags: flags) } catch let error
                as SettingsError
            {
                return error.problems
            }
            return []
        }
        #expect(
            try words(["ROOST_MESH_LISTENPORT": "1"], []) == [
                "the variable ROOST_MESH_LISTENPORT is no setting; the nearest is ROOST_MESH_LISTEN_PORT"
            ])
        #expect(
            try words([:], ["--mesh-listenport", "1", "--api-tcp-port", "4281"]) == [
                "--mesh-listenport is no setting; the nearest is --mesh-listen-port"
            ])
        #expect(try words(["ROOST_API": "unix:///x", "ROOST_TOKEN": "t", "HOME": "/"], []).isEmpty)
    }

    @Test("A value out of its bounds is refused, with the key and what it may be")
    func bounds() throws {
        let cases = [
            ("\"mtu\" : 1420", "\"mtu\" : 9000", "'mesh.mtu' is 9000; it must be 1280 to 1420 bytes"),
            ("\"mtu\" : 1420", "\"mtu\" : \"1420\"", "'mesh.mtu' is '1420'; it must be 1280 to 1420 bytes"),
            ("\"tcp_port\" : 4280", "\"tcp_port\" : 0", "'api.tcp_port' is 0; it must be 1 to 65535"),
            ("\"cpus\" : 8", "\"cpus\" : -8", "'capacity.cpus' is -8; it must be 1 to 4096 CPUs"),
            (
                "\"imports_routes\" : false", "\"imports_routes\" : 0",
                "'edge.imports_routes' is 0; it must be true or false"
            ),
            ("\"etcd\"", "\"etcd3\"", "'store.backend' is 'etcd3'; it must be sqlite, etcd"),
            (
                "\"region\" : \"ams\"", "\"region\" : \"Amsterdam\"",
                "'region' is 'Amsterdam'; it must be 2 to 8 lower-case letters"
            ),
            (
                "\"/run/roost\"", "\"run/roost\"",
                "'run_dir' is 'run/roost'; it must be an absolute path without a / at the end"
            ),
            (
                "203.0.113.0/24", "203.0.113.1/24",
                "'anycast.prefixes' is [\"203.0.113.1/24\"]; it must be a list, each a prefix such as 203.0.113.0/24"
            ),
            (
                "\"neighbor_as\" : 64501", "\"neighbor_as\" : 4294967296",
                "'edge.uplinks[0].neighbor_as' is 4294967296; it must be 1 to 4294967295"
            ),
            ("\"http://[fdaa::1]:2379\"", "", "'store.endpoints' must name etcd's members"),
        ]
        for (right, wrong, words) in cases { #expect(try Self.problems(right, wrong) == [words]) }
        #expect(try Self.problems("\"secret-of-bgp\"", "\"has a quote \\\" \"").first?.contains("quote \\") == false)
        #expect(
            try Self.problems("\"192.0.2.11:51820\"", "\"somewhere\"", of: Self.least) == [
                "'mesh.endpoint' is 'somewhere'; it must be an address and a port, such as 192.0.2.11:51820 or [2001:db8::1]:51820"
            ])
        #expect(
            try Self.problems("\"host\": \"ams1\",", "", of: Self.least) == [
                "'host' is missing: a host name: 1 to 63 lower-case letters, digits and '-', starting with a letter and ending with a letter or digit"
            ])
        #expect(
            try Self.problems("{\"endpoint\": \"192.0.2.11:51820\"}", "7", of: Self.least).first
                == "'mesh' must be an object")
    }

    @Test(
        "A URL of the store that no client can use is refused here, not found out by a host that does not start",
        arguments: [
            "http://[fdaa:…::1]:2379", "http://[fdaa:0:…]:2379", "http://[fdaa::1:2379", "http://fdaa::1:2379",
            "http://[fdaa::1%eth0]:2379", "http://[fdaa::1]:02379", "http://[fdaa::1]:+2379", "http://[fdaa::1]:0",
            "http://[fdaa::1]", "http://[fdaa::1]:2379/", "http://[fdaa::1]:2379?a", "http://a b:2379", "http://:2379",
            "http://192.0.2.300:2379", "http://user@host:2379", "http://-a:2379", "https://[fdaa::1]:2379",
            "[fdaa::1]:2379",
        ])
    func endpointURLs(wrong: String) throws {
        #expect(
            try Self.problems("http://[fdaa::1]:2379", wrong) == [
                "'store.endpoints' is [\"\(wrong)\"]; it must be a list, each a URL such as http://[fdaa::1]:2379"
            ])
    }

    @Test(arguments: [
        "http://192.0.2.1:2379", "http://etcd-1.example.com:2379", "http://localhost:1", "http://9a:65535",
    ])
    func usableEndpointURLs(right: String) throws {
        #expect(try Self.problems("http://[fdaa::1]:2379", right).isEmpty)
    }

    @Test("A file that is no JSON is said to be none, without the words of this program's language")
    func noJSON() throws {
        for text in ["", "{", "[1", "{\"host\" \"ams1\"}"] {
            #expect(
                throws: SettingsError(
                    path: "test.json",
                    problems: [
                        "it is not valid JSON, or a number in it does not fit where it stands"
                    ])
            ) { try Self.read(text) }
        }
        #expect(throws: SettingsError(path: "test.json", problems: ["it must be one JSON object"])) {
            try Self.read("[]")
        }
    }

    @Test("Everything that is wrong is said at once")
    func allAtOnce() throws {
        do {
            _ = try Self.read(#"{"host": "A", "regoin": "ams", "capacity": {"cpus": 0}}"#)
            Issue.record("it was taken")
        } catch let error as SettingsError {
            #expect(error.problems.count == 7, "\(error)")
            #expect(error.description.hasPrefix("configuration test.json: "))
        }
    }

    @Test("Flags count more than the environment, and that more than the file")
    func overrides() throws {
        let read = try Self.read(
            Self.least,
            environment: [
                "ROOST_MESH_LISTEN_PORT": "51900", "ROOST_API_TCP_PORT": "4281", "ROOST_STORE_MEMBER": "true",
            ],
            flags: ["--api-tcp-port=4282", "--log-format", "json", "--images-allowed-directories", "/a,/b"])
        #expect(read.settings.mesh.listenPort == 51900 && read.settings.api.tcpPort == 4282)
        #expect(read.settings.store.member && read.settings.log.format == .json)
        #expect(read.settings.images.allowedDirectories == ["/a", "/b"])
        let origins = Dictionary(uniqueKeysWithValues: read.lines.map { ($0.key, $0.origin) })
        #expect(origins["api.tcp_port"] == .flag && origins["mesh.listen_port"] == .environment)
        #expect(origins["host"] == .file && origins["mesh.mtu"] == .byDefault && origins["edge.local_as"] == nil)
        #expect(throws: SettingsError.self) { try Self.read(Self.least, flags: ["--mesh-seeds", "[]"]) }
        #expect(throws: SettingsError.self) { try Self.read(Self.least, flags: ["--api-tcp-port"]) }
        #expect(throws: SettingsError.self) { try Self.read(Self.least, flags: ["stray"]) }
        #expect(throws: SettingsError.self) { try Self.read(Self.least, environment: ["ROOST_API_TCP_PORT": ""]) }
    }

    @Test("What is in force is shown without secrets")
    func secrets() throws {
        let lines = try Self.read(try Self.full().text()).lines
        let shown = String(decoding: try JSONEncoder().encode(lines), as: UTF8.self) + lines.map(\.text).joined()
        #expect(!shown.contains("secret-of-bgp") && shown.contains("(set, not shown)") && shown.contains("aurora"))
    }

    @Test("The type and the catalogue have the same settings, and no two share a flag or a variable")
    func catalogue() throws {
        func keys(_ value: Any, at path: String) -> [String] {
            guard let object = value as? [String: Any] else { return [path] }
            return object.flatMap { keys($0.value, at: path.isEmpty ? $0.key : path + "." + $0.key) }
        }
        let object = try JSONSerialization.jsonObject(with: Data(try Self.full().text().utf8))
        #expect(Set(keys(object, at: "")) == Set(HostSettings.catalogue.map(\.key)))
        #expect(Set(HostSettings.catalogue.map(\.flag)).count == HostSettings.catalogue.count)
        #expect(Set(HostSettings.catalogue.map(\.variable)).count == HostSettings.catalogue.count)
        for case .objects(let members) in HostSettings.catalogue.map(\.shape) {
            let list = members.first?.key == "host" ? "mesh.seeds" : "edge.uplinks"
            let parts = list.split(separator: ".").map(String.init)
            let group = try #require((object as? [String: Any])?[parts[0]] as? [String: Any])
            let first = try #require((group[parts[1]] as? [[String: Any]])?.first)
            #expect(Set(first.keys) == Set(members.map(\.key)))
        }
    }

    @Test("The page that describes the settings has each of them, with what it may be and its default, and no other")
    func page() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "../../..")
        let page = try String(contentsOf: root.appending(path: "docs/configuration.md"), encoding: .utf8)
        let rows = page.split(separator: "\n").map(String.init).filter { $0.hasPrefix("| `") }
        func row(_ setting: Setting) -> String {
            let fallback = if case .byDefault = setting.presence { "`\(setting.fallback)`" } else { setting.fallback }
            return "| `\(setting.key)` | \(setting.allowed) | \(fallback) | \(setting.help) |"
        }
        let wanted = HostSettings.catalogue.flatMap { setting in
            if case .objects(let members) = setting.shape { [row(setting)] + members.map(row) } else { [row(setting)] }
        }
        #expect(rows == wanted, "the rows are to be:\n\(wanted.joined(separator: "\n"))")
    }
}
