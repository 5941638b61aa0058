import RoostWire

/// What roostd tells the guard, over a socket that keeps the bounds of messages.
enum GuardOrder: Hashable, Sendable {
    /// Announce at most this. Holds until something else is said, also when roostd is gone.
    case want(EdgeHealth)
    /// The socket that comes along is an edge's: it says by it, a byte at a time, how it is.
    case watch
    /// BIRD's configuration is another: BIRD is to read it.
    case configure
    /// Withdraw, end BIRD, and end.
    case finish

    var bytes: [UInt8] {
        switch self {
        case .want(let health): [UInt8(ascii: "w"), health.byte]
        case .watch: [UInt8(ascii: "e")]
        case .configure: [UInt8(ascii: "c")]
        case .finish: [UInt8(ascii: "q")]
        }
    }

    /// Nil for what a newer roostd may say.
    init?(_ bytes: [UInt8]) {
        switch bytes.first {
        case UInt8(ascii: "w"):
            guard bytes.count > 1, let health = EdgeHealth(byte: bytes[1]) else { return nil }
            self = .want(health)
        case UInt8(ascii: "e"): self = .watch
        case UInt8(ascii: "c"): self = .configure
        case UInt8(ascii: "q"): self = .finish
        case _: return nil
        }
    }
}

/// What the guard says to roostd: what BIRD announces, and which sessions are up.
enum GuardMessage {
    static func text(of status: AnnouncementStatus) -> String {
        ([status.announced.rawValue] + status.sessions.map { "\($0.uplink) \($0.isEstablished ? "up" : "down")" })
            .joined(separator: "\n")
    }

    static func status(of text: String) -> AnnouncementStatus? {
        let lines = text.split(separator: "\n")
        guard let first = lines.first, let announced = EdgeHealth(rawValue: String(first)) else { return nil }
        var sessions: [AnnouncementStatus.Session] = []
        for line in lines.dropFirst() {
            let words = line.split(separator: " ")
            guard words.count == 2 else { return nil }
            sessions.append(.init(uplink: String(words[0]), isEstablished: words[1] == "up"))
        }
        return AnnouncementStatus(announced: announced, sessions: sessions)
    }
}
