import RoostModel
import RoostPostgresWire
import RoostRouting

/// A client and its session, with the two connections between them, as a shell would hold them.
final class SimulatedSession {
    var core: SessionCore
    var place: Admission.Place
    let source: SourcePrefix
    // The client.
    /// What the member is to get: the startup packet, and everything after it.
    var meant: [UInt8] = []
    /// What the client got.
    var got: [UInt8] = []
    /// How many of them are answers of the edge to requests for encryption.
    var answers = 0
    var hasLeft = false
    var leftByWhim = false
    var hasAskedForTLS = false
    var speeches = 0
    var hasEnded = false
    var isStuck = false
    var hasSaidStartup = false
    /// It asks for one of the places that the cluster's own members need.
    var wantsToReplicate = false
    var hasAnsweredPassword = false
    var wasServed = false
    /// On their way, in order, not read yet.
    var fromClient: [UInt8] = []
    var fromMember: [UInt8] = []
    var memberHasEnded = false
    // The session's connections.
    var member: MemberConnection?
    var members: [MemberConnection] = []
    var relaysClient = false
    var relaysMember = false
    var farewell: [UInt8]?
    /// The client has got the end of the stream.
    var isToldEnd = false

    init(_ core: SessionCore, place: Admission.Place, source: SourcePrefix) {
        self.core = core
        self.place = place
        self.source = source
    }

    var body: ArraySlice<UInt8> { got.dropFirst(answers) }

    /// What the client has got is what one member said, in order and from its first byte on, and after it at most what
    /// the edge said in its own name: at the end of a message.
    var isStreamTrue: Bool {
        let body = Array(body)
        func isPrefix(_ bytes: [UInt8]) -> Bool {
            body.isEmpty || members.contains { $0.sent.starts(with: bytes) } && !bytes.isEmpty
        }
        if isPrefix(body) { return true }
        guard let farewell, !farewell.isEmpty, body.suffix(farewell.count) == farewell[...] else { return false }
        let before = Array(body.dropLast(farewell.count))
        return before.isEmpty || isPrefix(before) && endsWithMessage(before)
    }

    private func endsWithMessage(_ bytes: [UInt8]) -> Bool {
        var place = 0
        while bytes.count - place >= 5 {
            place += 1 + bytes[(place + 1)..<(place + 5)].reduce(0) { $0 << 8 | Int($1) }
        }
        return place == bytes.count
    }

    /// Every member has got a beginning of what the client meant, and nothing else.
    var areMembersTrue: Bool { members.allSatisfy { meant.starts(with: $0.received) } }
}
