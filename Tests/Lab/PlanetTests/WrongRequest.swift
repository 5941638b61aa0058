import Foundation
import RoostClient
import RoostLab
import RoostLinux
import RoostModel
import RoostWire
import Testing

/// A request that must be refused, and how. `{machine}`, `{volume}` and so on in path and body stand for what is on
/// the host (see ``Stock``).
struct WrongRequest: Sendable, CustomTestStringConvertible {
    var method: String
    var path: String
    var body: String?
    var status: Int
    /// A piece of the error's text.
    var text: String

    init(_ line: String, _ body: String? = nil, _ status: Int, _ text: String) {
        let parts = line.split(separator: " ", maxSplits: 1).map(String.init)
        (method, path) = (parts[0], parts[1])
        (self.body, self.status, self.text) = (body, status, text)
    }

    var testDescription: String {
        let body = body.map { $0.utf8.count > 100 ? " \($0.prefix(100))… (\($0.utf8.count) bytes)" : " \($0)" }
        return "\(method) \(path.prefix(120))\(body ?? "") → \(status)"
    }

    /// The same wrong bodies at one endpoint.
    static func bodies(_ line: String, _ bodies: [(body: String?, status: Int, text: String)]) -> [WrongRequest] {
        bodies.map { WrongRequest(line, $0.body, $0.status, $0.text) }
    }

    /// What no endpoint with a body takes.
    static func noObject(_ line: String, isBodyNeeded: Bool = true) -> [WrongRequest] {
        let none: [(String?, Int, String)] = isBodyNeeded ? [(nil, 400, "needs a body")] : []
        return bodies(
            line,
            none
                + [
                    ("{", 400, "not valid JSON"), ("", 400, "needs a body"), ("[]", 400, "not a JSON object"),
                    ("null", 400, "not a JSON object"), ("\"text\"", 400, "not a JSON object"),
                    ("{\"bogus_field\": 1}", 400, "field '"), (large, 400, "larger than 1048576 bytes"),
                ].filter { isBodyNeeded || $0.0 != "" })
    }

    /// One byte more than is taken.
    static let large = "\"" + String(repeating: "x", count: 1 << 20) + "\""
    static let long = String(repeating: "a", count: 64)

    /// Texts that are no name of anything, as they stand in a path.
    static let badNames = [
        "UPPER", "9first", "a_b", "-a", "a-", long, "%00", "a%00b", "..%2f..%2fetc", "%2e%2e", "a%20b", "na%C3%AFve",
        "%F0%9F%90%93", "%FF",
    ]
}

/// What the requests are about: an app with a running machine on a volume and an idle one, another app, and a
/// Postgres cluster of one member. Made once for a planet.
struct Stock: Sendable {
    let planet: LabPlanet
    let api: RoostAPIClient
    /// What stands for what in requests.
    private(set) var names: [String: String] = [:]

    static let shop = "stock-shop"
    static let other = "stock-other"
    static let cluster = "stock-db"

    static func ready(on planet: LabPlanet) async throws -> Stock {
        try planet.makeSmallRoot()
        let cluster = try await ClusterUnderTest.ready(on: planet, name: cluster, replicas: [])
        var stock = Stock(planet: planet, api: planet.api(of: planet.plan.hosts[0].name))
        let member = try #require(try await cluster.body().members.first)
        let (shop, other) = (try AppName(shop), try AppName(other))
        for app in [shop, other] where try await stock.api.apps().contains(where: { $0.name == app }) == false {
            try await stock.api.createApp(CreateAppRequest(name: app.text))
        }
        let volume = try await stock.volume(in: shop)
        stock.names = [
            "{shop}": shop.text, "{other}": other.text, "{db}": Self.cluster,
            "{member}": try #require(member.machine).text, "{member-volume}": try #require(member.volume).text,
            "{volume}": volume.text, "{other-volume}": try await stock.volume(in: other).text,
            "{machine}": try await stock.machine("running", in: shop, volume: volume, isIdle: false).text,
            "{idle}": try await stock.machine("idle", in: shop, isIdle: true).text,
            "{other-machine}": try await stock.machine("elsewhere", in: other, isIdle: true).text,
            "{image}": planet.smallImage, "{long}": WrongRequest.long,
        ]
        return stock
    }

    private func volume(in app: AppName) async throws -> VolumeID {
        if let present = try await api.volumes(of: app).first { return present.id }
        return try await api.createVolume(CreateVolumeRequest(name: "data", sizeGigabytes: 1), in: app).id
    }

