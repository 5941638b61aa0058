import Foundation
import RoostCrypto
import RoostLinux

/// The host's WireGuard key. It is made on the host and never leaves it.
public enum MeshKey {
    static let fileName = "mesh.key"

    /// The public key of the host; makes the key on first use.
    /// - Returns: base64, as WireGuard's tools write it.
    public static func ensure(stateDirectory: String) throws(MeshError) -> String {
        try privateKey(stateDirectory: stateDirectory).publicText
    }

    /// The key itself; makes it on first use.
    static func privateKey(stateDirectory: String) throws(MeshError) -> AgreementKey {
        let path = path(in: stateDirectory)
        do throws(SystemError) {
            if let stored = try DurableFile.read(path, bytesMax: 1024) {
                let text = String(decoding: stored, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
                if let bytes = Data(base64Encoded: text),
                    let key = AgreementKey(bytes: Array(bytes))
                {
                    return key
                }
            } else {
                let key = AgreementKey()
                try DurableFile.makeFolder(stateDirectory)
                try DurableFile.write(Data(key.bytes).base64EncodedString() + "\n", to: path, mode: 0o600)
                return key
            }
        } catch {
            throw MeshError(operation: "make the host's key", subject: path, cause: error.description)
        }
        throw MeshError(
            operation: "read the host's key", subject: path,
            cause: "not a WireGuard private key; remove the file to have a new one made")
    }

    static func path(in stateDirectory: String) -> String { stateDirectory + "/" + fileName }
}

extension AgreementKey {
    /// The public half, as WireGuard's tools write it.
    var publicText: String { Data(publicBytes).base64EncodedString() }
}
