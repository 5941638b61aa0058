import Glibc
import Logging
import RoostFailover
import RoostLinux
import RoostModel
import RoostWire
import Synchronization
import Testing

@testable import RoostPostgres

/// Two members at two addresses of the loopback link, with real datagrams.
@Suite struct BeatTests {
    private static let port = UInt16(20_000 + getpid() % 10_000)

    /// A member that listens until it is stopped.
    private final class Ear: Sendable {
        let post: BeatPost
        let name: MemberName
        private let heard = Mutex<[(beat: MemberBeat, after: Moment?)]>([])
        private let isOver = Mutex(false)

        init(_ number: Int, of addresses: [IPv6Address], password: String) throws {
            name = try MemberName("m\(number)")
            post = BeatPost(
                KnownCluster(try BeatTests.view(number, addresses, password)), port: BeatTests.port,
                logger: Logger(label: "beats"))
            try OwnThread.start("beats") {
                self.post.listen(while: { !self.isOver.withLock { $0 } }) { beat, after in
                    self.heard.withLock { $0.append((beat, after)) }
                }
            }
        }

        func stop() { isOver.withLock { $0 = true } }
        var beats: [MemberBeat] { heard.withLock { all in all.map { $0.beat } } }
        /// After what moment the last was said; nil: it does not show that.
        var lastAfter: Moment? { heard.withLock { $0.last?.after } }

        func say(epoch: UInt64, call: DirectCall? = nil, answer: DirectAnswer? = nil) {
            post.send(
                MemberBeat(
                    member: name, epoch: Epoch(epoch), isOpen: true, missesLeader: false, hears: [], call: call,
                    answer: answer))
        }
    }

    private static func view(_ number: Int, _ addresses: [IPv6Address], _ password: String) throws -> ClusterView {
        let region = try RegionCode("ams")
        let names = try (1...addresses.count).map { try MemberName("m\($0)") }
        let spec = ClusterSpec(
            name: try AppName("beats"), address: try IPv4Address("203.0.113.7"), volumeSize: .gibibytes(1),
            guest: MachineGuest(memoryMebibytes: 256), image: "oci:test",
            members: names.map { ClusterSpec.MemberSpec(name: $0, region: region) }, createdAt: 0)
        let placements = try names.enumerated().map { index, name in
            MemberPlacement(
                member: name, host: try HostName("host\(index)"), region: region,
                machine: try MachineID("0000000000000\(index)"), volume: try VolumeID("vol_000000000000000\(index)"),
                address: addresses[index])
        }
        return ClusterView(
            member: names[number - 1], revision: 1, spec: spec, rule: nil, ruleRevision: 0, heartbeat: nil,
            placements: placements, reports: [],
            secrets: MemberSecrets(ownerPassword: "owner", replicationPassword: password))
    }

    /// 127.1.`test`.1 and on, as IPv6 writes them: no test takes another's.
    private static func addresses(_ test: UInt64, count: Int = 2) -> [IPv6Address] {
        (1...UInt64(count)).map { IPv6Address(high: 0, low: 0xffff_7f01_0000 | test << 8 | $0) }
    }

    @Test func membersHearEachOther() async throws {
        let addresses = Self.addresses(1)
        let first = try Ear(1, of: addresses, password: "secret")
        let second = try Ear(2, of: addresses, password: "secret")
        defer {
            first.stop()
            second.stop()
        }
        let isHeard = try await poll(for: .seconds(10)) { () -> Bool? in
            first.say(epoch: 5)
            second.say(epoch: 6)
            return first.beats.last?.epoch == Epoch(6) && second.beats.last?.epoch == Epoch(5) ? true : nil
        }
        #expect(isHeard == true)
        #expect(first.beats.allSatisfy { $0.member == second.name })
    }

    /// Each names what it has heard, so that who hears it knows how old it is at most.
    @Test func whatIsHeardShowsItsAge() async throws {
        let addresses = Self.addresses(6)
        let first = try Ear(1, of: addresses, password: "secret")
        let second = try Ear(2, of: addresses, password: "secret")
        defer {
            first.stop()
            second.stop()
        }
        let began = BootClock.now()
        let isHeard = try await poll(for: .seconds(10)) { () -> Bool? in
            first.say(epoch: 5)
            second.say(epoch: 5)
            return first.lastAfter == nil || second.lastAfter == nil ? nil : true
        }
        #expect(isHeard == true)
        #expect(try #require(first.lastAfter) >= began)
        // The first says nothing more: what the second says from now on may be of any time after that.
        let silent = BootClock.now()
        let count = first.beats.count
        let isHeardOn = try await poll(for: .seconds(10)) { () -> Bool? in
            second.say(epoch: 5)
            return first.beats.count >= count + 5 ? true : nil
        }
        #expect(isHeardOn == true)
        #expect(try #require(first.lastAfter) < silent)
    }

