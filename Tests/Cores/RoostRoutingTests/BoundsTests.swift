import RoostModel
import Testing

@testable import RoostRouting

private func source(_ text: String) throws -> SourcePrefix { SourcePrefix(of: try IPv4Address(text)) }

@Suite("Bounds on who may come in")
struct BoundsTests {
    private let db: AppName
    private let near: SourcePrefix
    private let far: SourcePrefix

    init() throws {
        db = try AppName("db")
        near = try source("198.18.1.7")
        far = try source("198.18.2.7")
    }

    private func at(_ milliseconds: Int) -> Moment { Moment(sinceBoot: .milliseconds(milliseconds)) }

    @Test("A source is a /24")
    func prefixes() throws {
        #expect(near == (try source("198.18.1.255")) && near != far)
        #expect("\(near)" == "198.18.1.0/24")
    }

    @Test("Connections are bounded by edge, source and service, and so are those who are told so")
    func admission() throws {
        var admission = Admission(
            limits: .init(edgeMax: 4, sourceMax: 3, sourceOpeningsMax: 2, serviceMax: 1, refusalsMax: 1))
        var places: [Admission.Place] = []
        func admit(_ source: SourcePrefix) -> Admission.Answer { admission.arrive(from: source, now: at(0)) }
        for _ in 0..<2 {
            guard case .admitted(let place) = admit(near) else { throw Unexpected() }
            places.append(place)
        }
        guard case .refused(.sourceFull, let refused) = admit(near) else { throw Unexpected() }
        #expect(admit(near) == .dropped)
        admission.leave(refused)
        try admission.join(db, &places[0])
        #expect(throws: Admission.Refusal.serviceFull) { try admission.join(db, &places[1]) }
        for _ in 0..<2 {
            guard case .admitted(let place) = admit(far) else { throw Unexpected() }
            places.append(place)
        }
        guard case .refused(.edgeFull, let full) = admit(try source("198.18.3.1")) else { throw Unexpected() }
        // The edge's own check is answered however full it is.
        guard case .admitted(let own) = admission.arrive(from: near, isOwn: true, now: at(0)) else {
            throw Unexpected()
        }
        for place in places + [full, own] { admission.leave(place) }
        #expect(admission.isEmpty)
    }

