import RoostModel
import RoostPostgresWire
import RoostRouting

/// How a member of the simulated cluster answers.
enum Manner: CaseIterable {
    case serves, asksForPassword, starting, standby, silent, refuses, closes, half
    /// Not the member's doing: the edge's host is out of something.
    case unreachableForShortage
}

/// One connection to a member.
final class MemberConnection {
    let attempt: Int
    let backend: Backend
    let manner: Manner
    /// Everything the member got and said.
    private(set) var received: [UInt8] = []
    private(set) var sent: [UInt8] = []
    private(set) var isOver = false
    private var startupLength: Int?
    private var isReady = false
    private var hasAsked = false

    init(attempt: Int, backend: Backend, manner: Manner) {
        self.attempt = attempt
        self.backend = backend
        self.manner = manner
    }

    static func login(isStandby: Bool) -> [UInt8] {
        authentication(0) + parameter("server_version", "17.2") + parameter("in_hot_standby", isStandby ? "on" : "off")
            + message("K", [0, 0, 0, 1, 0, 0, 0, 2]) + readyForQuery
    }

    /// The member gets these bytes.
    ///
    /// - Returns: what it answers, and whether it ends the connection then.
    func get(_ bytes: [UInt8]) -> (answer: [UInt8], ends: Bool) {
        received += bytes
        guard !isOver else { return ([], false) }
        if isReady {
            sent += bytes
            return (bytes, false)
        }
        guard received.count >= 4 else { return ([], false) }
        let length = received[..<4].reduce(0) { $0 << 8 | Int($1) }
        guard received.count >= length else { return ([], false) }
        let (answer, ends) = answer(after: Array(received[length...]))
        sent += answer
        isOver = ends
        return (answer, ends)
    }

    private func answer(after extra: [UInt8]) -> ([UInt8], Bool) {
        switch manner {
        case .serves:
            isReady = true
            return (Self.login(isStandby: false) + extra, false)
        case .standby:
            isReady = true
            return (Self.login(isStandby: true) + extra, false)
        case .asksForPassword:
            if !hasAsked {
                hasAsked = true
                return (authentication(3), false)
            }
            guard extra.count >= 5 else { return ([], false) }
            isReady = true
            let password = 1 + extra[1..<5].reduce(0) { $0 << 8 | Int($1) }
            return (Self.login(isStandby: false) + extra.dropFirst(password), false)
        case .starting: return (failure("57P03"), true)
        case .half: return (Array(Self.login(isStandby: false).prefix(30)), true)
        case .closes: return ([], true)
        case .silent, .refuses, .unreachableForShortage: return ([], false)
        }
    }

    /// The member ends the connection by itself.
    func end() { isOver = true }
}
