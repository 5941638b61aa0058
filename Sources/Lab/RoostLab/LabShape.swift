public import RoostModel

/// What a lab is to be: everything else follows from it (``LabPlan``).
public struct LabShape: Sendable, Hashable, Codable {
    /// Names the lab's namespaces, cgroups and folders, so that several can stand side by side.
    public let name: String
    public let regions: [RegionCode]
    public let hostsPerRegion: Int
    /// Hosts without `roostd` and store: the network alone, for its own tests.
    public let isNetworkOnly: Bool
    /// What the machines of one host may have together; nil: ``hostMemoryDefault``.
    public let hostMemory: ByteCount?

    public static let nameDefault = "planet"
    public static let nameBytesMax = 32
    public static let regionsMax = 12
    public static let hostsPerRegionMax = 16
    public static let hostMemoryDefault = ByteCount.gibibytes(4)

    /// - Throws: `usage` for a name, region or number that cannot be.
    public init(
        name: String = LabShape.nameDefault, regions: [String] = ["ams", "iad", "sin"], hostsPerRegion: Int = 2,
        isNetworkOnly: Bool = false, hostMemory: ByteCount? = nil
    ) throws(LabError) {
        self.name = try Self.validated(name: name)
        guard (1...Self.regionsMax).contains(regions.count) else {
            throw LabError(.usage, "a lab has 1 to \(Self.regionsMax) regions", advice: "use --regions ams,iad,sin")
        }
        guard (1...Self.hostsPerRegionMax).contains(hostsPerRegion) else {
            throw LabError(.usage, "a region of a lab has 1 to \(Self.hostsPerRegionMax) hosts")
        }
        guard Set(regions).count == regions.count else {
            throw LabError(.usage, "a region is named twice", advice: "name each region once")
        }
        var codes: [RegionCode] = []
        for text in regions {
            guard Geography.knows(text), let code = try? RegionCode(text) else {
                throw LabError(
                    .usage, "there is no region '\(text)'",
                    advice: "use some of \(Geography.codes.joined(separator: ", "))")
            }
            codes.append(code)
        }
        self.regions = codes
        self.hostsPerRegion = hostsPerRegion
        self.isNetworkOnly = isNetworkOnly
        self.hostMemory = hostMemory
    }

    /// A DNS label: the name becomes part of file names.
    public static func validated(name: String) throws(LabError) -> String {
        guard name.utf8.count <= nameBytesMax, (try? AppName(name)) != nil else {
            throw LabError(
                .usage, "'\(name)' is no name for a lab",
                advice: LabelRule.words(upTo: nameBytesMax))
        }
        return name
    }

    enum CodingKeys: String, CodingKey {
        case name, regions
        case hostsPerRegion = "hosts_per_region"
        case isNetworkOnly = "network_only"
        case hostMemory = "host_memory"
    }
}
