import Crypto
import Foundation
import RoostLinux

/// The host's WireGuard key. It is made on the host and never leaves it.
public enum MeshKey {
    static let fileName = "mesh.key"

    /// The public key of the host; makes the key on first use.
    /// - Returns: base64, as WireGuard's tools write it.
    public static func ensure(stateDirectory: String) throws(MeshError) -> String {
        let path = path(in: stateDirectory)
        do {
            if let stored = try DurableFile.read(path, bytesMax: 1024) {
                return try publicKey(ofPrivate: String(decoding: stored, as: UTF8.self), path: path)
            }
            let key = Curve25519.KeyAgreement.PrivateKey()
            try DurableFile.makeFolder(stateDirectory)
            try DurableFile.write(key.rawRepresentation.base64EncodedString() + "\n", to: path, mode: 0o600)
            return key.publicKey.rawRepresentation.base64EncodedString()
        } catch let error as MeshError {
            throw error
        } catch {
            throw MeshError(operation: "make the host's key", subject: path, cause: "\(error)")
        }
    }

    static func path(in stateDirectory: String) -> String { stateDirectory + "/" + fileName }

    private static func publicKey(ofPrivate text: String, path: String) throws(MeshError) -> String {
        let trimmed = text.trimmingCharacters(in: .whitespacesAndNewlines)
        guard let bytes = Data(base64Encoded: trimmed),
            let key = try? Curve25519.KeyAgreement.PrivateKey(rawRepresentation: bytes)
        else {
            throw MeshError(
                operation: "read the host's key", subject: path,
                cause: "not a WireGuard private key; remove the file to have a new one made")
        }
        return key.publicKey.rawRepresentation.base64EncodedString()
    }
}
