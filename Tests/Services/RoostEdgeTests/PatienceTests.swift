import Glibc
import RoostEdgeLink
import RoostLinux
import RoostModel
import RoostWire
import Testing

@testable import RoostEdgeProcess

@Suite("How long roostd bears with an edge") struct PatienceTests {
    private static let round = Duration.milliseconds(10)

    /// When it is over, of a minute.
    private func end(_ happens: (_ time: Duration, inout EdgePatience) -> Void) -> Duration? {
        var patience = EdgePatience()
        for number in 1...6000 {
            let time = Self.round * number
            happens(time, &patience)
            if patience.isOver { return time }
        }
        return nil
    }

    @Test("An edge that takes every link and drops it is given up as one that is silent, whatever it says meanwhile")
    func drops() throws {
        for speaks in [false, true] {
            let end = end { _, patience in
                patience.reach()
                patience.pass(Self.round, hasSpoken: speaks, isKnown: false)
            }
            let found = try #require(end)
            #expect(found > .seconds(10) && found < .seconds(11))
        }
    }

    @Test("An edge has its time to listen, and once more to say what it is; links that fail now and then cost nothing")
    func honest() throws {
        let late = end { time, patience in
            if time == .seconds(9) { patience.reach() }
            patience.pass(Self.round, hasSpoken: time >= .seconds(18), isKnown: time >= .seconds(18))
        }
        #expect(late == nil)
        let apart = end { time, patience in
            let isApart = Int(time / .seconds(1)) % 10 < 9
            if !isApart { patience.reach() }
            patience.pass(Self.round, hasSpoken: !isApart, isKnown: !isApart)
        }
        #expect(apart == nil)
        let hanging = end { time, patience in
            patience.reach()
            patience.pass(Self.round, hasSpoken: time < .seconds(20), isKnown: true)
        }
        #expect(try #require(hanging) > .seconds(29))
    }

    @Test("What is wrong with a link is said once while it lasts, whatever the edge says meanwhile; another thing too")
    func troubles() {
        var troubles = EdgeTroubles()
        func said(_ what: String, from begin: Duration, to end: Duration) -> [Duration] {
            stride(from: begin.milliseconds, to: end.milliseconds, by: 100).map { Duration.milliseconds($0) }.filter {
                troubles.isNew(what, Moment.zero + $0)
            }
        }
        #expect(said("no file", from: .zero, to: .seconds(590)) == [.zero])
        #expect(said("no orders", from: .seconds(590), to: .seconds(599)) == [.seconds(590)])
        // It goes on, and nobody reads the beginning any more.
        #expect(said("no file", from: .seconds(599), to: .seconds(700)) == [.seconds(600)])
        // It was over, and is back.
        #expect(said("no file", from: .seconds(730), to: .seconds(740)) == [.seconds(730)])
        // What it says is bounded, also where each time it is something else.
        let many = (0..<1000).filter { troubles.isNew("\($0)", Moment.zero + .seconds(900)) }
        #expect(many.count == EdgeTroubles.kindsMax)
    }

    @Test("What roostd lacks itself is no fault of the edge's")
    func ownLack() {
        for code in [EMFILE, ENFILE, ENOMEM, ENOBUFS] {
            #expect(EdgeRounds.isOwnLack(SystemError("connect to", "edge", code: code)))
        }
        // They were never sent.
        #expect(!EdgeRounds.isOwnLack(EdgeConnection.FilesMissing()))
        #expect(!EdgeRounds.isOwnLack(SystemError("send over", "a socket", code: EPIPE)))
        #expect(!EdgeRounds.isOwnLack(EdgeConnection.Malformed(what: "kind 9")))
    }

    /// Makes the link in one round, and learns in a later one that it cannot take what comes.
    private func lack(
        _ number: Int, every rounds: Int, hears: Bool = false, _ patience: inout EdgePatience
    ) {
        patience.reach()
        let isLacking = number % rounds == 0
        patience.pass(
            Self.round, hasSpoken: hears && !isLacking, isKnown: false, link: isLacking ? .lack : .open)
    }

    @Test("While roostd lacks descriptors to read its links, it makes and drops them, and ends no edge for that")
    func lackWhileReading() {
        for (rounds, hears) in [(1, false), (2, false), (3, true), (200, false)] {
            #expect(
                end { time, patience in
                    lack(Int(time / Self.round), every: rounds, hears: hears, &patience)
                } == nil)
        }
    }

    @Test("An edge that hangs, or drops every link, is ended also where roostd has lacked something")
    func lackBefore() throws {
        for (link, latest) in [(EdgePatience.Sight.open, 26), (.failed, 21)] {
            let end = end { time, patience in
                guard time > .seconds(10) else { return lack(Int(time / Self.round), every: 2, &patience) }
                patience.reach()
                patience.pass(Self.round, hasSpoken: false, isKnown: false, link: link)
            }
            let found = try #require(end)
            #expect(found > .seconds(20 - 1) && found < .seconds(latest))
        }
        // What roostd has lacked once is no excuse for an edge that was known since.
        let known = end { time, patience in
            let link = time == .seconds(1) ? EdgePatience.Sight.lack : .open
            patience.pass(Self.round, hasSpoken: time < .seconds(2), isKnown: time > .seconds(1), link: link)
        }
        #expect(try #require(known) < .seconds(13))
    }

    @Test("An edge that speaks another protocol, and so drops the link each time, stays known as one")
    func foreign() {
        let edge = RunningEdge(number: 1, folder: "/nowhere", child: nil, now: .zero)
        var greeting = EdgeGreeting(release: "test", isInformed: false, isRetiring: false)
        greeting.protocolVersion = EdgeGreeting.protocolPresent + 1
        edge.greeting = greeting
        #expect(edge.isForeign && !edge.isKnown)
        edge.disconnect()
        #expect(edge.isForeign && edge.capabilities == nil)
        // Another one has its place.
        edge.greeting = EdgeGreeting(release: "test", isInformed: false, isRetiring: false)
        #expect(!edge.isForeign)
    }
}
