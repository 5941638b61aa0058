/// What roostd and the guard say to each other over a socket pair that keeps the bounds of messages.
/// roostd: one byte, the edge's health. The guard: text, what BIRD announces and which sessions are up.
enum GuardMessage {
    static let bytesMax = 4096

    static func byte(of health: EdgeHealth) -> UInt8 {
        switch health {
        case .healthy: UInt8(ascii: "h")
        case .draining: UInt8(ascii: "d")
        case .down: UInt8(ascii: "x")
        }
    }

    static func health(of byte: UInt8) -> EdgeHealth? {
        switch byte {
        case UInt8(ascii: "h"): .healthy
        case UInt8(ascii: "d"): .draining
        case UInt8(ascii: "x"): .down
        default: nil
        }
    }

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
