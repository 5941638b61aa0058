import AsyncHTTPClient
import Glibc
import NIOCore
import NIOPosix

/// What broke on the way to etcd, in words for people: they come to users with every refusal of the store. Those of the
/// library's errors are for programmers, and not all of their brackets have a partner.
enum EtcdWords {
    static func of(_ error: any Error) -> String {
        switch error {
        case let error as IOError: String(cString: strerror(error.errnoCode))
        case let error as NIOConnectionError:
            if let failure = error.connectionErrors.first {
                "cannot connect: \(of(failure.error))"
            } else if let failure = error.dnsAError ?? error.dnsAAAAError {
                "its name cannot be looked up: \(of(failure))"
            } else {
                "cannot connect"
            }
        case let error as HTTPClientError: error.shortDescription
        case is CancellationError: "given up"
        default: "\(error)"
        }
    }
}
