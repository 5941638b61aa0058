// swift-tools-version: 6.2
import PackageDescription

// The house (docs/architecture.md): every target is a room, and a room uses rooms on the floors below it, or a few beside
// it. The dependency lists in this file are the walls.

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

/// Rooms on the path of every packet or byte are optimised in debug builds too:
/// a lab that runs debug programs must still carry real traffic.
let dataPath: [SwiftSetting] = strict + [.unsafeFlags(["-O"], .when(configuration: .debug))]

/// Tests are built once and run once, so they are not optimised, whatever they test. (The optimiser of Swift 6.3 also
/// crashes on one of them.)
let plain: [SwiftSetting] = strict + [.unsafeFlags(["-Onone"], .when(configuration: .release))]

let linker: [LinkerSetting] = [.unsafeFlags(["-use-ld=lld"])]

/// Nobody links to a program, so it tells nobody the names of what is in it: that is a twentieth of its size.
let programLinker: [LinkerSetting] = linker + [.unsafeFlags(["-Xlinker", "--no-export-dynamic"])]

extension Target.Dependency {
    static let argumentParser = product(name: "ArgumentParser", package: "swift-argument-parser")
    static let asyncHTTPClient = product(name: "AsyncHTTPClient", package: "async-http-client")
    static let grdb = product(name: "GRDB", package: "GRDB.swift")
    static let hummingbird = product(name: "Hummingbird", package: "hummingbird")
    static let hummingbirdCore = product(name: "HummingbirdCore", package: "hummingbird")
    static let httpTypes = product(name: "HTTPTypes", package: "swift-http-types")
    static let lifecycle = product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
    static let logging = product(name: "Logging", package: "swift-log")
    static let metrics = product(name: "CoreMetrics", package: "swift-metrics")
    static let nioCore = product(name: "NIOCore", package: "swift-nio")
    static let nioHTTP1 = product(name: "NIOHTTP1", package: "swift-nio")
    static let nioPosix = product(name: "NIOPosix", package: "swift-nio")
    static let nioSSL = product(name: "NIOSSL", package: "swift-nio-ssl")
    static let nioTLS = product(name: "NIOTLS", package: "swift-nio")
    static let deque = product(name: "DequeModule", package: "swift-collections")
    static let heap = product(name: "HeapModule", package: "swift-collections")
    static let subprocess = product(name: "Subprocess", package: "swift-subprocess")
    static let system = product(name: "SystemPackage", package: "swift-system")
    static let unixSignals = product(name: "UnixSignals", package: "swift-service-lifecycle")
}

/// The floors of the house, from the ground up. A room's folder says on which floor it is: `Sources/<Floor>/<Room>`.
enum Floor: String {
    case system = "System"
    case model = "Model"
    case cores = "Cores"
    case adapters = "Adapters"
    case services = "Services"
    case lab = "Lab"
    case programs = "Programs"
}

/// What a room is for, what it may use and where to begin reading.
let text = "README.md"

func room(
    _ floor: Floor, _ name: String, uses dependencies: [Target.Dependency] = [], resources: [Resource] = [],
    settings: [SwiftSetting] = strict
) -> Target {
    .target(
        name: name, dependencies: dependencies, path: "Sources/\(floor.rawValue)/\(name)", exclude: [text],
        resources: resources, swiftSettings: settings)
}

func program(_ name: String, uses dependencies: [Target.Dependency], settings: [SwiftSetting] = strict) -> Target {
    .executableTarget(
        name: name, dependencies: dependencies, path: "Sources/\(Floor.programs.rawValue)/\(name)",
        exclude: [text], swiftSettings: settings, linkerSettings: programLinker)
}

func tests(
    _ floor: Floor, of name: String, uses dependencies: [Target.Dependency] = [], resources: [Resource] = []
) -> Target {
    .testTarget(
        name: name + "Tests", dependencies: [.target(name: name)] + dependencies,
        path: "Tests/\(floor.rawValue)/\(name)Tests",
        resources: resources, swiftSettings: plain, linkerSettings: linker)
}