    private func machine(
        _ name: String, in app: AppName, volume: VolumeID? = nil, isIdle: Bool
    ) async throws -> MachineID {
        if let present = try await api.machines(of: app).first(where: { $0.name == name }) { return present.id }
        let config = MachineConfig(
            image: planet.smallImage, guest: MachineGuest(memoryMebibytes: 64),
            initial: MachineInit(exec: ["sleep", "1000000"]),
            mounts: volume.map { [MachineMount(volume: $0, path: "/data")] } ?? [],
            stop: StopConfig(timeout: DurationText(.seconds(1))))
        let machine = try await api.createMachine(
            CreateMachineRequest(name: name, config: config, skipLaunch: isIdle), in: app)
        if !isIdle { _ = try await api.waitForMachine(machine.id, of: app, state: .started) }
        return machine.id
    }

    private func filled(_ text: String) -> String {
        guard text.contains("{") else { return text }
        return names.reduce(text) { $0.replacing($1.key, with: $1.value) }
    }

    /// Everything there is, without what changes by itself. The processes too: a crash of `roostd` is a change.
    struct Inventory: Equatable {
        struct Machine: Equatable {
            var id: MachineID
            var state: MachineState
            var instance: String
            var events: [String]
        }

        struct Volume: Equatable {
            var id: VolumeID
            var state: VolumeState
            var machine: MachineID?
        }

        struct Cluster: Equatable {
            var name: AppName
            var status: ClusterBody.Status
            var epoch: Epoch
            var detail: String?
            var machines: [MachineID?]
        }

        var apps: [AppBody]
        var machines: [Machine] = []
        var volumes: [Volume] = []
        var clusters: [Cluster]
        var addresses: [IPv4Address]
        var daemons: [pid_t]
    }

    func inventory() async throws -> Inventory {
        let apps = try await api.apps()
        var inventory = Inventory(
            apps: apps,
            clusters: try await api.clusters().map {
                .init(
                    name: $0.name, status: $0.status, epoch: $0.epoch, detail: $0.detail,
                    machines: $0.members.map(\.machine))
            }, addresses: try await api.ips().map(\.address),
            daemons: try planet.processes(named: "roostd", on: planet.plan.hosts[0].name.text).sorted())
        for app in apps {
            inventory.machines += try await api.machines(of: app.name).map {
                .init(id: $0.id, state: $0.state, instance: $0.instanceID, events: ($0.events ?? []).map(\.id))
            }
            inventory.volumes += try await api.volumes(of: app.name).map {
                .init(id: $0.id, state: $0.state, machine: $0.attachedMachineID)
            }
        }
        return inventory
    }

    /// Sends the request as it stands, with nothing tidied up on the way, and checks the refusal.
    func expectRefusal(_ request: WrongRequest, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let before = try await inventory()
        var arguments = [
            "-sS", "-i", "--path-as-is", "--max-time", "60", "--unix-socket",
            planet.paths.apiSocket(planet.plan.hosts[0].name.text), "-X", request.method, "-H", "expect:",
        ]
        if request.body != nil { arguments += ["-H", "content-type: application/json", "--data-binary", "@-"] }
        let output = try await Command(
            "curl", arguments + ["http://localhost\(filled(request.path))"], input: filled(request.body ?? ""),
            deadline: .seconds(70)
        ).run()
        try Self.check(output.standardOutput, against: request, sourceLocation)
        #expect(try await inventory() == before, "it changed something", sourceLocation: sourceLocation)
    }

    static func check(_ answer: String, against request: WrongRequest, _ sourceLocation: SourceLocation) throws {
        let parts = answer.replacing("\r\n", with: "\n").split(separator: "\n\n", maxSplits: 1).map(String.init)
        let head = try #require(parts.first, "no answer", sourceLocation: sourceLocation).lowercased()
        let lines = head.split(separator: "\n")
        #expect(
            lines.first?.hasPrefix("http/1.1 \(request.status)") == true, "\(answer)", sourceLocation: sourceLocation)
        #expect(
            lines.contains { $0.hasPrefix("fly-request-id: ") && $0.count > 20 }, "\(head)",
            sourceLocation: sourceLocation)
        #expect(lines.contains("content-type: application/json"), "\(head)", sourceLocation: sourceLocation)
        let body = try #require(parts.count == 2 ? parts[1] : nil, "no body", sourceLocation: sourceLocation)
        let error = try JSONDecoder().decode(ErrorBody.self, from: Data(body.utf8))
        #expect(error.error.contains(request.text), "\(error.error)", sourceLocation: sourceLocation)
        #expect(
            (request.status == 422) == (error.status != .unknown), "\(error)", sourceLocation: sourceLocation)
    }
}
