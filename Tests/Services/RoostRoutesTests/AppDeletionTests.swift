import Foundation
import RoostHost
import RoostLinux
import RoostModel
import RoostPlanet
import RoostStore
import Synchronization
import Testing

@testable import RoostControl
@testable import RoostRoutes

/// An app that is deleted while something is made for it, in either order.
@Suite struct AppDeletionTests {
    private static let wish = #"{"config":{"image":"redis:7"}}"#

    @Test("What is made while the hosts are asked for the last time is taken back")
    func behindTheMark() async throws {
        try await PlanetUnderTest.run(["ams1", "iad1"]) { planet in
            let (near, far) = (try planet["ams1"], try planet["iad1"])
            #expect(try await near.call("POST /v1/apps", #"{"name":"shop"}"#).status == 201)
            let shop = try AppName("shop")
            // Somebody has looked at the app before it was marked, and comes back when it is.
            let app = try await far.view.openApp(shop)
            var asked = 0
            let takenBack = Atomic(0)
            try await AppDirectory(store: planet.store).delete(shop) { () throws(Refusal) in
                asked += 1
                guard asked == 2 else { return }
                do throws(Refusal) {
                    try await far.view.confirm(app) { takenBack.add(1, ordering: .relaxed) }
                } catch {
                    #expect(error.code == .failedPrecondition)
                }
            }
            #expect(takenBack.load(ordering: .relaxed) == 1)
            // And one who looks after that finds no app.
            await #expect(throws: Refusal.self) {
                try await far.view.confirm(app) { takenBack.add(1, ordering: .relaxed) }
            }
            #expect(takenBack.load(ordering: .relaxed) == 2)
        }
    }

    /// Who ordered it may have died, or given up waiting.
    @Test("The host that makes something looks at the app too, and takes it back when that is gone or going")
    func byTheMaker() async throws {
        try await PlanetUnderTest.run(["ams1", "iad1"]) { planet in
            let (near, far) = (try planet["ams1"], try planet["iad1"])
            let dispatch = PlanetDispatch(agent: near.agent, peers: near.view.peers)
            let (shop, database) = (try AppName("shop"), try AppName("database"))
            let apps = AppDirectory(store: planet.store)
            let network = try await apps.create(shop, network: nil).network
            let closed = try await apps.create(database, network: nil, owner: .postgres).network
            await far.view.settle(by: { _ in true }, until: { $0.apps[database] != nil })
            func order(of app: AppName, in network: NetworkNumber) async throws -> [Refusal.Code?] {
                var random = SystemRandomNumberGenerator()
                let machine = MachineOrder(
                    id: .random(using: &random), name: "late\(random.next() % 1_000_000)", app: app, network: network,
                    config: MachineConfig(image: "redis:7"), owner: nil, startsAtOnce: true)
                let volume = VolumeOrder(
                    id: .random(using: &random), name: "data", app: app, size: .gibibytes(1), reserved: nil)
                let ofMachine = await refusal { () throws(Refusal) in
                    _ = try await dispatch.createMachine(machine, on: far.name)
                }
                let ofVolume = await refusal { () throws(Refusal) in
                    _ = try await dispatch.createVolume(volume, on: far.name)
                }
                // Their ids are used up.
                let goal: [MachineState?] = ofMachine == nil ? [.created, .started] : [.destroyed]
                let isDone = try await poll(for: .seconds(10)) {
                    goal.contains(await far.agent.machine(machine.id)?.record.state) ? true : nil
                }
                #expect(isDone == true)
                #expect((await far.agent.volume(volume.id) == nil) == (ofVolume != nil))
                return [ofMachine, ofVolume]
            }
            #expect(try await order(of: shop, in: network) == [nil, nil])
            // What a feature has it makes with an owner; volumes have none.
            #expect(try await order(of: database, in: closed) == [.failedPrecondition, nil])
            _ = try await apps.mark(shop, at: WallClock.milliseconds())
            #expect(try await order(of: shop, in: network) == [.failedPrecondition, .failedPrecondition])
            _ = try await planet.store.commit(Transaction(then: [.delete(.key(StoreKeys.app(shop)))]))
            #expect(try await order(of: shop, in: network) == [.notFound, .notFound])
            let other = try await apps.create(shop, network: try NetworkName("other")).network
            #expect(other != network)
            #expect(try await order(of: shop, in: network) == [.failedPrecondition, nil])
        }
    }

    @Test("The look at an app is not cut off with its caller, and says when something could not be taken back")
    func cutCaller() async throws {
        try await PlanetUnderTest.run { planet in
            let view = try planet["ams1"].view
            let apps = AppDirectory(store: planet.store)
            let app = try await apps.create(try AppName("shop"), network: nil)
            _ = try await apps.mark(app.name, at: WallClock.milliseconds())
            let isCut = Atomic(false)
            let look = Task {
                while !Task.isCancelled { await Task.yield() }
                try await view.confirm(app) { () throws(Refusal) in
                    isCut.store(Task.isCancelled, ordering: .relaxed)
                    throw Refusal(.unavailable, "host iad1 cannot be reached")
                }
            }
            look.cancel()
            let refusal = await #expect(throws: Refusal.self) { try await look.value }
            #expect(refusal?.code == .outcomeUnknown)
            #expect(refusal?.message.contains("host iad1 cannot be reached") == true)
            let wasCut = isCut.load(ordering: .relaxed)
            #expect(!wasCut)
        }
    }

    @Test("What was made before the mark is found behind it, and the app stays and is open")
    func beforeTheMark() async throws {
        try await PlanetUnderTest.run(["ams1", "iad1"]) { planet in
            let (near, far) = (try planet["ams1"], try planet["iad1"])
            #expect(try await near.call("POST /v1/apps", #"{"name":"shop"}"#).status == 201)
            let shop = try AppName("shop")
            let holdings = AppHoldings(view: near.view)
            let counts = Counts()
            let refusal = await #expect(throws: Refusal.self) {
                try await AppDirectory(store: planet.store).delete(shop) { () throws(Refusal) in
                    let held = try await holdings.of(shop)
                    guard held.isNothing else { throw Refusal(.failedPrecondition, "still has something") }
                    counts.asked += 1
                    // Right after the first look, before the mark.
                    counts.made = (try? await far.call("POST /v1/apps/shop/machines", Self.wish).status) ?? 0
                }
            }
            #expect(counts.asked == 1 && counts.made == 200)
            #expect(refusal?.message == "still has something")
            #expect(try await near.call("POST /v1/apps/shop/machines", Self.wish).status == 200)
            #expect(try await near.call("DELETE /v1/apps/shop").status == 412)
        }
    }

    @Test(
        "A host that can be reached and does not say what it has of an app keeps it; one of an older version is known by the copy",
        arguments: [
            (Refusal.Code.outcomeUnknown, Refusal.Code?.some(.unavailable)), (.unavailable, .unavailable),
            (.failed, .unavailable),
            (.tooMany, .unavailable), (.failedPrecondition, .failedPrecondition), (.notFound, nil),
        ])
    func silence(code: Refusal.Code, expected: Refusal.Code?) async throws {
        try await PlanetUnderTest.run(["ams1", "iad1"]) { planet in
            let near = try planet["ams1"]
            #expect(try await near.call("POST /v1/apps", #"{"name":"shop"}"#).status == 201)
            let shop = try AppName("shop")
            let apps = AppDirectory(store: planet.store)
            let view = PlanetView(
                agent: near.agent, watcher: near.watcher, peers: RefusingPeers(code: code),
                reachability: near.view.reachability, apps: apps)
            var refusal: Refusal?
            do throws(Refusal) {
                try await apps.delete(shop) { () throws(Refusal) in
                    let held = try await AppHoldings(view: view).of(shop)
                    guard held.isNothing else { throw Refusal(.failedPrecondition, "still has something") }
                }
            } catch {
                refusal = error
            }
            #expect(refusal?.code == expected)
            #expect((try await apps.find(shop) != nil) == (expected != nil))
        }
    }

    /// A newer version's row of a machine, of a volume, or of nothing that can be made out.
    private static func row(_ table: String, _ id: String, app: String?, state: String = "started") -> UnreadableRow {
        let app = app.map { #""app":"\#($0)","# } ?? ""
        let record = #"{"id":"\#(id)",\#(app)"state":"\#(state)","x_future":[1]}"#
        let text = table == "machines" ? #"{"record":\#(record),"life":{"phase":{"name":"x_future"}}}"# : record
        return UnreadableRow(table: table, id: id, reason: "of a newer version", row: Data(text.utf8))
    }

    @Test("What a host has in rows that it cannot read counts, by what the rows say or by what was published")
    func unreadableRows() async throws {
        try await PlanetUnderTest.run { planet in
            let host = try planet["ams1"]
            #expect(try await host.call("POST /v1/apps", #"{"name":"shop"}"#).status == 201)
            let machine = try await host.call("POST /v1/apps/shop/machines", Self.wish).string("id")
            let volume = try await host.call("POST /v1/apps/shop/volumes", #"{"name":"data","size_gb":1}"#).string("id")
            let published = await host.agent.record()
            var own = published
            (own.machines, own.volumes) = ([], [])
            func count(
                _ unreadable: [UnreadableRow], published: HostRecord?, of app: String = "shop"
            ) throws -> [Int]? {
                let name = try AppName(app)
                do throws(Refusal) {
                    let count = try AppHoldings.Count(
                        own, published: published, unreadable: unreadable, of: name)
                    return [count.machines, count.volumes]
                } catch {
                    #expect(error.code == .failedPrecondition && error.message.contains("host ams1"))
                    return nil
                }
            }
            let named = [Self.row("machines", machine, app: "shop"), Self.row("volumes", volume, app: "shop")]
            let nameless = [Self.row("machines", machine, app: nil), Self.row("volumes", volume, app: nil)]
            #expect(try count([], published: published) == [0, 0])
            // By themselves, whatever can be read of what was published.
            #expect(try count(named, published: nil) == [1, 1])
            #expect(try count(named, published: published) == [1, 1])
            #expect(try count(named, published: nil, of: "blog") == [0, 0])
            // By what was published.
            #expect(try count(nameless, published: published) == [1, 1])
            #expect(try count([nameless[0]], published: published) == [1, 0])
            #expect(try count(nameless, published: published, of: "blog") == [0, 0])
            // By neither: it may be of any app.
            for row in nameless {
                #expect(try count([row], published: nil) == nil)
                #expect(try count([row], published: own, of: "blog") == nil)
            }
            let damaged = UnreadableRow(table: "machines", id: machine, reason: "damaged", row: Data([0, 1]))
            #expect(try count([damaged], published: nil) == nil && count([damaged], published: published) == [1, 0])
            // Nothing is left of it.
            let gone = Self.row("machines", machine, app: "shop", state: "destroyed")
            #expect(try count([gone], published: published) == [0, 0])
        }
    }

    @Test("An app stays where a host that cannot be asked has published what this version cannot read")
    func unreadRecord() async throws {
        try await PlanetUnderTest.run(["ams1", "iad1"]) { planet in
            let (near, far) = (try planet["ams1"], try HostName("iad1"))
            let shop = try AppName("shop")
            #expect(try await near.call("POST /v1/apps", #"{"name":"shop"}"#).status == 201)
            // It does not know the question: what it has published counts.
            let view = PlanetView(
                agent: near.agent, watcher: near.watcher, peers: RefusingPeers(code: .notFound),
                reachability: near.view.reachability, apps: AppDirectory(store: planet.store))
            #expect(try await AppHoldings(view: view).of(shop).isNothing)
            let key = StoreKeys.machine(try MachineID("1bda8edc1efa37"), on: far)
            let newer = Array(#"{"x_future":1}"#.utf8)
            _ = try await planet.store.commit(Transaction(then: [.put(key: key, value: newer, lease: nil)]))
            await near.view.settle(by: { _ in true }, until: { $0.unreadable.contains(key) })
            let refusal = await #expect(throws: Refusal.self) { try await AppHoldings(view: view).of(shop) }
            #expect(refusal?.code == .failedPrecondition && refusal?.message.contains("host iad1") == true)
            #expect(near.watcher.planet.hasUnread(on: far) && !near.watcher.planet.hasUnread(on: near.name))
        }
    }

    @Test("Hosts of two versions understand each other's counts")
    func counts() throws {
        let text = Data(#"{"machines":1,"volumes":2,"x_future":[3]}"#.utf8)
        let count = try JSONDecoder().decode(AppHoldings.Count.self, from: text)
        #expect(count.machines == 1 && count.volumes == 2)
        let written = try JSONDecoder().decode(JSONTree.self, from: try JSONEncoder().encode(count))
        #expect(written == .object(["machines": .integer(1), "volumes": .integer(2)]))
    }

    @Test("A deletion that was cut off closes the app, and goes on when it is repeated")
    func cutOff() async throws {
        try await PlanetUnderTest.run { planet in
            let host = try planet["ams1"]
            #expect(try await host.call("POST /v1/apps", #"{"name":"shop"}"#).status == 201)
            let key = StoreKeys.app(try AppName("shop"))
            var app = try #require(try await planet.store.record(AppRecord.self, at: key)).record
            app.deletionBegan = WallClock.milliseconds()
            _ = try await planet.store.commit(Transaction(then: [try .put(app, at: key)]))
            let refused = try await host.call("POST /v1/apps/shop/machines", Self.wish)
            #expect(refused.status == 412 && refused.text.contains("being deleted"), "\(refused.text)")
            #expect(host.runtime.machines.withLock { $0.isEmpty })
            let name = #"{"name":"data","size_gb":1}"#
            #expect(try await host.call("POST /v1/apps/shop/volumes", name).status == 412)
            #expect(try await host.call("DELETE /v1/apps/shop").status == 202)
            #expect(try await host.call("GET /v1/apps/shop").status == 404)
        }
    }

    @Test("What has outlived its app is destroyed like anything else")
    func orphan() async throws {
        try await PlanetUnderTest.run { planet in
            let host = try planet["ams1"]
            #expect(try await host.call("POST /v1/apps", #"{"name":"shop"}"#).status == 201)
            let machine = try await host.call("POST /v1/apps/shop/machines", Self.wish).string("id")
            let volume = try await host.call("POST /v1/apps/shop/volumes", #"{"name":"data","size_gb":1}"#).string("id")
            let key = StoreKeys.app(try AppName("shop"))
            _ = try await planet.store.commit(Transaction(then: [.delete(.key(key))]))
            await host.view.settle(by: { _ in true }, until: { $0.apps.isEmpty })
            #expect(try await host.call("DELETE /v1/apps/shop/machines/\(machine)?force=true").status == 200)
            #expect(try await host.call("DELETE /v1/apps/shop/volumes/\(volume)").status == 200)
        }
    }
}

/// Nil: it was done.
private func refusal(of body: () async throws(Refusal) -> Void) async -> Refusal.Code? {
    do throws(Refusal) { try await body() } catch { return error.code }
    return nil
}

/// Other hosts that can be reached, and answer nothing but this.
private struct RefusingPeers: Peers {
    let code: Refusal.Code

    func ask(_ question: PeerQuestion, of host: HostName) async throws(Refusal) -> PeerReply {
        throw Refusal(code, "host \(host)")
    }
}

/// What a closure saw that runs where its test waits for it.
private final class Counts {
    var asked = 0
    var made = 0
}
