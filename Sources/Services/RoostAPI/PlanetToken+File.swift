import Foundation
import RoostLinux

extension PlanetToken {
    /// Shorter ones can be guessed.
    static let lengthMin = 16

    /// Reads the token from a host's file, which is its owner's alone.
    public static func read(from path: String) throws(TokenFileError) -> PlanetToken {
        var facts = stat()
        if stat(path, &facts) == 0, facts.st_mode & 0o077 != 0 {
            throw TokenFileError(
                path: path, problem: "can be read by others than its owner; run 'chmod 600 \(path)'")
        }
        let bytes: [UInt8]
        do { bytes = try DurableFile.read(path) ?? [] } catch {
            throw TokenFileError(path: path, problem: "cannot be read: \(error)")
        }
        let token = String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        guard token.utf8.count >= lengthMin else {
            throw TokenFileError(
                path: path,
                problem:
                    "must hold the planet's token, at least \(lengthMin) characters; make one with 'openssl rand -hex 32'"
            )
        }
        return PlanetToken(token)
    }
}

/// A token's file that is not to be used, and what to do.
public struct TokenFileError: Error, Hashable, CustomStringConvertible {
    public let path: String
    public let problem: String

    public var description: String { "the token's file \(path) \(problem)" }
}