let package = Package(
    name: "roost",
    products: [
        .executable(name: "roost", targets: ["roost"]),
        .executable(name: "roostd", targets: ["roostd"]),
        .executable(name: "roost-edge", targets: ["roost-edge"]),
        .executable(name: "roost-pg", targets: ["roost-pg"]),
        .executable(name: "roost-wan", targets: ["roost-wan"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2", traits: []),
    ],
    targets: [
        // System: what Swift's Glibc lacks, and the Linux computer under our feet.
        .target(name: "CLinux", path: "Sources/System/CLinux", exclude: [text]),
        .systemLibrary(
            name: "CLibPQ", path: "Sources/System/CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(
            name: "CLibCrypto", path: "Sources/System/CLibCrypto", pkgConfig: "libcrypto",
            providers: [.apt(["libssl-dev"])]),

        // Model: words and shapes.
        room(.model, "RoostModel"),
        room(.model, "RoostRecords", uses: ["RoostModel"]),
        room(.model, "RoostWire", uses: ["RoostModel"]),
        room(.model, "RoostSettings", uses: ["RoostModel"]),
        room(.system, "RoostCrypto", uses: ["CLibCrypto"]),
        room(.system, "RoostLinux", uses: ["CLinux", "RoostModel", .subprocess, .system]),
        room(.system, "RoostTelemetry", uses: ["RoostModel", .logging, .metrics]),

        // Cores: pure decisions.
        room(.cores, "RoostPlacement", uses: ["RoostModel"]),
        room(.cores, "RoostPlans", uses: ["RoostModel", "RoostPlacement"]),
        room(.cores, "RoostFailover", uses: ["RoostModel"], settings: dataPath),
        room(.cores, "RoostReaders", uses: ["RoostModel", "RoostFailover"]),
        room(.cores, "RoostMachineLife", uses: ["RoostModel"], settings: dataPath),
        room(.cores, "RoostHistory", uses: ["RoostModel"], settings: dataPath),
        room(.cores, "RoostPaths", uses: ["RoostModel", .deque]),
        room(.cores, "RoostPeers", uses: ["RoostModel"]),
        room(.cores, "RoostRouting", uses: ["RoostModel"]),
        room(.cores, "RoostRelayWire", uses: ["RoostModel"], settings: dataPath),
        room(.cores, "RoostPostgresWire", uses: ["RoostModel", "RoostRouting"], settings: dataPath),
        room(
            .cores, "RoostEdgeWire", uses: ["RoostModel", "RoostWire", "RoostRouting", "RoostPostgresWire"],
            settings: dataPath),
        room(
            .cores, "RoostSimulation", uses: ["RoostModel", "RoostFailover", "RoostMachineLife", .heap],
            settings: dataPath),

        // Adapters: one outside thing each.
        room(
            .adapters, "RoostClient",
            uses: ["RoostModel", "RoostWire", "RoostLinux", .asyncHTTPClient, .nioCore, .nioHTTP1, .nioPosix]),
        room(
            .adapters, "RoostStore",
            uses: [
                "RoostModel", "RoostLinux", "RoostTelemetry", .grdb, .asyncHTTPClient, .nioCore, .nioHTTP1, .nioPosix,
                .logging,
            ]),
        room(.adapters, "RoostVolumes", uses: ["RoostModel", "RoostLinux", "CLinux", .logging]),
        room(.adapters, "RoostRuntime", uses: ["RoostModel"]),
        room(
            .adapters, "RoostContainers",
            uses: ["RoostRuntime", "RoostModel", "RoostLinux", "RoostTelemetry", "CLinux", .logging]),
        room(
            .adapters, "RoostImages",
            uses: ["RoostRuntime", "RoostModel", "RoostCrypto", "RoostLinux", "CLinux", .logging]),
        room(
            .adapters, "RoostMesh",
            uses: [
                "RoostModel", "RoostPaths", "RoostPeers", "RoostCrypto", "RoostLinux", "CLinux", .lifecycle, .logging,
            ]),
        room(
            .adapters, "RoostAnycast", uses: ["RoostModel", "RoostWire", "RoostLinux", "CLinux", .lifecycle, .logging]),
        room(.adapters, "RoostEdgeLink", uses: ["RoostModel", "RoostWire", "RoostEdgeWire", "RoostLinux"]),
        room(
            .adapters, "RoostEdgeProcess",
            uses: [
                "RoostModel", "RoostWire", "RoostEdgeWire", "RoostEdgeLink", "RoostRouting", "RoostPostgresWire",
                "RoostLinux", .lifecycle, .logging,
            ]),
        room(.adapters, "RoostCertificates", uses: ["RoostModel", "RoostLinux"]),
        room(
            .adapters, "RoostPostgresImage", uses: ["RoostModel", "RoostLinux"],
            resources: [.embedInCode("Guard/roost_guard.c")]),
        room(
            .adapters, "RoostRelay",
            uses: ["RoostModel", "RoostRelayWire", "RoostCrypto", "RoostLinux", "CLibPQ"], settings: dataPath),
        room(
            .adapters, "RoostPostgres",
            uses: [
                "RoostModel", "RoostRecords", "RoostWire", "RoostFailover", "RoostReaders", "RoostHistory",
                "RoostRelayWire",
                "RoostCrypto", "RoostLinux", "CLinux", "CLibCrypto", "CLibPQ", .logging,
            ]),

        // Services: long-running parts.
        room(
            .services, "RoostPlanet",
            uses: ["RoostModel", "RoostRecords", "RoostStore", "RoostLinux", .grdb, .lifecycle, .logging]),
        room(
            .services, "RoostHost",
            uses: [
                "RoostPlanet", "RoostMachineLife", "RoostPeers", "RoostModel", "RoostRecords", "RoostStore",
                "RoostVolumes", "RoostRuntime", "RoostMesh", "RoostAnycast", "RoostLinux", "RoostTelemetry", .grdb,
                .lifecycle, .logging,
            ]),
        room(
            .services, "RoostAPI",
            uses: [
                "RoostModel", "RoostWire", "RoostCrypto", "RoostLinux", "RoostTelemetry", .hummingbird,
                .hummingbirdCore, .httpTypes, .lifecycle, .logging, .nioCore, .nioHTTP1,
            ]),
        room(
            .services, "RoostControl",
            uses: [
                "RoostHost", "RoostPlanet", "RoostPlans", "RoostModel", "RoostWire", "RoostStore", "RoostMesh",
                "RoostClient", "RoostLinux", "RoostTelemetry", .lifecycle, .logging,
            ]),
        room(
            .services, "RoostRoutes",
            uses: [
                "RoostAPI", "RoostControl", "RoostHost", "RoostPlanet", "RoostModel", "RoostWire", "RoostPlacement",
                "RoostTelemetry",
            ]),
        room(
            .services, "RoostPostgresControl",
            uses: [
                "RoostAPI", "RoostControl", "RoostHost", "RoostPlanet", "RoostPlans", "RoostModel", "RoostRecords",
                "RoostFailover", "RoostWire", "RoostPlacement", "RoostRouting", "RoostPostgresWire", "RoostStore",
                "RoostRuntime",
                "RoostMesh",
                "RoostLinux", "RoostTelemetry", .lifecycle, .logging,
            ]),
        room(
            .services, "RoostEdge",
            uses: [
                "RoostModel", "RoostWire", "RoostRouting", "RoostPostgresWire", "RoostEdgeWire", "RoostEdgeLink",
                "RoostLinux", .nioCore, .nioPosix, .nioSSL, .nioTLS, .lifecycle, .logging,
            ],
            settings: dataPath),
        room(.lab, "RoostWAN", uses: ["RoostModel", "RoostLinux", "CLinux", .heap], settings: dataPath),
        room(
            .lab, "RoostLab",
            uses: ["RoostModel", "RoostSettings", "RoostWire", "RoostClient", "RoostLinux", "RoostWAN", "CLinux"]),
        room(.lab, "RoostDemo", uses: ["RoostLab", "RoostModel", "RoostWire", "RoostClient", "RoostLinux"]),
        room(
            .lab, "RoostBench",
            uses: [
                "RoostDemo", "RoostLab", "RoostPostgresImage", "RoostModel", "RoostWire", "RoostClient", "RoostLinux",
                "RoostTelemetry",
            ]),

        room(
            .lab, "RoostCheck",
            uses: [
                "RoostDemo", "RoostLab", "RoostHistory", "RoostModel", "RoostWire", "RoostClient", "RoostLinux",
            ]),
        room(.lab, "RoostTrials", uses: ["RoostSimulation", "RoostLinux", "RoostModel"]),

        // Programs. Argument parsing and assembly, nothing else.
        program(
            "roostd",
            uses: [
                "RoostPostgresControl", "RoostRoutes", "RoostControl", "RoostHost", "RoostPlanet", "RoostAPI",
                "RoostEdgeProcess", "RoostAnycast", "RoostMesh", "RoostPeers", "RoostStore",
                "RoostContainers", "RoostImages", "RoostVolumes", "RoostCertificates", "RoostModel", "RoostRecords",
                "RoostWire", "RoostLinux", "RoostSettings", "RoostTelemetry",
                .argumentParser, .lifecycle, .logging, .metrics, .unixSignals,
            ]),
        program(
            "roost",
            uses: [
                "RoostModel", "RoostWire", "RoostClient", "RoostLab", "RoostDemo", "RoostBench", "RoostCheck",
                "RoostHistory", "RoostSimulation", "RoostTrials",
                "RoostPostgresImage", "RoostLinux",
                .argumentParser, .unixSignals,
            ]),
        program(
            "roost-pg",
            uses: [
                "RoostPostgres", "RoostRelay", "RoostHistory", "RoostModel", "RoostLinux", "RoostTelemetry",
                .argumentParser, .logging,
            ]),
        program(
            "roost-edge",
            uses: [
                "RoostEdge", "RoostModel", "RoostLinux", "RoostTelemetry", "CLinux", .argumentParser, .logging,
                .unixSignals,
            ],
            settings: dataPath),
        program("roost-wan", uses: ["RoostWAN", "RoostModel", .argumentParser], settings: dataPath),

        // Tests: cores by simulation, adapters against the real programs, the whole on the lab.
        tests(.model, of: "RoostModel"),
        tests(.model, of: "RoostRecords", uses: ["RoostModel", "RoostWire"], resources: [.copy("Fixtures")]),
        tests(.model, of: "RoostSettings", uses: ["RoostModel"]),
        tests(.system, of: "RoostCrypto"),
        tests(.system, of: "RoostLinux", uses: ["RoostModel"]),
        tests(.system, of: "RoostTelemetry", uses: ["RoostModel", .logging, .metrics]),
        tests(.cores, of: "RoostPlacement", uses: ["RoostModel"]),
        tests(.cores, of: "RoostPlans", uses: ["RoostModel", "RoostPlacement"]),
        tests(.cores, of: "RoostSimulation", uses: ["RoostFailover", "RoostMachineLife", "RoostModel"]),
        tests(.cores, of: "RoostMachineLife", uses: ["RoostModel"]),
        tests(.cores, of: "RoostHistory", uses: ["RoostModel"]),
        tests(.cores, of: "RoostPaths", uses: ["RoostModel"]),
        tests(.cores, of: "RoostPeers", uses: ["RoostModel"]),
        tests(.cores, of: "RoostReaders", uses: ["RoostFailover", "RoostModel"]),
        tests(.cores, of: "RoostRouting", uses: ["RoostModel"]),
        tests(.cores, of: "RoostEdgeWire", uses: ["RoostModel", "RoostWire", "RoostRouting", "RoostPostgresWire"]),
        tests(.cores, of: "RoostRelayWire", uses: ["RoostModel"]),
        tests(.cores, of: "RoostPostgresWire", uses: ["RoostModel", "RoostRouting"]),
        tests(
            .adapters, of: "RoostClient",
            uses: ["roost", "RoostModel", "RoostWire", "RoostLinux", .nioCore, .nioHTTP1, .nioPosix]),
        tests(.adapters, of: "RoostStore", uses: ["RoostModel", "RoostLinux", .grdb, .nioCore, .logging]),
        tests(.adapters, of: "RoostVolumes", uses: ["RoostModel", "RoostLinux"]),
        tests(.adapters, of: "RoostRuntime", uses: ["RoostModel"]),
        tests(.adapters, of: "RoostContainers", uses: ["RoostRuntime", "RoostImages", "RoostModel", "RoostLinux"]),
        tests(
            .adapters, of: "RoostImages",
            uses: ["RoostRuntime", "RoostModel", "RoostCrypto", "RoostLinux", "CLinux"]),
        tests(.adapters, of: "RoostMesh", uses: ["RoostPeers", "RoostModel", "RoostCrypto", "RoostLinux"]),
        tests(.adapters, of: "RoostAnycast", uses: ["RoostModel", "RoostWire", "RoostLinux", "CLinux", .logging]),
        tests(
            .adapters, of: "RoostPostgres",
            uses: [
                "RoostModel", "RoostWire", "RoostFailover", "RoostRelayWire", "RoostCertificates", "RoostPostgresImage",
                "RoostLinux", .logging,
            ]),
        tests(.adapters, of: "RoostRelay", uses: ["RoostModel", "RoostRelayWire", "RoostCrypto", "RoostLinux"]),
        tests(
            .services, of: "RoostEdge",
            uses: [
                "roost-edge", "RoostEdgeProcess", "RoostEdgeLink", "RoostEdgeWire", "RoostModel", "RoostWire",
                "RoostRouting",
                "RoostPostgresWire", "RoostLinux", "CLinux", .logging, .nioCore, .nioPosix,
            ]),
        tests(
            .services, of: "RoostPlanet",
            uses: ["RoostModel", "RoostRecords", "RoostStore", "RoostLinux", .grdb, .logging]),
        tests(
            .services, of: "RoostHost",
            uses: [
                "RoostPlanet", "RoostRecords", "RoostMachineLife", "RoostPeers", "RoostModel", "RoostStore",
                "RoostVolumes", "RoostRuntime", "RoostMesh", "RoostLinux", .grdb, .logging,
            ]),
        tests(.services, of: "RoostControl", uses: ["RoostClient", "RoostModel", "RoostStore", "RoostLinux"]),
        tests(
            .services, of: "RoostAPI", uses: ["RoostClient", "RoostModel", "RoostWire", "RoostLinux", .logging]),
        tests(
            .services, of: "RoostPostgresControl",
            uses: [
                "RoostControl", "RoostHost", "RoostPlanet", "RoostPlans", "RoostPlacement", "RoostRouting",
                "RoostPostgresWire", "RoostFailover", "RoostModel", "RoostRecords", "RoostMesh", "RoostStore",
                "RoostAPI", "RoostWire",
                "RoostLinux", "RoostRuntime", .logging,
            ]),
        tests(
            .services, of: "RoostRoutes",
            uses: [
                "RoostAPI", "RoostControl", "RoostHost", "RoostPlanet", "RoostPostgresControl", "RoostClient",
                "RoostModel", "RoostPeers", "RoostStore", "RoostVolumes", "RoostRuntime", "RoostMesh", "RoostWire",
                "RoostLinux", "RoostTelemetry", .logging, .metrics,
            ]),
        .testTarget(
            name: "PlanetTests",
            dependencies: [
                "RoostCheck", "RoostDemo", "RoostLab", "RoostClient", "RoostWire", "RoostModel", "RoostLinux",
            ],
            path: "Tests/Lab/PlanetTests",
            swiftSettings: plain, linkerSettings: linker),
        tests(.lab, of: "RoostWAN", uses: ["RoostModel", "RoostLinux"]),
        tests(.lab, of: "RoostDemo", uses: ["RoostModel", "RoostLinux"]),
        tests(.lab, of: "RoostCheck", uses: ["RoostLab", "RoostHistory", "RoostModel"]),
        tests(.lab, of: "RoostTrials", uses: ["RoostSimulation", "RoostModel"]),
        tests(.lab, of: "RoostBench", uses: ["RoostModel", "RoostLinux", "RoostTelemetry"]),
        tests(.lab, of: "RoostLab", uses: ["RoostModel", "RoostSettings", "RoostLinux", "RoostWAN"]),
    ]
)