    /// To all others at once, with what a recruitment needs, as it was said last.
    @Test func callsAndAnswersCome() async throws {
        let addresses = Self.addresses(5, count: 3)
        let ears = try (1...3).map { try Ear($0, of: addresses, password: "secret") }
        defer { for ear in ears { ear.stop() } }
        let call = DirectCall(epoch: Epoch(6), revision: 1234, stored: 1240)
        let answer = DirectAnswer(
            epoch: Epoch(6), reigns: 5, digest: 77, end: LSN(0x3000148), replayed: LSN(0x3000148), timeline: 5,
            cannotLead: false)
        let isHeard = try await poll(for: .seconds(10)) { () -> Bool? in
            ears[0].say(epoch: 6, call: call, answer: answer)
            ears[1].say(epoch: 6, answer: answer)
            ears[2].say(epoch: 5)
            let fromFirst = [ears[1], ears[2]].allSatisfy { ear in
                ear.beats.contains { $0.member == ears[0].name && $0.call == call && $0.answer == answer }
            }
            let fromSecond = [ears[0], ears[2]].allSatisfy { ear in
                ear.beats.contains { $0.member == ears[1].name && $0.call == nil && $0.answer == answer }
            }
            return fromFirst && fromSecond ? true : nil
        }
        #expect(isHeard == true)
        // Whoever has nothing to say of it says nothing.
        #expect(ears[0].beats.allSatisfy { $0.member != ears[2].name || $0.call == nil && $0.answer == nil })
        ears[0].say(epoch: 6)
        let isOver = try await poll(for: .seconds(10)) { () -> Bool? in
            ears[0].say(epoch: 6)
            return ears[1].beats.last { $0.member == ears[0].name }?.answer == nil ? true : nil
        }
        #expect(isOver == true)
    }

    /// It has the cluster's addresses, and another password.
    @Test func whoHasNotTheKeyIsNotHeard() async throws {
        let addresses = Self.addresses(2, count: 3)
        let first = try Ear(1, of: addresses, password: "secret")
        let stranger = try Ear(2, of: addresses, password: "another")
        let third = try Ear(3, of: addresses, password: "secret")
        defer { for ear in [first, stranger, third] { ear.stop() } }
        let isHeard = try await poll(for: .seconds(10)) { () -> Bool? in
            stranger.say(epoch: 9)
            first.say(epoch: 1)
            third.say(epoch: 2)
            return first.beats.count >= 20 && third.beats.count >= 20 ? true : nil
        }
        #expect(isHeard == true)
        #expect((first.beats + third.beats).allSatisfy { $0.epoch != Epoch(9) })
        #expect(stranger.beats.isEmpty)
    }

    /// Garbage of every length, what was said to another, in another's name, from elsewhere, and what was said before: from a
    /// member's own address, and with its key.
    @Test func whatIsNotOfNowIsNotHeard() async throws {
        let addresses = Self.addresses(3, count: 3)
        let first = try Ear(1, of: addresses, password: "secret")
        defer { first.stop() }
        let socket = try BeatSocket(at: addresses[1], port: Self.port)
        let seal = BeatSeal(password: "secret")
        let names = try (1...3).map { try MemberName("m\($0)") }
        func say(
            _ number: UInt64, echo: UInt64, from sender: Int = 1, to receiver: Int = 0, by other: BeatSocket? = nil
        ) {
            let beat = MemberBeat(
                member: names[sender], epoch: Epoch(number), isOpen: true, missesLeader: false, hears: [])
            let datagram = BeatDatagram(
                beat, to: names[receiver], life: 7, number: number, challenge: 1, echo: echo)
            let sealed = seal.seal(datagram.bytes)
            (other ?? socket).send(sealed, to: addresses[0], port: Self.port)
        }
        // What the first asks the second to say back.
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 2000, alignment: 8)
        defer { buffer.deallocate() }
        let challenge = try #require(
            try await poll(for: .seconds(10)) { () -> UInt64? in
                first.say(epoch: 1)
                let datagram = socket.receive(into: buffer) { bytes, _ in
                    seal.opened(bytes).flatMap { BeatDatagram(UnsafeRawBufferPointer(rebasing: bytes[..<$0])) }
                }
                return datagram.flatMap { $0 }?.challenge
            })
        say(1, echo: 0)
        say(2, echo: challenge &+ 1)
        say(3, echo: challenge, from: 2)
        say(4, echo: challenge, to: 2)
        say(5, echo: challenge, by: try BeatSocket(at: addresses[2], port: Self.port))
        say(6, echo: challenge, by: try BeatSocket(at: Self.addresses(4)[0], port: Self.port))
        for count in 0..<200 {
            socket.send((0..<count * 7).map { _ in UInt8.random(in: 0...255) }, to: addresses[0], port: Self.port)
        }
        // A loopback link keeps the order; a full buffer loses some, so it is said until it is heard.
        let isHeard = try await poll(for: .seconds(10)) { () -> Bool? in
            say(20, echo: challenge)
            return first.beats.isEmpty ? nil : true
        }
        #expect(isHeard == true)
        say(20, echo: challenge)
        say(19, echo: challenge)
        let isHeardOn = try await poll(for: .seconds(10)) { () -> Bool? in
            say(21, echo: challenge)
            return first.beats.contains { $0.epoch == Epoch(21) } ? true : nil
        }
        #expect(isHeardOn == true)
        #expect(first.beats.map(\.epoch) == [Epoch(20), Epoch(21)])
    }

    @Test func aSealIsThatOfTheWholeDatagramAndTheKey() throws {
        let seal = BeatSeal(password: "secret")
        let other = BeatSeal(password: "Secret")
        let message = Array("what a member says".utf8)
        var sealed = seal.seal(message)
        #expect(sealed.withUnsafeBytes { seal.opened($0) } == message.count)
        #expect(sealed.withUnsafeBytes { other.opened($0) } == nil)
        for index in sealed.indices {
            sealed[index] ^= 1
            #expect(sealed.withUnsafeBytes { seal.opened($0) } == nil, "byte \(index)")
            sealed[index] ^= 1
        }
        for count in 0..<sealed.count {
            #expect(sealed.prefix(count).withUnsafeBytes { seal.opened($0) } == nil, "\(count) bytes")
        }
    }
}
