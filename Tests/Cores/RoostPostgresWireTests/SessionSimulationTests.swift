import RoostModel
import RoostPostgresWire
import RoostRouting
import Testing

@Suite("Sessions of an edge under every kind of fault")
struct SessionSimulationTests {
    @Test(
        "Bytes are never lost, mixed or invented; bounds hold; every session ends, and every client is served or told",
        arguments: UInt64(0)..<200)
    func simulation(seed: UInt64) throws {
        let edge = try SimulatedEdge(seed: seed)
        edge.run()
        #expect(edge.isClean, "seed \(seed): \(edge.state)")
        for session in edge.ended where session.hasSaidStartup && !session.isStuck && !session.hasEnded {
            // It left by itself, or it had an answer: a member's, or the edge's own.
            #expect(!session.body.isEmpty || session.leftByWhim, "seed \(seed): ended without a word")
        }
    }

    @Test("Faults of every kind did happen, and clients were served all the same")
    func coverage() throws {
        var manners: Set<Manner> = []
        var (served, told, cutShort, replicating) = (0, 0, 0, 0)
        for seed in UInt64(0)..<40 {
            let edge = try SimulatedEdge(seed: seed)
            edge.run()
            for session in edge.ended {
                manners.formUnion(session.members.map(\.manner))
                if session.wasServed { served += 1 }
                if session.farewell?.isEmpty == false { told += 1 }
                if session.members.count > 1 { cutShort += 1 }
                if session.wantsToReplicate, session.hasSaidStartup { replicating += 1 }
            }
        }
        #expect(manners == Set(Manner.allCases))
        #expect(replicating > 40)
        #expect(served > 40 && told > 10 && cutShort > 20, "\(served) served, \(told) told, \(cutShort) retried")
    }
}

@Suite("A session, step by step")
struct SessionCoreTests {
    private let a: Backend
    private let route: ClusterRoute
    private let door: Door
    private let startup = bigEndian(19) + bigEndian(3 << 16) + Array("user\0open\0\0".utf8)

    init() throws {
        let app = try AppName("db")
        a = Backend(member: try MemberName("a"), address: IPv6Address(high: 1, low: 1))
        route = ClusterRoute(app: app, epoch: Epoch(1), leader: a, isOpen: true)
        door = Door(app: app, access: .write)
    }

    private func at(_ milliseconds: Int) -> Moment { Moment(sinceBoot: .milliseconds(milliseconds)) }

    private func session(_ encryption: Encryption = .none, allowed: [IPv4Prefix]? = nil) -> SessionCore {
        var route = route
        route.encryption = encryption
        route.allowed = allowed
        return SessionCore(
            id: SessionID(1), client: IPv4Address(bits: 0xcb00_7107), address: IPv4Address(bits: 1), access: .write,
            route: route, limits: .init(), now: at(0))
    }

