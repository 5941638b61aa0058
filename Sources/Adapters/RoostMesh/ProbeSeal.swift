import Foundation
import RoostCrypto

/// What two hosts sign their probes with: a key that only they can make, each from its own private key and the other's
/// public one. A stranger who sends under a peer's address is neither answered nor believed.
struct ProbeSeal: Sendable {
    static let size = 16
    private static let purpose = Array("roost probe 2".utf8)

    private let key: [UInt8]
    private let own: [UInt8]
    private let peer: [UInt8]

    /// - Parameters:
    ///   - own: this host's WireGuard key.
    ///   - peer: the other's public key, base64.
    /// - Returns: nil for a key that no honest host has.
    init?(own: AgreementKey, peer: String) {
        guard let bytes = Data(base64Encoded: peer),
            let key = own.shared(with: Array(bytes), purpose: Self.purpose)
        else { return nil }
        self.key = key
        self.own = own.publicBytes
        self.peer = Array(bytes)
    }

    /// Of a whole datagram of UDP over IPv6 without anything around it on the way, 1500 bytes.
    static let datagramBytesMax = 1500 - 40 - 8

    /// The packet, its signature, and its padding.
    func sealed(_ packet: ProbePacket) -> [UInt8] {
        let bytes = packet.bytes
        return bytes + signature(of: bytes, by: own) + [UInt8](repeating: 0, count: Int(packet.padding))
    }

    /// Nil for anything that the peer has not signed: also what we have signed ourselves and somebody sends back.
    func opened(_ bytes: [UInt8]) -> ProbePacket? {
        let size = ProbePacket.size + Self.size
        guard (size...Self.datagramBytesMax).contains(bytes.count) else { return nil }
        let packet = Array(bytes[..<ProbePacket.size])
        let expected = signature(of: packet, by: peer)
        // All of it is compared, whatever differs first: the time tells nothing.
        var difference: UInt8 = 0
        for (one, other) in zip(expected, bytes[ProbePacket.size..<size]) { difference |= one ^ other }
        guard difference == 0 else { return nil }
        let opened = packet.withUnsafeBytes { ProbePacket($0) }
        return opened.flatMap { bytes.count == size + Int($0.padding) ? $0 : nil }
    }

    private func signature(of bytes: [UInt8], by sender: [UInt8]) -> [UInt8] {
        Array(MessageCode.of(bytes + sender, key: key).prefix(Self.size))
    }
}