    @Test("One network that is too many does not take the words from the others")
    func refusals() throws {
        var admission = Admission(limits: .init(edgeMax: 0, refusalsMax: 3, refusalsSourceMax: 2))
        var told: [Admission.Place] = []
        for source in [near, near, far] {
            guard case .refused(.edgeFull, let place) = admission.arrive(from: source, now: at(0)) else {
                throw Unexpected()
            }
            told.append(place)
            if told.count == 2 { #expect(admission.arrive(from: near, now: at(0)) == .dropped) }
        }
        #expect(admission.arrive(from: far, now: at(0)) == .dropped)
        admission.leave(told[0])
        guard case .refused(.edgeFull, let again) = admission.arrive(from: near, now: at(0)) else { throw Unexpected() }
        for place in [told[1], told[2], again] { admission.leave(place) }
        #expect(admission.isEmpty)
    }

    private struct Unexpected: Error {}

    @Test("A rate is a burst and then so many a second, for each key, and keys are forgotten")
    func rates() {
        var meter = RateMeter<Int>(limit: RateLimit(burst: 3, perSecond: 10))
        #expect((0..<5).map { _ in meter.take(1, now: at(0)) } == [true, true, true, false, false])
        #expect(meter.take(2, now: at(0)) == true)
        #expect((0..<2).map { _ in meter.take(1, now: at(100)) } == [true, false])
        for key in 0..<(RateMeter<Int>.keysMax + 10) { _ = meter.take(key, now: at(1_000)) }
        #expect(meter.take(-1, now: at(1_000)) == false)
        #expect(meter.take(-1, now: at(5_000)) == true)
    }

    @Test("A client that logs in all the time gets few lines, hides nobody's login, and is counted")
    func loginLines() {
        var log = LoginLog(limit: RateLimit(burst: 3, perSecond: 1))
        let (busy, rare) = (IPv4Address(bits: 0xcb00_7107), IPv4Address(bits: 0xcb00_7108))
        let (orders, books) = (IPv4Address(bits: 1), IPv4Address(bits: 2))
        #expect((0..<6).map { _ in log.take(busy, at: orders, now: at(0)) } == [0, 0, 0, nil, nil, nil])
        // A neighbour of its own network, and itself elsewhere.
        #expect(log.take(rare, at: books, now: at(0)) == 0)
        #expect(log.take(rare, at: orders, now: at(0)) == 3)
        #expect(log.take(busy, at: books, now: at(0)) == 0)
        #expect(log.take(busy, at: orders, now: at(500)) == nil)
        #expect(log.take(busy, at: orders, now: at(1_000)) == 1)
    }

    @Test(
        "Any order of logins keeps the bounds, loses no place, and lets nobody wait beside a free one",
        arguments: UInt64(0)..<200)
    func logins(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let limits = LoginPlaces.Limits(serviceMax: 5, sourceMax: 2, waitingMax: 6, waitingSourceMax: 3)
        var places = LoginPlaces(limits: limits)
        let sources = try (1...4).map { try source("198.18.\($0).1") }
        var inside: [SessionID: SourcePrefix] = [:]
        var waiting: [(SessionID, SourcePrefix)] = []
        func enter(_ called: [SessionID]) {
            for session in called {
                guard let place = waiting.firstIndex(where: { $0.0 == session }) else {
                    Issue.record("called somebody who does not wait")
                    return
                }
                inside[session] = waiting.remove(at: place).1
            }
        }
        for number in 0..<UInt64(300) {
            switch Int.random(in: 0..<5, using: &random) {
            case 0, 1, 2:
                let source = sources.randomElement(using: &random) ?? sources[0]
                switch places.ask(SessionID(number), at: db, from: source) {
                case .given: inside[SessionID(number)] = source
                case .wait: waiting.append((SessionID(number), source))
                case .crowded: #expect(waiting.count == limits.waitingMax)
                case .sourceCrowded: #expect(waiting.count { $0.1 == source } == limits.waitingSourceMax)
                }
            case 3:
                guard let gone = waiting.randomElement(using: &random) else { continue }
                waiting.removeAll { $0.0 == gone.0 }
                enter(places.leave(gone.0, at: db, from: gone.1))
            case _:
                guard let session = inside.keys.sorted().first, let source = inside.removeValue(forKey: session) else {
                    continue
                }
                enter(places.giveBack(at: db, from: source))
            }
            #expect(places.taken(at: db) == inside.count && inside.count <= limits.serviceMax)
            for source in sources {
                let mine = inside.values.count(where: { $0 == source })
                #expect(places.taken(at: db, from: source) == mine && mine <= limits.sourceMax)
                let mayEnter = inside.count < limits.serviceMax && mine < limits.sourceMax
                #expect(!mayEnter || !waiting.contains { $0.1 == source })
            }
        }
        for (session, source) in waiting { #expect(places.leave(session, at: db, from: source) == []) }
        for source in inside.values { _ = places.giveBack(at: db, from: source) }
        #expect(places.isEmpty)
    }

    @Test("However many edges there are, together they have no more logins under way than Postgres has room for")
    func edges() {
        let limits = LoginPlaces.Limits()
        var last = (service: limits.serviceMax, source: limits.sourceMax)
        for edges in 1...60 {
            var places = LoginPlaces(limits: limits)
            #expect(places.share(among: edges) == [])
            let given = (0..<UInt64(200)).count {
                places.ask(SessionID($0), at: db, from: SourcePrefix(of: IPv4Address(bits: UInt32($0) << 8))) == .given
            }
            #expect(given == places.serviceMax && given <= last.service && places.sourceMax <= last.source)
            #expect(places.sourceMax >= 1 && 2 * places.sourceMax < given, "one network keeps out all others")
            if edges <= limits.edgesMax / limits.serviceMin { #expect(edges * given <= limits.edgesMax) }
            last = (given, places.sourceMax)
        }
        #expect(last.service == limits.serviceMin)
    }

    @Test("Where there are more edges than before, who logs in goes on, and the next waits until there is room again")
    func moreEdges() {
        var places = LoginPlaces(limits: .init(serviceMax: 4, edgesMax: 4, serviceMin: 1, sourceMax: 4))
        #expect((0..<4).allSatisfy { places.ask(SessionID($0), at: db, from: near) == .given })
        #expect(places.share(among: 2) == [])
        #expect(places.ask(SessionID(4), at: db, from: far) == .wait)
        #expect(places.giveBack(at: db, from: near) == [] && places.giveBack(at: db, from: near) == [])
        #expect(places.giveBack(at: db, from: near) == [SessionID(4)])
        #expect(places.ask(SessionID(5), at: db, from: far) == .wait)
        #expect(places.share(among: 1) == [SessionID(5)], "not when the next login ends")
        #expect(places.taken(at: db) == 3)
    }

    @Test("When there are fewer edges, who waits at any service gets the places, in order, before who comes later")
    func fewerEdges() throws {
        let other = try AppName("other")
        var places = LoginPlaces(limits: .init(serviceMax: 3, edgesMax: 4, serviceMin: 1, sourceMax: 2))
        #expect(places.share(among: 4) == [])
        for (number, service) in [(10, db), (20, other)] as [(UInt64, AppName)] {
            #expect(places.ask(SessionID(number), at: service, from: near) == .given)
            for waiting in 1...4 {
                #expect(places.ask(SessionID(number + UInt64(waiting)), at: service, from: near) == .wait)
            }
            #expect(places.ask(SessionID(number + 5), at: service, from: far) == .wait)
        }
        // Two more at each, of which one source may have but one.
        #expect(places.share(among: 1) == [11, 15, 21, 25].map { SessionID($0) })
        #expect(places.ask(SessionID(16), at: db, from: far) == .wait)
        #expect(places.giveBack(at: db, from: near) == [SessionID(12)])
    }

    @Test("One source has a share of those who wait for a place to log in")
    func waitingShares() {
        var places = LoginPlaces(limits: .init(serviceMax: 2, sourceMax: 1, waitingMax: 3, waitingSourceMax: 2))
        func ask(_ number: UInt64, _ source: SourcePrefix) -> LoginPlaces.Answer {
            places.ask(SessionID(number), at: db, from: source)
        }
        #expect([ask(1, near), ask(2, near), ask(3, near)] == [.given, .wait, .wait])
        #expect(ask(4, near) == .sourceCrowded)
        #expect([ask(5, far), ask(6, far), ask(7, far)] == [.given, .wait, .crowded])
        #expect(places.leave(SessionID(3), at: db, from: near) == [])
        #expect(places.giveBack(at: db, from: near) == [SessionID(2)])
        #expect([ask(8, near), ask(9, near)] == [.wait, .wait])
    }

    @Test("A silent member is passed over, tried by one at a time, and forgotten once it answers")
    func silence() throws {
        var silent = SilentBackends(limits: .init(restMin: .seconds(5), restMax: .seconds(8), trialTime: .seconds(7)))
        let (a, b) = (
            Backend(member: try MemberName("a"), address: IPv6Address(high: 1, low: 1), port: 1),
            Backend(member: try MemberName("b"), address: IPv6Address(high: 1, low: 2), port: 1)
        )
        #expect(silent.pick([a, b], now: at(0)) == a)
        silent.wasSilent(a, now: at(0))
        #expect(silent.pick([a, b], now: at(4_900)) == b)
        #expect(silent.pick([a], now: at(4_900)) == a, "the only one is always tried")
        #expect(silent.pick([a, b], now: at(5_000)) == a)
        #expect(silent.pick([a, b], now: at(5_000)) == b, "one at a time")
        silent.wasSilent(a, now: at(10_000))
        #expect(silent.pick([a, b], now: at(17_900)) == b)
        #expect(silent.pick([a, b], now: at(18_000)) == a)
        silent.answered(a)
        #expect(silent.pick([a, b], now: at(18_000)) == a && silent.count == 0)
    }
}