    @Test("A client from a network that is not on the cluster's list is told so, and cancels nothing there")
    func list() throws {
        for (networks, isIn) in [
            (["203.0.113.0/24"], true), (["10.0.0.0/8", "203.0.113.7/32"], true), (["203.0.112.0/24"], false),
            ([], false),
        ] {
            var session = session(allowed: try networks.map { try IPv4Prefix($0) })
            let actions = session.receive(.clientSaid(startup), now: at(0))
            guard !isIn else {
                #expect(actions == [.join(door.app)])
                continue
            }
            let told = words(actions).first ?? ""
            #expect(told.contains("28000") && told.contains("does not take logins from 203.0.113.7"), "\(told)")
        }
        var stranger = session(allowed: [])
        let cancel = bigEndian(16) + bigEndian(80_877_102) + bigEndian(1) + bigEndian(2)
        #expect(
            stranger.receive(.clientSaid(cancel), now: at(0)).allSatisfy {
                if case .cancel = $0 { false } else { true }
            })
    }

    @Test("Whom the list has left out while it waited gets to no member")
    func listThatChanges() throws {
        var closed = route
        closed.allowed = [try IPv4Prefix("192.0.2.0/24")]
        var held = session()
        _ = held.receive(.clientSaid(startup), now: at(0))
        _ = held.receive(.joined, now: at(0))
        var choosing = held
        _ = held.receive(.decided(.wait(heldTicket())), now: at(0))
        let told = words(held.receive(.routeChanged(closed), now: at(1))).first ?? ""
        #expect(told.contains("28000"), "\(told)")
        // Between two steps.
        _ = choosing.receive(.decided(.attempt), now: at(0))
        #expect(choosing.receive(.placed, now: at(0)) == [.pick([a])])
        _ = choosing.receive(.routeChanged(closed), now: at(0))
        let actions = choosing.receive(.picked(a), now: at(0))
        #expect(
            words(actions).first?.contains("28000") == true && actions.contains(.returnPlace(door.app)), "\(actions)")
    }

    @Test("A client that wants to replicate is told that it cannot, takes no place, and no member hears of it")
    func replication() {
        let body = Array("user\0open\0replication\0database\0\0".utf8)
        let packet = bigEndian(UInt32(8 + body.count)) + bigEndian(3 << 16) + body
        var session = session()
        let actions = session.receive(.clientSaid(packet), now: at(0))
        let told = words(actions).first ?? ""
        #expect(told.contains("C0A000") && told.contains("replication"), "\(told)")
        #expect(actions.count == 2 && actions.first == .note(.refused), "\(actions)")
    }

    /// A member refuses them as it refuses everybody while its gate is closed: held, they would wait for nothing.
    @Test(
        "A login that no member ever takes is refused at once, takes no place, and no member hears of it",
        arguments: [
            "", "database\0db\0", "user\0\0", "user\0open\0user\0\0", "user\0roost\0", "user\0roost_replicator\0",
            "user\0open\0user\0roost\0", "database\0postgres\0user\0roost_replicator\0",
        ])
    func vainLogins(parameters: String) {
        var session = session()
        let actions = session.receive(.clientSaid(packet(parameters)), now: at(0))
        #expect(words(actions).first?.contains("C28000") == true, "\(words(actions))")
        #expect(actions.count == 2 && actions.first == .note(.refused), "\(actions)")
    }

    @Test(
        "Whoever is called nearly so is the member's to answer",
        arguments: ["Roost", "roost ", "roost_", "roo", "user"])
    func otherLogins(user: String) {
        var session = session()
        #expect(session.receive(.clientSaid(packet("user\0\(user)\0")), now: at(0)) == [.join(door.app)])
    }

    private func packet(_ parameters: String) -> [UInt8] {
        let body = Array("\(parameters)\0".utf8)
        return bigEndian(UInt32(8 + body.count)) + bigEndian(3 << 16) + body
    }

    /// Up to the connection to the member.
    private func connecting() -> SessionCore {
        var session = session()
        #expect(session.receive(.clientSaid(startup), now: at(0)) == [.join(door.app)])
        #expect(session.receive(.joined, now: at(0)) == [.enqueue(door, isOpen: true)])
        #expect(session.receive(.decided(.attempt), now: at(0)) == [.askPlace(door.app)])
        #expect(session.receive(.placed, now: at(0)) == [.pick([a])])
        #expect(session.receive(.picked(a), now: at(0)) == [.connect(a, attempt: 1)])
        return session
    }

    @Test("The way to a member that serves")
    func served() {
        var session = connecting()
        #expect(session.receive(.backendConnected(attempt: 1), now: at(1)) == [.sendBackend(startup)])
        let login = MemberConnection.login(isStandby: false)
        let actions = session.receive(.backendSaid(attempt: 1, login), now: at(2))
        #expect(
            actions == [
                .note(.answered(a)), .send(login), .reached(door, nil), .relayClient, .returnPlace(door.app),
                .relayBackend, .note(.established(a, isIn: true)),
            ])
        #expect(session.isRelaying && session.deadline == nil)
        #expect(session.receive(.clientSaidAll, now: at(3)) == [.finishBackend])
        #expect(session.receive(.backendEnded(attempt: 1), now: at(4)) == [.closeBackend, .farewell([])])
        #expect(session.receive(.farewellSent, now: at(4)) == [.close])
    }

    @Test("A place is held until the password is known to be right")
    func place() {
        var session = connecting()
        _ = session.receive(.backendConnected(attempt: 1), now: at(1))
        let asked = session.receive(.backendSaid(attempt: 1, authentication(3)), now: at(2))
        #expect(!asked.contains(.returnPlace(door.app)))
        let late = session.receive(.deadlinePassed, now: at(10_002))
        #expect(late.contains(.returnPlace(door.app)) && late.contains(.closeBackend))
        #expect(words(late).first?.hasPrefix("E") == true)
    }

    @Test("What this host is out of is no sign against the member, and the client is told it in the end")
    func shortage() {
        var session = connecting()
        let ticket = HoldQueue.Decision.wait(heldTicket())
        let actions = session.receive(.backendFailed(attempt: 1, .short(.ports)), now: at(1))
        #expect(
            actions == [
                .note(.short(.ports)), .closeBackend, .returnPlace(door.app), .enqueueAgain(door, nil),
            ])
        _ = session.receive(.decided(ticket), now: at(1))
        let told = session.receive(.deadlinePassed, now: at(60_000))
        let text = words(told)
        #expect(text.first?.contains("out of local ports") == true, "\(told)")
        #expect(text.first?.contains("C53300") == true)
    }

    /// What the client is told at the end.
    private func words(_ actions: [SessionCore.Action]) -> [String] {
        actions.compactMap { action -> String? in
            guard case .farewell(let bytes) = action else { return nil }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    private func heldTicket() -> HoldTicket {
        var queue = HoldQueue()
        let source = SourcePrefix(of: IPv4Address(bits: 0xcb00_7107))
        guard case .wait(let ticket) = queue.arrive(SessionID(1), from: source, at: door, isOpen: false, now: at(0))
        else {
            fatalError("a closed door lets nobody through")
        }
        return ticket
    }

    @Test("Clear text is refused where TLS is required, and no certificate is no way around it")
    func encryption() {
        let identity = TLSIdentity(certificateChain: "c", privateKey: "k")
        for (encryption, code) in [(Encryption.required(identity), "C28000"), (.unusable, "C57P03")] {
            var session = session(encryption)
            let actions = session.receive(.clientSaid(startup), now: at(0))
            let text = words(actions)
            #expect(text.first?.contains(code) == true, "\(actions)")
            if code == "C28000" { #expect(text.first?.contains("sslmode=require") == true) }
        }
        var open = session(.optional(identity))
        #expect(open.receive(.clientSaid(startup), now: at(0)) == [.join(door.app)])
        var encrypted = session(.required(identity))
        #expect(
            encrypted.receive(.clientSaid([0, 0, 0, 8, 4, 210, 22, 47]), now: at(0)) == [
                .send([UInt8(ascii: "S")]), .note(.encrypted), .beginTLS(identity, early: []),
            ])
        #expect(encrypted.receive(.clientSaid(startup), now: at(0)) == [.join(door.app)])
    }
}
