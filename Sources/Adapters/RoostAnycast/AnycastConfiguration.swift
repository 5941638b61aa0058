public import RoostModel

/// What an edge announces, to whom, and where it keeps BIRD's files.
public struct AnycastConfiguration: Hashable, Sendable {
    public var prefixes: [IPv4Prefix]
    public var localAS: UInt32
    public var routerID: IPv4Address
    public var uplinks: [EdgeUplink]
    /// The host takes its routes to everywhere else from its uplinks too. They stay in the kernel when BIRD ends, and
    /// the next BIRD takes them over once its sessions are up.
    public var importsRoutes: Bool
    /// The address of the host that packets to imported routes leave with. Must be the host's own; nil leaves the
    /// choice to the kernel, which takes the uplink's.
    public var sourceAddress: IPv4Address?
    /// Its own folder: BIRD's configuration, control socket and pid. At most ``directoryLengthMax`` bytes.
    public var directory: String
    /// The program that becomes the guard, and its arguments before those of ``EdgeGuard/Configuration``.
    public var guardCommand: [String]
    /// The network namespace BIRD and the prefixes live in, as a path; nil is that of this process.
    public var networkNamespace: String?

    public static let uplinksMax = 32
    public static let prefixesMax = 64
    /// A Unix socket's path has at most 107 bytes, and the socket's name needs some of them.
    public static let directoryLengthMax = 90
    /// This program again, as `roostd edge-guard …`. By the inode that runs now, whatever was installed since.
    public static let ownGuardCommand = ["/proc/self/exe", "edge-guard"]

    public init(
        prefixes: [IPv4Prefix], localAS: UInt32, routerID: IPv4Address, uplinks: [EdgeUplink],
        importsRoutes: Bool = false, sourceAddress: IPv4Address? = nil, directory: String,
        guardCommand: [String] = AnycastConfiguration.ownGuardCommand, networkNamespace: String? = nil
    ) {
        self.prefixes = prefixes
        self.localAS = localAS
        self.routerID = routerID
        self.uplinks = uplinks
        self.importsRoutes = importsRoutes
        self.sourceAddress = sourceAddress
        self.directory = directory
        self.guardCommand = guardCommand
        self.networkNamespace = networkNamespace
    }

    func guardConfiguration(user: String? = nil) -> EdgeGuard.Configuration {
        EdgeGuard.Configuration(
            directory: directory, recoversRoutes: importsRoutes, networkNamespace: networkNamespace, user: user)
    }

    func validate() throws(AnycastError) {
        func require(_ condition: Bool, _ subject: String, _ rule: String) throws(AnycastError) {
            guard condition else { throw AnycastError(operation: "configure", subject: subject, cause: rule) }
        }
        try require((1...Self.prefixesMax).contains(prefixes.count), "prefixes", "give 1 to \(Self.prefixesMax)")
        try require((1...Self.uplinksMax).contains(uplinks.count), "uplinks", "give 1 to \(Self.uplinksMax)")
        try require(localAS > 0, "local_as", "an AS number is greater than 0")
        try require(directory.utf8.count <= Self.directoryLengthMax, directory, "choose a shorter path")
        try require(!guardCommand.isEmpty, "guard command", "it has no program")
        try require(Set(uplinks.map(\.name)).count == uplinks.count, "uplinks", "two have the same name")
        for uplink in uplinks {
            try require(
                (1...32).contains(uplink.name.utf8.count) && uplink.name.utf8.allSatisfy(Self.mayBeInName),
                "uplink '\(uplink.name)'", "use 1 to 32 lower-case letters, digits, '-' or '_'")
            try require(uplink.neighborAS > 0, "uplink '\(uplink.name)'", "an AS number is greater than 0")
            try require(
                uplink.neighborAS != localAS, "uplink '\(uplink.name)'", "its AS must be another than the edge's own")
            if let password = uplink.password {
                try require(
                    (1...EdgeUplink.passwordLengthMax).contains(password.utf8.count)
                        && password.utf8.allSatisfy(Self.mayBeInPassword),
                    "uplink '\(uplink.name)'",
                    "a password has 1 to \(EdgeUplink.passwordLengthMax) printable ASCII characters, no quotes")
            }
        }
    }

    /// What BIRD reads between two quotes; it knows no escapes.
    private static func mayBeInPassword(_ byte: UInt8) -> Bool {
        (0x21...0x7e).contains(byte) && byte != UInt8(ascii: "\"")
    }

    private static func mayBeInName(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
            || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == UInt8(ascii: "-")
            || byte == UInt8(ascii: "_")
    }
}
