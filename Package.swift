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

let linker: [LinkerSetting] = [.unsafeFlags(["-use-ld=lld"])]

extension Target.Dependency {
    static let argumentParser = product(name: "ArgumentParser", package: "swift-argument-parser")
    static let asyncHTTPClient = product(name: "AsyncHTTPClient", package: "async-http-client")
    static let configuration = product(name: "Configuration", package: "swift-configuration")
    static let crypto = product(name: "Crypto", package: "swift-crypto")
    static let grdb = product(name: "GRDB", package: "GRDB.swift")
    static let hummingbird = product(name: "Hummingbird", package: "hummingbird")
    static let httpTypes = product(name: "HTTPTypes", package: "swift-http-types")
    static let lifecycle = product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
    static let logging = product(name: "Logging", package: "swift-log")
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

func room(
    _ name: String, uses dependencies: [Target.Dependency] = [], settings: [SwiftSetting] = strict
) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func program(_ name: String, uses dependencies: [Target.Dependency], settings: [SwiftSetting] = strict) -> Target {
    .executableTarget(
        name: name, dependencies: dependencies, swiftSettings: settings, linkerSettings: linker)
}

func tests(of name: String, uses dependencies: [Target.Dependency] = [], resources: [Resource] = []) -> Target {
    .testTarget(
        name: name + "Tests", dependencies: [.target(name: name)] + dependencies,
        resources: resources, swiftSettings: strict, linkerSettings: linker)
}

let package = Package(
    name: "roost",
    products: [
        .executable(name: "roost", targets: ["roost"]),
        .executable(name: "roostd", targets: ["roostd"]),
        .executable(name: "roost-pg", targets: ["roost-pg"]),
        .executable(name: "roost-wan", targets: ["roost-wan"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(
            url: "https://github.com/apple/swift-configuration", from: "1.4.0",
            traits: ["JSON", "CommandLineArguments"]),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
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
        // Floor 0: what Swift's Glibc lacks.
        .target(name: "CLinux"),
        .systemLibrary(name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),

        // Floor 1: words, shapes and the Linux computer under our feet.
        room("RoostModel"),
        room("RoostWire", uses: ["RoostModel"]),
        room("RoostLinux", uses: ["CLinux", "RoostModel", .subprocess, .system]),

        // Floor 2: pure decisions.
        room("RoostPlacement", uses: ["RoostModel"]),
        room("RoostFailover", uses: ["RoostModel"], settings: dataPath),
        room("RoostPaths", uses: ["RoostModel", .deque]),
        room("RoostBalancing", uses: ["RoostModel"]),
        room(
            "RoostSimulation", uses: ["RoostModel", "RoostFailover", .heap], settings: dataPath),

        // Floor 3: one outside thing each.
        room("RoostClient", uses: ["RoostModel", "RoostWire", .asyncHTTPClient, .nioCore, .nioHTTP1, .nioPosix]),
        room("RoostStore", uses: ["RoostModel", "RoostLinux", .grdb, .asyncHTTPClient, .nioCore, .nioHTTP1, .logging]),
        room("RoostVolumes", uses: ["RoostModel", "RoostLinux", "CLinux", .logging]),
        room("RoostMachines", uses: ["RoostModel", "RoostLinux", "CLinux", .crypto, .logging]),
        room(
            "RoostMesh",
            uses: [
                "RoostModel", "RoostPaths", "RoostLinux", "CLinux", .crypto, .lifecycle, .logging,
            ]),
        room("RoostAnycast", uses: ["RoostModel", "RoostLinux", "CLinux", .lifecycle, .logging]),
        room("RoostCertificates", uses: ["RoostModel", "RoostLinux"]),
        room("RoostPostgresImage", uses: ["RoostModel", "RoostLinux"]),
        room(
            "RoostPostgres",
            uses: ["RoostModel", "RoostWire", "RoostFailover", "RoostLinux", "CLinux", "CLibPQ", .logging]),

        // Floor 4: long-running parts.
        room(
            "RoostAgent",
            uses: [
                "RoostModel", "RoostPlacement", "RoostBalancing", "RoostStore",
                "RoostVolumes", "RoostMachines", "RoostMesh", "RoostAnycast", "RoostLinux", .grdb, .lifecycle, .logging,
            ]),
        room(
            "RoostAPI",
            uses: [
                "RoostAgent", "RoostModel", "RoostWire", "RoostStore", "RoostMesh", "RoostMachines", "RoostVolumes",
                "RoostPlacement",
                "RoostLinux", "RoostClient", .hummingbird, .httpTypes, .lifecycle, .logging, .nioCore,
            ]),
        room(
            "RoostEdge",
            uses: [
                "RoostModel", "RoostBalancing", "CLinux", .nioCore, .nioPosix, .nioSSL, .nioTLS, .lifecycle, .logging,
            ],
            settings: dataPath),
        room("RoostWAN", uses: ["RoostModel", "RoostLinux", "CLinux", .heap], settings: dataPath),
        room(
            "RoostLab", uses: ["RoostModel", "RoostWire", "RoostClient", "RoostLinux", "RoostWAN", "CLinux"]),

        // Floor 5: programs. Argument parsing and assembly, nothing else.
        program(
            "roostd",
            uses: [
                "RoostAgent", "RoostAPI", "RoostEdge", "RoostBalancing", "RoostAnycast", "RoostMesh", "RoostStore",
                "RoostMachines", "RoostVolumes", "RoostCertificates", "RoostModel", "RoostWire", "RoostLinux",
                .argumentParser, .configuration, .lifecycle, .logging, .unixSignals,
            ]),
        program(
            "roost",
            uses: [
                "RoostModel", "RoostWire", "RoostClient", "RoostLab", "RoostPostgresImage", "RoostLinux",
                .argumentParser, .unixSignals,
            ]),
        program(
            "roost-pg",
            uses: [
                "RoostPostgres", "RoostModel", "RoostLinux", .argumentParser, .logging,
            ]),
        program("roost-wan", uses: ["RoostWAN", .argumentParser], settings: dataPath),

        // Tests: cores by simulation, adapters against the real programs, the whole on the lab.
        tests(of: "RoostModel"),
        tests(of: "RoostLinux"),
        tests(of: "RoostPlacement", uses: ["RoostModel"]),
        tests(of: "RoostSimulation", uses: ["RoostFailover", "RoostModel"]),
        tests(of: "RoostPaths", uses: ["RoostModel"]),
        tests(of: "RoostBalancing", uses: ["RoostModel"]),
        tests(
            of: "RoostClient",
            uses: ["roost", "RoostModel", "RoostWire", "RoostLinux", .nioCore, .nioHTTP1, .nioPosix]),
        tests(of: "RoostStore", uses: ["RoostModel", "RoostLinux", .grdb, .nioCore, .logging]),
        tests(of: "RoostVolumes", uses: ["RoostModel", "RoostLinux"]),
        tests(of: "RoostMachines", uses: ["RoostModel", "RoostLinux"]),
        tests(of: "RoostMesh", uses: ["RoostModel", "RoostLinux", "CLinux"]),
        tests(of: "RoostAnycast", uses: ["RoostModel", "RoostLinux", "CLinux", .logging]),
        tests(
            of: "RoostPostgres",
            uses: [
                "RoostModel", "RoostWire", "RoostFailover", "RoostCertificates", "RoostPostgresImage", "RoostLinux",
                .logging,
            ]),
        tests(
            of: "RoostEdge",
            uses: ["RoostModel", "RoostBalancing", "RoostLinux", .logging, .nioCore, .nioPosix]),
        tests(
            of: "RoostAgent",
            uses: [
                "RoostModel", "RoostStore", "RoostVolumes", "RoostMachines", "RoostMesh", "RoostLinux",
                .logging,
            ]),
        tests(
            of: "RoostAPI",
            uses: ["RoostAgent", "RoostModel", "RoostStore", "RoostWire", .hummingbird, .httpTypes, .nioCore]),
        .testTarget(
            name: "PlanetTests", dependencies: ["RoostLab", "RoostClient", "RoostWire", "RoostModel", "RoostLinux"],
            swiftSettings: strict, linkerSettings: linker),
        tests(of: "RoostWAN", uses: ["RoostModel", "RoostLinux"]),
        tests(of: "RoostLab", uses: ["RoostModel", "RoostLinux", "RoostWAN"]),
    ]
)
