import Foundation
import RoostLinux
import RoostModel
import RoostPlanet
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

    /// The store's counter goes back with it; machines that were made since run on, in networks of their own.
    @Test func aStoreThatWentBackGivesNoNetworkThatMachinesAreIn() async throws {
        try await Self.withDirectory { apps in
            let (late, later) = (try AppName("late"), try AppName("later"))
            let old = try await apps.create(try AppName("old"), network: nil)
            #expect(old.network == NetworkNumber(1))
            let machines = [late: NetworkNumber(2), later: NetworkNumber(3)]
            let restored = AppDirectory(store: apps.store) { app in
                MachineNetworks(highest: NetworkNumber(3), ofApp: machines[app])
            }
            // Whichever comes first, and also where a feature keeps it.
            let other = try await restored.create(try AppName("other"), network: nil)
            #expect(other.network == NetworkNumber(4))
            let kept = try await restored.plan(late, network: nil, owner: .postgres)
            #expect(kept.app.network == NetworkNumber(5))
            // Made anew, an app has the network of its machines.
            #expect(try await restored.create(later, network: nil).network == NetworkNumber(3))
            #expect(try await restored.create(late, network: nil).network == NetworkNumber(2))
            // A number that was given already is nobody else's.
            let wrong = AppDirectory(store: apps.store) { _ in
                MachineNetworks(highest: NetworkNumber(3), ofApp: old.network)
            }
            #expect(try await wrong.create(try AppName("thief"), network: nil).network == NetworkNumber(5))
            // Nor does the network that a name has now part an app from its machines.
            let apart = AppDirectory(store: apps.store) { _ in
                MachineNetworks(highest: NetworkNumber(3), ofApp: NetworkNumber(9))
            }
            let (shared, app) = (try NetworkName("old"), try AppName("apart"))
            await #expect(throws: Refusal.self) { try await apart.create(app, network: shared) }
            #expect(try await apart.plan(app, network: nil, owner: nil).app.network == NetworkNumber(9))
            // And the counter stays where it is when hosts say less.
            #expect(try await apps.create(try AppName("next"), network: nil).network == NetworkNumber(6))
            let last = AppDirectory(store: apps.store) { _ in MachineNetworks(highest: NetworkNumber(.max)) }
            await #expect(throws: Refusal.self) { try await last.create(try AppName("full"), network: nil) }
        }
    }

    /// Whoever makes something looks at the mark afterwards, and who deletes asks the hosts behind it: one of the two sees
    /// the other.
    @Test func anAppIsMarkedWhileItsHostsAreAskedForTheLastTime() async throws {
        try await Self.withDirectory { apps in
            let shop = try AppName("shop")
            let made = try await apps.create(shop, network: nil)
            var marks: [Bool] = []
            try await apps.delete(shop) { () throws(Refusal) in
                let mark = try await apps.find(shop)?.deletionBegan
                marks.append(mark != nil)
                guard mark != nil else { return }
                // Nobody who comes now makes anything for it.
                do throws(Refusal) { _ = try await apps.reopened(shop) } catch {
                    #expect(error.code == .failedPrecondition)
                    return
                }
                Issue.record("an app that is being deleted is open")
            }
            #expect(marks == [false, true])
            #expect(try await apps.find(shop) == nil)
            #expect(try await apps.create(shop, network: nil).network == made.network)
        }
    }

    @Test func whatIsFoundBehindTheMarkKeepsTheAppAndLiftsTheMark() async throws {
        try await Self.withDirectory { apps in
            let shop = try AppName("shop")
            let made = try await apps.create(shop, network: nil)
            for asked in [1, 2] {
                var count = 0
                let refusal = await #expect(throws: Refusal.self) {
                    try await apps.delete(shop) { () throws(Refusal) in
                        count += 1
                        if count == asked { throw Refusal(.failedPrecondition, "it has a machine") }
                    }
                }
                #expect(refusal?.message == "it has a machine")
                #expect(try await apps.find(shop) == made)
            }
        }
    }

    @Test func aDeletionThatWasCutOffIsRepeatedOrTakenBackByTheNextCreation() async throws {
        try await Self.withDirectory { apps in
            let (shop, now) = (try AppName("shop"), WallClock.milliseconds())
            let made = try await apps.create(shop, network: nil)
            let cutOff = try await apps.mark(shop, at: now)
            let late = now + (AppDirectory.deletionMax + .seconds(1)).milliseconds
            await #expect(throws: Refusal.self) { try await apps.reopened(shop, at: now + 1) }
            #expect(try await apps.find(shop)?.deletionBegan == now)
            #expect(try await apps.reopened(shop, at: late) == made)
            #expect(try await apps.find(shop) == made)
            // Should the first one only have been slow, it finds that it is over.
            let outcome = try await apps.store.commit(try cutOff.lifting(from: shop))
            #expect(!outcome.succeeded)
            let again = try await apps.mark(shop, at: now)
            try await apps.delete(shop) {}
            #expect(try await apps.find(shop) == nil)
            #expect(try await !apps.store.commit(try again.lifting(from: shop)).succeeded)
        }
    }

    /// One that is slow finds that another has begun, and deletes nothing that was made since.
    @Test func ofTwoDeletionsTheLaterGoesOn() async throws {
        try await Self.withDirectory { apps in
            let shop = try AppName("shop")
            _ = try await apps.create(shop, network: nil)
            var count = 0
            let refusal = await #expect(throws: Refusal.self) {
                try await apps.delete(shop) { () throws(Refusal) in
                    count += 1
                    guard count == 2 else { return }
                    try await apps.delete(shop) {}
                    _ = try await apps.create(shop, network: nil)
                }
            }
            #expect(refusal?.code == .unavailable)
            #expect(try await apps.find(shop)?.deletionBegan == nil)
            #expect(try await apps.find(shop) != nil)
        }
    }
}
