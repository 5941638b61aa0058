import FoundationEssentials
import RoostLab
import RoostLinux
import RoostModel

/// The bundle of one of Roost's machines, given to the bare OCI runtime: the same process, limits, mounts and filters.
/// Only the network namespace is the runtime's own, and the root is the image itself without a layer for changes.
struct RuntimeBundle: Sendable {
    private let site: BenchSite
    private let folder: String
    private static let name = "bare"
    private static let patience = Duration.seconds(30)

    init(_ site: BenchSite) {
        self.site = site
        folder = site.folder + "/bundle"
    }

    var root: String { "\(site.planet.paths.imagesFolder)/bench-\(site.name)" }
    private var cgroup: String { site.planet.paths.cgroup(site.name) }
    private var runtime: [String] { ["runc", "--root", site.folder + "/runc"] }

    /// Takes over the bundle of a machine that runs.
    func copy(of machine: MachineID) throws {
        let source = "\(site.planet.paths.hostRun(site.name))/runtime/machines-oci/\(machine)"
        guard let bytes = try DurableFile.read(source + "/config.json") else {
            throw LabError(.failed, "the machine \(machine) has no bundle in \(source)")
        }
        let etc = "\(site.planet.paths.hostState(site.name))/machines/machines-oci/\(machine)/etc"
        let text = String(decoding: bytes, as: UTF8.self)
        let document = try JSONDecoder().decode(JSONTree.self, from: Data(text.utf8)).mapped { text in
            if text == "\(cgroup)/\(machine)" { return "\(cgroup)/\(Self.name)" }
            if text == source + "/root" { return root }
            for place in [source, etc] where text.hasPrefix(place + "/") { return folder + text.dropFirst(place.count) }
            return text
        }
        try DurableFile.makeFolder(folder)
        try DurableFile.write([UInt8](try JSONEncoder().encode(document.withOwnNetwork())), to: folder + "/config.json")
        for file in ["hosts", "hostname", "resolv.conf"] {
            try DurableFile.write(try DurableFile.read("\(etc)/\(file)") ?? [], to: "\(folder)/\(file)", mode: 0o644)
        }
    }

    func start() async throws -> Double {
        try await site.time(runtime + ["run", "--detach", "--bundle", folder, Self.name], deadline: Self.patience)
    }

    func remove() async throws { try await site.run(runtime + ["delete", "--force", Self.name]) }
}

/// A bundle has many more fields than are changed here.
extension JSONTree {
    /// With every text replaced.
    func mapped(_ replace: (String) -> String) -> JSONTree {
        switch self {
        case .null, .bool, .integer, .natural, .number: self
        case .text(let value): .text(replace(value))
        case .list(let values): .list(values.map { $0.mapped(replace) })
        case .object(let values): .object(values.mapValues { $0.mapped(replace) })
        }
    }

    /// A bundle whose network namespace the runtime makes, instead of one that is there.
    func withOwnNetwork() -> JSONTree {
        switch self {
        case .null, .bool, .integer, .natural, .number, .text: self
        case .list(let values): .list(values.map { $0.withOwnNetwork() })
        case .object(let values):
            if values["type"] == .text("network"), values["path"] != nil {
                .object(["type": .text("network")])
            } else {
                .object(values.mapValues { $0.withOwnNetwork() })
            }
        }
    }
}
