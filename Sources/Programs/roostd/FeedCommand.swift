import ArgumentParser
import Foundation
import Logging
import RoostModel
import RoostStore

/// For `roost lab bench feed`: fills an etcd of its own with a planet, changes it, and measures what it costs a host to
/// follow it. Each in a process of its own, so that nothing else is in the figures.
struct MeasureFeedCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "measure-feed", abstract: "For 'roost lab bench feed'.", shouldDisplay: false,
        subcommands: [Fill.self, Change.self, Follow.self])

    struct Etcd: ParsableArguments {
        @Option(help: "Of an etcd that holds nothing else.") var endpoint: String

        var store: EtcdStore {
            EtcdStore(endpoints: [endpoint], logger: Logger(label: "store") { _ in SwiftLogNoOpLogHandler() })
        }
    }

    struct Fill: AsyncParsableCommand {
        @OptionGroup var etcd: Etcd
        @OptionGroup var size: FeedPlanet.Size

        func run() async throws { try await FeedPlanet(size: size).fill(etcd.store) }
    }

    struct Change: AsyncParsableCommand {
        @OptionGroup var etcd: Etcd
        @OptionGroup var size: FeedPlanet.Size
        @Option(help: "Machines that change their state.") var machinesPerSecond: Int
        @Option(help: "Heartbeats of clusters.") var beatsPerSecond: Int
        @Option var seconds: Int

        func run() async throws {
            let bytes = try await FeedPlanet(size: size).change(
                etcd.store, machinesPerSecond: machinesPerSecond, beatsPerSecond: beatsPerSecond,
                for: .seconds(seconds))
            print("{\"bytes_per_change\":\(bytes)}")
        }
    }

    struct Follow: AsyncParsableCommand {
        @OptionGroup var etcd: Etcd
        @Option(help: "For the copy on disk.") var folder: String
        @Flag(help: "As an edge.") var edge = false
        @Option var seconds: Int
        @Option(help: "A file that is made when everything has been heard.") var ready: String

        func run() async throws {
            let measured = try await FeedFollower(
                store: etcd.store, folder: folder, host: try FeedPlanet.follower(isEdge: edge), isEdge: edge
            ).run(for: .seconds(seconds)) { _ = FileManager.default.createFile(atPath: ready, contents: nil) }
            print(String(decoding: try JSONEncoder().encode(measured), as: UTF8.self))
        }
    }
}
