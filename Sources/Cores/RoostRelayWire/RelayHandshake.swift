public import RoostModel

/// How two relays show each other that they are members of one cluster, before anything else is said:
///
///     who is called     8 "roostrly"   1 version   32 challenge
///     who calls         1 version   a name: its own   a name: whom it calls   32 challenge   32 code
///     who is called     32 code
///
/// A name is its length (1) and its bytes. A code is HMAC-SHA256 with a key made of the members' password, over who speaks,
/// the version, both names and both challenges: it shows nothing to anybody else, in no other direction and never again.
/// A stranger is shown a challenge and nothing more.
public enum RelayHandshake {
    public static let version: UInt8 = 1
    public static let challengeBytes = 32
    public static let codeBytes = 32
    static let magic = Array("roostrly".utf8)
    static let nameBytesMax = 63
    /// More than either side ever says.
    static let bytesMax = 512

    /// Makes a code.
    public typealias Seal = ([UInt8]) -> [UInt8]

    enum Speaker: UInt8 {
        case caller = 1
        case called = 2
    }

    static func code(
        of speaker: Speaker, caller: MemberName, called: MemberName, _ challenges: (caller: [UInt8], called: [UInt8]),
        _ seal: Seal
    ) -> [UInt8] {
        seal([speaker.rawValue, version] + name(caller) + name(called) + challenges.caller + challenges.called)
    }

    static func name(_ member: MemberName) -> [UInt8] { [UInt8(member.text.utf8.count)] + member.text.utf8 }

    /// In a time that does not say where they differ.
    static func areSame(_ left: some Collection<UInt8>, _ right: some Collection<UInt8>) -> Bool {
        left.count == right.count && zip(left, right).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }

    public enum Step: Hashable, Sendable {
        case more
        case send([UInt8])
        /// The other is who it says. Bytes to send first, and those that came behind the proof.
        case proven(MemberName, send: [UInt8], rest: [UInt8])
        case refused(String)
    }
}

/// The side that calls.
public struct CallingHandshake: Sendable {
    private let own: MemberName
    private let peer: MemberName
    private let challenge: [UInt8]
    private var other: [UInt8]?
    private var buffer: [UInt8] = []

    /// - Parameter challenge: random, and this connection's alone.
    public init(from own: MemberName, to peer: MemberName, challenge: [UInt8]) {
        precondition(challenge.count == RelayHandshake.challengeBytes)
        (self.own, self.peer, self.challenge) = (own, peer, challenge)
    }

    public mutating func read(_ bytes: some Sequence<UInt8>, _ seal: RelayHandshake.Seal) -> RelayHandshake.Step {
        buffer += bytes
        guard let other else { return answer(seal) }
        guard buffer.count >= RelayHandshake.codeBytes else { return .more }
        let code = RelayHandshake.code(of: .called, caller: own, called: peer, (challenge, other), seal)
        // Nothing comes unasked.
        guard buffer.count == RelayHandshake.codeBytes, RelayHandshake.areSame(buffer, code) else {
            return .refused("\(peer) has not the members' password, or another one")
        }
        return .proven(peer, send: [], rest: [])
    }

    private mutating func answer(_ seal: RelayHandshake.Seal) -> RelayHandshake.Step {
        let magic = RelayHandshake.magic
        guard buffer.prefix(magic.count).elementsEqual(magic.prefix(buffer.count)) else {
            return .refused("\(peer) does not answer as a relay")
        }
        guard buffer.count > magic.count else { return .more }
        guard buffer[magic.count] == RelayHandshake.version else {
            return .refused("the relay of \(peer) is of version \(buffer[magic.count])")
        }
        guard buffer.count >= magic.count + 1 + RelayHandshake.challengeBytes else { return .more }
        guard buffer.count == magic.count + 1 + RelayHandshake.challengeBytes else {
            return .refused("\(peer) says more than it was asked")
        }
        let theirs = Array(buffer[(magic.count + 1)...])
        other = theirs
        buffer = []
        let code = RelayHandshake.code(of: .caller, caller: own, called: peer, (challenge, theirs), seal)
        return .send(
            [RelayHandshake.version] + RelayHandshake.name(own) + RelayHandshake.name(peer) + challenge + code)
    }
}

/// The side that is called.
public struct CalledHandshake: Sendable {
    private let own: MemberName
    private let challenge: [UInt8]
    private var buffer: [UInt8] = []

    /// - Parameter challenge: random, and this connection's alone.
    public init(at own: MemberName, challenge: [UInt8]) {
        precondition(challenge.count == RelayHandshake.challengeBytes)
        (self.own, self.challenge) = (own, challenge)
    }

    /// To be sent first.
    public var greeting: [UInt8] { RelayHandshake.magic + [RelayHandshake.version] + challenge }

    /// - Parameter mayBe: the members whose address the connection comes from.
    public mutating func read(
        _ bytes: some Sequence<UInt8>, mayBe: [MemberName], _ seal: RelayHandshake.Seal
    ) -> RelayHandshake.Step {
        buffer += bytes
        guard buffer.count <= RelayHandshake.bytesMax else { return .refused("too much") }
        guard let version = buffer.first else { return .more }
        guard version == RelayHandshake.version else { return .refused("version \(version)") }
        var place = 1
        var names: [String] = []
        for _ in 0..<2 {
            guard buffer.count > place else { return .more }
            let count = Int(buffer[place])
            guard (1...RelayHandshake.nameBytesMax).contains(count) else { return .refused("no name") }
            guard buffer.count > place + count else { return .more }
            names.append(String(decoding: buffer[(place + 1)...(place + count)], as: UTF8.self))
            place += 1 + count
        }
        guard names[1] == own.text else { return .refused("for another member") }
        guard let caller = mayBe.first(where: { $0.text == names[0] }) else {
            return .refused("not from the address of a member of that name")
        }
        let end = place + RelayHandshake.challengeBytes + RelayHandshake.codeBytes
        guard buffer.count >= end else { return .more }
        let theirs = Array(buffer[place..<(place + RelayHandshake.challengeBytes)])
        let shown = buffer[(place + RelayHandshake.challengeBytes)..<end]
        let expected = RelayHandshake.code(of: .caller, caller: caller, called: own, (theirs, challenge), seal)
        // It waits for the answer before it says more.
        guard buffer.count == end, RelayHandshake.areSame(shown, expected) else {
            return .refused("\(caller) has not the members' password, or another one")
        }
        let code = RelayHandshake.code(of: .called, caller: caller, called: own, (theirs, challenge), seal)
        return .proven(caller, send: code, rest: [])
    }
}
