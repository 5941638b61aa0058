import RoostLinux
import RoostModel
import RoostRelayWire

/// The near side: this member's receiver, and the way to the leader once it has asked for a stream.
final class ReceiverParty: Party {
    /// From its connection to its request.
    static let loginMax = Duration.seconds(10)
    /// From its request to the first answer: the far side waits for its Postgres, and there is the way.
    static let openingMax = SenderSession.patience + .seconds(2)
    /// For what has still to be written once one side has ended.
    static let endingMax = Duration.seconds(1)

    private enum Stage {
        case talking(ReceiverSession)
        case opening(Link, StreamOpening, HeldReading?)
        /// What comes after goes to the receiver behind what is read.
        case handing(Link, HeldReading, rest: [UInt8])
        case passing(Link)
        case ending(Link?)
    }

    private unowned let desk: RelayDesk
    private let link: Link
    private var stage = Stage.talking(ReceiverSession())
    private var followed: RelayOrders.Upstream?
    /// When the leader accepted the stream.
    private var acceptedAt: Moment?
    private var growth: HeldGrowth?
    private(set) var wakeAt: Moment?

    init(_ link: Link, _ desk: RelayDesk, now: Moment) {
        self.link = link
        self.desk = desk
        wakeAt = now + Self.loginMax
    }

    private var far: Link? {
        switch stage {
        case .talking: nil
        case .opening(let far, _, _), .handing(let far, _, _), .passing(let far): far
        case .ending(let far): far
        }
    }

    var links: [Link] { [link, far].compactMap { $0 }.filter { !$0.isClosed } }
    var isOver: Bool { links.isEmpty }

    func act(_ now: Moment) {
        // It follows nobody any more, or another.
        if let followed, !desk.isFollowed(followed) { return drop() }
        switch stage {
        case .talking(let session): talk(session, now)
        case .opening(let far, let opening, let reading): open(far, opening, reading, now)
        case .handing(let far, let reading, let rest): hand(far, reading, rest, now)
        case .passing(let far): pass(far, now)
        case .ending(let far):
            link.flush()
            far?.flush()
            if let wakeAt, now >= wakeAt { drop() }
        }
    }

    private func talk(_ session: ReceiverSession, _ now: Moment) {
        if let wakeAt, now >= wakeAt { return drop() }
        link.flush()
        guard link.isReadable else { return }
        switch link.read() {
        case .nothing: return
        case .ended: drop()
        case .bytes(let bytes):
            var session = session
            let actions = session.read(bytes, desk.standing(now))
            stage = .talking(session)
            for action in actions {
                switch action {
                case .send(let bytes): link.put(bytes)
                case .open(let request, let part, let rest): carry(request, part, rest, now)
                case .end: end(now)
                }
            }
        }
    }

    private func carry(_ request: StreamRequest, _ part: HeldPart?, _ rest: [UInt8], _ now: Moment) {
        let reading = part.flatMap { HeldReading($0, in: desk.place.logFolder) }
        let asked = reading == nil ? request : part.map { request.skipping($0) } ?? request
        guard let upstream = desk.orders?.upstream, let bytes = asked.bytes,
            let (far, unread) = desk.warm[upstream.leader]?.take()
        else {
            // It costs the receiver this attempt: libpq goes on to its next host only before it is let in.
            link.put(WireMessage.error(ReceiverSession.elsewhere, "the way to the leader's relay has gone").bytes)
            return end(now)
        }
        followed = upstream
        if let start = StreamStart(asked.query), let held = upstream.held ?? part?.held {
            growth = HeldGrowth(from: start, segmentBytes: held.segmentBytes)
        }
        far.put(bytes + rest)
        stage = .opening(far, StreamOpening(after: unread), reading)
        wakeAt = now + Self.openingMax
    }

    private func open(_ far: Link, _ opening: StreamOpening, _ reading: HeldReading?, _ now: Moment) {
        if let wakeAt, now >= wakeAt { return giveUp("the leader's relay does not answer", now) }
        guard passToFar(far) else { return drop() }
        guard far.isReadable else { return }
        var opening = opening
        switch far.read() {
        case .nothing: return
        case .ended: giveUp("the leader's relay has ended the stream", now)
        case .bytes(let bytes):
            switch opening.read(bytes) {
            case .more: stage = .opening(far, opening, reading)
            case .other(let answer):
                if answer.first == UInt8(ascii: "E") { desk.trust.streamCameToNothing(now) }
                growth = nil
                wakeAt = nil
                stage = .passing(far)
                link.put(answer)
            case .accepted(let answer, let rest):
                wakeAt = nil
                acceptedAt = now
                link.put(answer)
                if let reading {
                    far.isReading = false
                    stage = .handing(far, reading, rest: rest)
                    hand(far, reading, rest, now)
                } else {
                    goOn(far, rest)
                }
            }
        }
    }

    private func hand(_ far: Link, _ reading: HeldReading, _ rest: [UInt8], _ now: Moment) {
        guard passToFar(far) else { return drop() }
        link.flush()
        while link.takesMore {
            switch reading.next() {
            case .message(let bytes): link.put(bytes)
            case .end: return goOn(far, rest)
            // The receiver asks anew, straight from the leader.
            case .unreadable: return giveUp("a part of the log on this disk cannot be read", now)
            }
        }
    }

    private func goOn(_ far: Link, _ rest: [UInt8]) {
        growth?.sent(rest[...])
        link.put(rest)
        far.isReading = true
        stage = .passing(far)
    }

    private func pass(_ far: Link, _ now: Moment) {
        let isOn = passToFar(far) && Passage.pass(from: far, to: link) { growth?.sent($0) }
        if let held = growth?.held, let followed { desk.note(held, of: followed) }
        guard !isOn else { return }
        if let acceptedAt, !link.hasEnded, !link.isBroken { desk.trust.streamEnded(since: acceptedAt, now) }
        end(now)
    }

    private func passToFar(_ far: Link) -> Bool { Passage.pass(from: link, to: far) { growth?.said($0) } }

    /// The next receiver goes straight to the leader.
    private func giveUp(_ why: String, _ now: Moment) {
        desk.trust.streamCameToNothing(now)
        link.put(WireMessage.error("08006", why).bytes)
        end(now)
    }

    /// Both sides, once what waits is written.
    private func end(_ now: Moment) {
        let far = far
        stage = .ending(far)
        wakeAt = now + Self.endingMax
        far?.end()
        link.end()
    }

    /// Both sides, at once.
    private func drop() {
        let far = far
        stage = .ending(far)
        far?.close()
        link.close()
    }
}
