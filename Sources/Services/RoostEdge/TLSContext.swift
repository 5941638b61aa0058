import NIOCore
import NIOSSL
import RoostPostgresWire
import RoostRouting

/// A cluster's certificate and key, ready for handshakes. Made once for each identity, not for each connection.
final class TLSContext: Sendable {
    /// How long a client may take to confirm the end of TLS.
    private static let endTime = TimeAmount.seconds(1)

    private let context: NIOSSLContext

    init(_ identity: TLSIdentity) throws {
        let chain = try NIOSSLCertificate.fromPEMBytes(Array(identity.certificateChain.utf8))
        let key = try NIOSSLPrivateKey(bytes: Array(identity.privateKey.utf8), format: .pem)
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = [ErrorResponse.protocolName]
        configuration.shutdownTimeout = Self.endTime
        context = try NIOSSLContext(configuration: configuration)
    }

    /// Puts TLS in front of what is in the channel already. `early`: bytes of the handshake that were read before.
    func install(on channel: any Channel, early: [UInt8]) throws {
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(NIOSSLServerHandler(context: context), position: .first)
        guard !early.isEmpty else { return }
        pipeline.fireChannelRead(NIOAny(channel.allocator.buffer(bytes: early)))
        pipeline.fireChannelReadComplete()
    }

    static func isUncleanEnd(_ error: any Error) -> Bool {
        if let error = error as? NIOSSLError, case .uncleanShutdown = error { return true }
        return false
    }
}
