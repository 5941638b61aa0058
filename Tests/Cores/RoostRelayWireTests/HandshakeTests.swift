import RoostModel
import RoostRelayWire
import Testing

/// Stands for HMAC: another code for another key and another message.
func seal(_ key: UInt64) -> RelayHandshake.Seal {
    { message in
        var state = key &* 0x9e37_79b9_7f4a_7c15 &+ 1
        for byte in message { state = (state ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return (0..<32).map { place in
            state = (state ^ UInt64(place)) &* 0x0000_0100_0000_01b3
            return UInt8(truncatingIfNeeded: state >> 32)
        }
    }
}

/// What one side says, cut in pieces of `size`, as the other side takes it.
private func each(_ bytes: [UInt8], by size: Int, _ body: (ArraySlice<UInt8>) -> RelayHandshake.Step)
    -> RelayHandshake.Step
{
    var last = RelayHandshake.Step.more
    for place in stride(from: 0, to: bytes.count, by: size) {
        guard case .more = last else { return last }
        last = body(bytes[place..<min(place + size, bytes.count)])
    }
    return last
}

@Suite("How two relays show each other who they are")
struct HandshakeTests {
    private let a: MemberName
    private let b: MemberName
    private let challenges: (a: [UInt8], b: [UInt8])

    init() throws {
        (a, b) = (try MemberName("m1"), try MemberName("m2"))
        challenges = (.init(repeating: 7, count: 32), .init(repeating: 9, count: 32))
    }

    private func greeting() -> (CalledHandshake, [UInt8]) {
        let called = CalledHandshake(at: b, challenge: challenges.b)
        return (called, called.greeting)
    }

    @Test("Two that have the key prove it, however their bytes are cut", arguments: [1, 2, 7, 4096])
    func proof(size: Int) throws {
        var (called, greeting) = greeting()
        var caller = CallingHandshake(from: a, to: b, challenge: challenges.a)
        guard case .send(let answer) = each(greeting, by: size, { caller.read($0, seal(1)) }) else {
            Issue.record("the greeting is not answered")
            return
        }
        guard
            case .proven(let member, let code, _) = each(
                answer, by: size, { called.read($0, mayBe: [a], seal(1)) })
        else {
            Issue.record("the caller is not believed")
            return
        }
        #expect(member == a)
        #expect(each(code, by: size) { caller.read($0, seal(1)) } == .proven(b, send: [], rest: []))
    }

    @Test("Nobody is believed who has another key, and nobody by what was said before or the other way round")
    func strangers() throws {
        let (called, greeting) = greeting()
        var caller = CallingHandshake(from: a, to: b, challenge: challenges.a)
        guard case .send(let answer) = caller.read(greeting, seal(1)) else {
            Issue.record("the greeting is not answered")
            return
        }
        func isRefused(_ bytes: [UInt8], by handshake: CalledHandshake, mayBe: [MemberName]) -> Bool {
            var handshake = handshake
            if case .refused = handshake.read(bytes, mayBe: mayBe, seal(1)) { return true }
            return false
        }
        var other = CallingHandshake(from: a, to: b, challenge: challenges.a)
        guard case .send(let wrong) = other.read(greeting, seal(2)) else {
            Issue.record("the greeting is not answered")
            return
        }
        #expect(isRefused(wrong, by: called, mayBe: [a]), "another key")
        let later = CalledHandshake(at: b, challenge: .init(repeating: 10, count: 32))
        #expect(isRefused(answer, by: later, mayBe: [a]), "said before")
        #expect(isRefused(answer, by: CalledHandshake(at: a, challenge: challenges.b), mayBe: [a]), "for another")
        #expect(isRefused(answer, by: called, mayBe: [b]), "from another's address")
        #expect(isRefused(answer + [0], by: called, mayBe: [a]), "more than a proof")
        #expect(isRefused([2] + answer.dropFirst(), by: called, mayBe: [a]), "another version")
        for place in answer.indices {
            var spoiled = answer
            spoiled[place] ^= 1
            #expect(isRefused(spoiled, by: called, mayBe: [a]), "byte \(place)")
        }
        // Its own code is no answer to it.
        guard case .refused = caller.read(answer.suffix(32), seal(1)) else {
            Issue.record("a reflected code is believed")
            return
        }
    }

    @Test("What is no relay is left")
    func nonsense() {
        for bytes in [Array("HTTP/1.1 400".utf8), [UInt8](repeating: 0, count: 500), Array("roostrly".utf8) + [2]] {
            var caller = CallingHandshake(from: a, to: b, challenge: challenges.a)
            guard case .refused = caller.read(bytes, seal(1)) else {
                Issue.record("\(bytes.prefix(10))")
                return
            }
        }
        var called = CalledHandshake(at: b, challenge: challenges.b)
        guard case .refused = called.read([UInt8](repeating: 1, count: 100_000), mayBe: [a], seal(1)) else {
            Issue.record("a flood is kept")
            return
        }
    }
}
