import RoostWire

/// Reads BIRD's `show protocols`: name, kind, table, state, since, and what the protocol says of itself.
struct ProtocolListing: Hashable, Sendable {
    var status: AnnouncementStatus

    /// The states of ``BirdText/up`` and ``BirdText/drain`` contradict each other or what was asked for only while a
    /// change is on its way.
    init(lines: [String]) {
        var isUp = false
        var isDraining = false
        var sessions: [AnnouncementStatus.Session] = []
        for line in lines {
            let fields = line.split(separator: " ")
            guard fields.count >= 4 else { continue }
            let name = String(fields[0])
            if name == BirdText.up { isUp = fields[3] == "up" }
            if name == BirdText.drain { isDraining = fields[3] == "up" }
            if name.hasPrefix(BirdText.uplinkPrefix), fields[1] == "BGP" {
                sessions.append(
                    AnnouncementStatus.Session(
                        uplink: String(name.dropFirst(BirdText.uplinkPrefix.utf8.count)),
                        isEstablished: fields[3] == "up" && fields.dropFirst(4).contains("Established")))
            }
        }
        status = AnnouncementStatus(
            announced: isUp ? .healthy : isDraining ? .draining : .down,
            sessions: sessions.sorted { $0.uplink < $1.uplink })
    }
}
