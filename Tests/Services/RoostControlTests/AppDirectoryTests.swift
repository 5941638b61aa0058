import Foundation
import RoostLinux
import RoostModel
import RoostStore
import Testing

@testable import RoostControl

@Suite(.timeLimit(.minutes(1))) struct AppDirectoryTests {
    private static func withDirectory(_ body: (AppDirectory) async throws -> Void) async throws {
        let folder = "/tmp/roost-apps-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        try DurableFile.makeFolder(folder)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(AppDirectory(store: try SQLiteStore(path: folder + "/store.sqlite")))
    }

    /// A database's network lets its members in without asking who they are.
    @Test func networkOfAClusterIsClosedToOtherApps() async throws {
        try await Self.withDirectory { apps in
            let cluster = try await apps.create(try AppName("orders"), network: nil, owner: .postgres)
            let later = try await apps.create(
                try AppName("stock"), network: try NetworkName("shared"), owner: .unknown("later"))
            for network in [cluster.networkName, later.networkName] {
                let refusal = await #expect(throws: Refusal.self) {
                    try await apps.create(try AppName("thief"), network: network)
                }
                #expect(refusal?.code == .failedPrecondition)
                #expect(refusal?.message.contains("\(network)") == true)
            }
            #expect(try await apps.find(try AppName("thief")) == nil)
            // Nor is it open to whoever was in a network of that name before.
            let early = try await apps.create(try AppName("early"), network: try NetworkName("bills"))
            let bills = try await apps.create(try AppName("bills"), network: nil, owner: .postgres)
            #expect(bills.network != early.network)
            await #expect(throws: Refusal.self) {
                try await apps.create(try AppName("late"), network: bills.networkName)
            }
            // Networks of apps are shared as before.
            let web = try await apps.create(try AppName("web"), network: nil)
            let worker = try await apps.create(try AppName("worker"), network: web.networkName)
            #expect(worker.network == web.network)
            #expect(try await apps.create(try AppName("other"), network: nil).network != web.network)
        }
    }
}
