public import RoostRouting

/// Watches what a backend answers to a startup message, until it is clear that the client reached what it came for.
///
/// Two answers must not reach a client as if nothing had happened: "the database system is starting up" (SQLSTATE
/// 57P03), and, on the write port, a login at a standby (`in_hot_standby`, which PostgreSQL 14 and later report while
/// they log a client in). As long as nothing has been passed on, the edge can drop such a backend and try again
/// unseen. Afterwards it cannot: a SCRAM exchange belongs to one backend.
///
/// Watching adds no round trip: what the backend waits for an answer to is passed on at once, and what is held back
/// (from the end of the authentication to the first verdict) is what Postgres sends in one piece anyway.
public struct BackendLogin: Sendable {
    public enum Verdict: Hashable, Sendable {
        /// Too little to judge; read more.
        case more
        /// Pass these bytes to the client, and go on watching.
        case pass([UInt8])
        /// The client is where it wanted to be: pass these bytes, then everything, unseen.
        case relay([UInt8])
        /// Nothing of this backend was shown to the client: drop it and try again.
        case retry(Unfit)
        /// The client has seen a part of this login: tell it, and end.
        case refuse(Unfit)
    }

    /// Why a backend does not serve what the client came for.
    public enum Unfit: String, Error, Hashable, Sendable {
        /// SQLSTATE 57P03; or its access rules let nobody in.
        case notAccepting = "it does not accept connections yet"
        case standby = "it is a standby"
        case notPostgres = "it does not answer as Postgres does"
        case unreachable = "it could not be reached"
        case lost = "the connection to it was lost"
        case timedOut = "it did not answer in time"
        /// The rule changed while the session was being set up.
        case deposed = "it no longer leads"
    }

    /// More than any login of Postgres sends before it is ready.
    public static let heldBytesMax = 64 << 10

    private let access: Access
    private var held: [UInt8] = []
    /// Where in `held` the next message begins.
    private var next = 0
    /// The client has seen something of this login.
    public private(set) var hasPassed = false
    /// The backend has let the client in.
    public private(set) var isAuthenticated = false
    /// The backend has said something.
    public private(set) var hasRead = false

    public init(access: Access) { self.access = access }

    /// The connection ended, or failed, before a verdict.
    public func ended(_ reason: Unfit) -> Verdict { hasPassed ? .refuse(reason) : .retry(reason) }

    public mutating func read(_ bytes: some Sequence<UInt8>) -> Verdict {
        held += bytes
        hasRead = true
        var passable = 0
        while held.count - next >= 5 {
            let length = Int(UInt32(bigEndianBytes: held[(next + 1)...]))
            guard length >= 4, length <= Self.heldBytesMax else { return ended(.notPostgres) }
            guard held.count - next > length else { break }
            let body = held[(next + 5)..<(next + 1 + length)]
            let isFirst = next == 0 && !hasPassed
            let judgement = judge(type: held[next], body: body, isFirst: isFirst)
            next += 1 + length
            switch judgement {
            case .hold: continue
            case .passHere: passable = next
            case .done: return .relay(takeAll())
            case .unfit(let reason): return ended(reason)
            }
        }
        guard held.count <= Self.heldBytesMax else { return ended(.notPostgres) }
        guard passable > 0 else { return .more }
        let bytes = Array(held[..<passable])
        held.removeFirst(passable)
        next -= passable
        hasPassed = true
        return .pass(bytes)
    }

    private enum Judgement {
        case hold, passHere, done
        case unfit(Unfit)
    }

    private mutating func judge(type: UInt8, body: ArraySlice<UInt8>, isFirst: Bool) -> Judgement {
        switch type {
        case UInt8(ascii: "E"):
            // Any other error is the client's to see: a wrong password, no such database, too many clients.
            guard !hasPassed, let code = Self.errorCode(in: body) else { return .done }
            // Before it has asked who is there, Postgres refuses by its access rules alone (auth.c, ClientAuthentication):
            // the member lets nobody in, and its gate is about to close.
            let isClosed = code == SQLState.invalidAuthorization.rawValue && !isAuthenticated
            return isClosed || code == SQLState.cannotConnectNow.rawValue ? .unfit(.notAccepting) : .done
        case UInt8(ascii: "R"):
            switch Self.authentication(body) {
            case .asks: return .passHere
            case .lastWord: return .hold
            case .over:
                isAuthenticated = true
                return access == .read ? .done : .hold
            }
        case UInt8(ascii: "S"):
            // A client that has not been let in yet is shown no parameters by Postgres.
            guard isAuthenticated else { return .unfit(.notPostgres) }
            switch Self.parameter(in: body) {
            case ("in_hot_standby", "on"): return .unfit(.standby)
            case ("in_hot_standby", _): return .done
            case (_, _): return .hold
            }
        case UInt8(ascii: "Z"):
            // Postgres before 14 does not say; the closed gate in front of a standby remains.
            return isAuthenticated ? .done : .unfit(.notPostgres)
        case UInt8(ascii: "v"), UInt8(ascii: "N"), UInt8(ascii: "K"):
            return .hold
        case _:
            return isFirst ? .unfit(.notPostgres) : .hold
        }
    }

    private enum Authentication {
        /// The client has to answer.
        case asks
        /// AuthenticationSASLFinal: no answer is due, and AuthenticationOk follows.
        case lastWord
        /// AuthenticationOk: the rest of the login follows.
        case over
    }

    private static func authentication(_ body: ArraySlice<UInt8>) -> Authentication {
        guard body.count >= 4 else { return .asks }
        switch UInt32(bigEndianBytes: body) {
        case 0: return .over
        case 12: return .lastWord
        case _: return .asks
        }
    }

    private mutating func takeAll() -> [UInt8] {
        defer {
            held = []
            next = 0
            hasPassed = true
        }
        return held
    }

    private static func errorCode(in body: ArraySlice<UInt8>) -> String? {
        for field in body.split(separator: 0) where field.first == UInt8(ascii: "C") {
            return String(decoding: field.dropFirst(), as: UTF8.self)
        }
        return nil
    }

    private static func parameter(in body: ArraySlice<UInt8>) -> (String, String) {
        let texts = body.split(separator: 0, maxSplits: 2, omittingEmptySubsequences: false)
        guard texts.count == 3 else { return ("", "") }
        return (String(decoding: texts[0], as: UTF8.self), String(decoding: texts[1], as: UTF8.self))
    }
}
