import Testing

@testable import RoostCrypto

/// By the examples of the standards.
@Suite struct CryptoTests {
    private func bytes(_ text: String) throws -> [UInt8] {
        try #require(Hexadecimal.bytes(text, count: text.utf8.count / 2))
    }

    /// FIPS 180-4's examples.
    @Test func digests() {
        #expect(Digest.text(of: "") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(Digest.text(of: "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    }

    /// RFC 4231, cases 1, 2 and 6; and a key of no bytes.
    @Test func messageCodes() throws {
        let cases = [
            (
                key: [UInt8](repeating: 0x0b, count: 20), message: "Hi There",
                code: "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
            ),
            (
                key: Array("Jefe".utf8), message: "what do ya want for nothing?",
                code: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
            ),
            (
                key: [UInt8](repeating: 0xaa, count: 131),
                message: "Test Using Larger Than Block-Size Key - Hash Key First",
                code: "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
            ),
            (key: [], message: "", code: "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"),
        ]
        for one in cases {
            let message = Array(one.message.utf8)
            var code = MessageCode.of(message, key: one.key)
            #expect(Hexadecimal.text(code) == one.code)
            #expect(MessageCode.isCode(code, of: message, key: one.key))
            #expect(!MessageCode.isCode(Array(code.dropLast()), of: message, key: one.key))
            #expect(!MessageCode.isCode(code, of: message + [0], key: one.key))
            #expect(!MessageCode.isCode(code, of: message, key: one.key + [1]))
            for index in code.indices {
                code[index] ^= 1
                #expect(!MessageCode.isCode(code, of: message, key: one.key))
                code[index] ^= 1
            }
        }
    }

    /// RFC 7748, 6.1.
    @Test func twoAgree() throws {
        let alice = try #require(
            AgreementKey(bytes: bytes("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")))
        let bob = try #require(
            AgreementKey(bytes: bytes("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")))
        #expect(
            Hexadecimal.text(alice.publicBytes) == "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
        #expect(
            Hexadecimal.text(bob.publicBytes) == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
        let secret = try #require(alice.secret(with: bob.publicBytes))
        #expect(Hexadecimal.text(secret) == "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
        #expect(bob.secret(with: alice.publicBytes) == secret)
        let purpose = Array("a purpose".utf8)
        let key = try #require(alice.shared(with: bob.publicBytes, purpose: purpose))
        #expect(bob.shared(with: alice.publicBytes, purpose: purpose) == key)
        #expect(alice.shared(with: bob.publicBytes, purpose: purpose + purpose) != key)
    }

    /// RFC 5869, case 3, of which 32 bytes are asked for.
    @Test func whatIsAgreedOnIsExpanded() {
        let key = AgreementKey.expanded([UInt8](repeating: 0x0b, count: 22), purpose: [])
        #expect(Hexadecimal.text(key) == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d")
    }

    @Test func newKeysAreKeysAndDiffer() {
        let keys = (0..<20).map { _ in AgreementKey() }
        #expect(Set(keys.map(\.publicBytes)).count == keys.count)
        for key in keys { #expect(AgreementKey(bytes: key.bytes)?.publicBytes == key.publicBytes) }
    }

    /// With a point of small order everybody knows what is agreed on; and what is no key is none.
    @Test func aKeyThatNoHonestPartyHasIsRefused() {
        let own = AgreementKey()
        let zero = [UInt8](repeating: 0, count: AgreementKey.bytesCount)
        #expect(own.shared(with: zero, purpose: []) == nil)
        #expect(own.shared(with: [1] + zero.dropLast(), purpose: []) == nil)
        for count in [0, 31, 33] {
            #expect(own.shared(with: [UInt8](repeating: 9, count: count), purpose: []) == nil)
            #expect(AgreementKey(bytes: [UInt8](repeating: 9, count: count)) == nil)
        }
    }

    @Test func digitsAreBytes() {
        #expect(Hexadecimal.text([0, 0x0f, 0xa0, 0xff]) == "000fa0ff")
        #expect(Hexadecimal.bytes("000fA0ff", count: 4) == [0, 0x0f, 0xa0, 0xff])
        for wrong in ["", "000fa0f", "000fa0ff0", "000fa0fg", "+00fa0ff", "0-0fa0ff"] {
            #expect(Hexadecimal.bytes(wrong, count: 4) == nil, "\(wrong)")
        }
    }
}
