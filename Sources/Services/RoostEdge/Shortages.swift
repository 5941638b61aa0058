import Glibc
import NIOCore
import NIOPosix
import RoostPostgresWire

extension SessionCore.Shortage {
    /// What this host is out of, if that is what the error says (connect(2), socket(2), accept(2)).
    init?(_ error: any Error) {
        guard let error = error as? IOError else { return nil }
        switch error.errnoCode {
        case EADDRNOTAVAIL: self = .ports
        case EMFILE, ENFILE: self = .files
        case ENOBUFS, ENOMEM: self = .memory
        case _: return nil
        }
    }
}

extension SessionCore.ConnectFailure {
    init(_ error: any Error) {
        // NIO gathers what went wrong at each address of a name; an address of its own is one.
        let single = (error as? NIOConnectionError)?.connectionErrors.first?.error ?? error
        self = SessionCore.Shortage(single).map { .short($0) } ?? .unreachable
    }
}
