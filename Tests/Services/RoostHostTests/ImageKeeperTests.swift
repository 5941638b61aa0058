import Foundation
import GRDB
import Logging
import RoostModel
import RoostRuntime
import Synchronization
import Testing

@testable import RoostHost

/// Images by name; notes what it was told to keep.
private final class FakeImages: ImageStore {
    let asked = Mutex<[(retention: ImageRetention, inUse: Set<String>)]>([])

    func check(_ image: ImageReference) async throws(RuntimeError) {}

    func withImage<Value: Sendable>(
        _ image: ImageReference, _ body: (UnpackedImage) async throws(RuntimeError) -> Value
    ) async throws(RuntimeError) -> Value {
        throw RuntimeError(code: .failed, operation: "use", subject: image.description, cause: "there is none")
    }

    func digest(of image: ImageReference) async throws(RuntimeError) -> String? { "digest of \(image)" }

    func freeSpace() async throws(RuntimeError) -> ByteCount { .gibibytes(1) }

    func collect(
        _ retention: ImageRetention, inUse: @Sendable () async throws(RuntimeError) -> Set<String>
    ) async throws(RuntimeError) -> [String] {
        let digests = try await inUse()
        asked.withLock { $0.append((retention, digests)) }
        return []
    }
}

@Suite struct ImageKeeperTests {
    private func order(_ image: String, name: String, startsAtOnce: Bool) throws -> MachineOrder {
        var random = SystemRandomNumberGenerator()
        return MachineOrder(
            id: .random(using: &random), name: name, app: try AppName("web"), network: NetworkNumber(7),
            config: MachineConfig(image: image), owner: nil, startsAtOnce: startsAtOnce)
    }

    private func keeper(_ agent: HostAgent, _ images: FakeImages) -> ImageKeeper {
        ImageKeeper(
            agent: agent, images: images, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    @Test("The image of a machine that does not run is kept until the machine is destroyed")
    func kept() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let images = FakeImages()
        let never = try order("dir:/never", name: "a", startsAtOnce: false)
        let runs = try order("dir:/runs", name: "b", startsAtOnce: true)
        try await host.withAgent { agent in
            for order in [never, runs] { _ = try await agent.createMachine(order) }
            _ = try await agent.wait(for: runs.id, states: [.started], timeout: .seconds(5))
            await keeper(agent, images).collect()
            _ = try await agent.destroy(never.id, force: false)
            _ = try await agent.wait(for: never.id, states: [.destroyed], timeout: .seconds(5))
            await keeper(agent, images).collect()
        }
        let asked = images.asked.withLock { $0 }
        #expect(asked.map(\.inUse) == [["digest of dir:/never", "digest of dir:/runs"], ["digest of dir:/runs"]])
        #expect(asked.first?.retention == ImageRetention(time: .seconds(24 * 3600), freeWanted: .gibibytes(6)))
    }

    @Test("A host with an outdated ledger removes no image")
    func outdated() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let images = FakeImages()
        let agent = try host.agent()
        await keeper(agent, images).collect()
        #expect(images.asked.withLock { $0.count } == 1)
        await agent.supersede(by: Generation(1 << 40))
        await keeper(agent, images).collect()
        #expect(images.asked.withLock { $0.count } == 1)
    }

    @Test("A host with a row in its ledger that it cannot read removes no image")
    func unreadableRow() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let images = FakeImages()
        _ = try host.agent()
        let ledger = try DatabaseQueue(path: host.folder + "/ledger.sqlite")
        try await ledger.write { database in
            try database.execute(sql: "INSERT INTO machines (id, row) VALUES ('148e21ab', CAST('{}' AS BLOB))")
        }
        let agent = try host.agent()
        #expect(await agent.unreadableRows.count == 1)
        await keeper(agent, images).collect()
        #expect(images.asked.withLock { $0.isEmpty })
    }
}
