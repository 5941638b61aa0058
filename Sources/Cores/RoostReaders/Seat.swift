import RoostModel

/// Which standby a reader follows. It changes slowly: each change breaks a stream, and the log that another one has may be a
/// moment behind.
struct Seat: Hashable, Sendable {
    /// What is made of the one that there is.
    enum Use: Hashable, Sendable {
        /// Nothing is taken from it.
        case none
        /// A copy is made of it.
        case copying
        /// It is followed, and nothing comes.
        case dry
        case streaming
    }

    /// One that cannot feed at this moment can mostly do so again a moment later.
    static let patience = Duration.seconds(5)
    /// One that is fit and gives nothing has no place left, or is not reached.
    static let dryMax = Duration.seconds(15)
    /// The same where copies of it come to nothing. The next one is tried 15 s after the last at the latest, and whoever has just come
    /// is not let in yet: so each is asked a second time before it is left, and the next one some time after it was taken.
    static let copyMax = Duration.seconds(20)
    /// The same of one that was taken for being nearer: whoever fed before is there still, and clients have not been sent away.
    static let trialMax = Duration.seconds(5)
    /// A nearer one is there to stay.
    static let nearerMin = Duration.seconds(60)
    /// Who gave nothing is asked again after this, and twice as long each time…
    static let barredMin = Duration.seconds(120)
    /// …up to this.
    static let barredMax = Duration.seconds(3600)

    /// Who has fed for so long is not passed over for what was before.
    static let proofMin = Duration.seconds(600)

    private struct Bar: Hashable, Sendable {
        var until: Moment
        var length: Duration
    }

    private(set) var member: MemberName?
    private var unfitSince: Moment?
    /// Since when it was asked for something and gave nothing, copies that came to nothing among it.
    private var drySince: Moment?
    private var nearer: MemberName?
    private var nearerSince = Moment.zero
    /// Another one was left for it, which gave.
    private var isOnTrial = false
    /// Since when it has given all the time.
    private var streamsSince: Moment?
    private var barred: [MemberName: Bar] = [:]

    /// A copy, or what takes the data back, has come to nothing; or there is one now.
    mutating func noteCopy(isThere: Bool, _ now: Moment) { drySince = isThere ? nil : drySince ?? now }

    /// - Parameters:
    ///   - standbys: of the rule; no other can be followed, whatever it has.
    ///   - fit: those of them that could feed a reader now, the nearest first.
    mutating func look(_ standbys: [MemberName], fit: [MemberName], use: Use, _ now: Moment) {
        let open = fit.filter { barred[$0].map { now >= $0.until } ?? true }
        guard let present = member, standbys.contains(present) else { return move(to: open.first ?? fit.first) }
        guard fit.contains(present) else {
            let since = unfitSince ?? now
            (unfitSince, streamsSince) = (since, nil)
            if let other = open.first ?? fit.first, use == .none || now - since >= Self.patience { move(to: other) }
            return
        }
        unfitSince = nil
        if use != .streaming { streamsSince = nil }
        switch use {
        case .copying: break
        case .none, .dry:
            if use == .dry { drySince = drySince ?? now }
            let most = use == .none ? Self.copyMax : isOnTrial ? Self.trialMax : Self.dryMax
            guard let drySince, now - drySince >= most else { return }
            bar(present, now)
            let other = open.first { $0 != present } ?? fit.first { $0 != present }
            move(to: other ?? present)
        case .streaming:
            (drySince, isOnTrial) = (nil, false)
            let since = streamsSince ?? now
            streamsSince = since
            if now - since >= Self.proofMin { barred[present] = nil }
            goNearer(than: present, fit, open, now)
        }
    }

    private mutating func bar(_ member: MemberName, _ now: Moment) {
        let length = min(barred[member].map { $0.length * 2 } ?? Self.barredMin, Self.barredMax)
        barred[member] = Bar(until: now + length, length: length)
    }

    private mutating func goNearer(than present: MemberName, _ fit: [MemberName], _ open: [MemberName], _ now: Moment) {
        let own = fit.firstIndex(of: present) ?? fit.count
        guard let best = open.first, let place = fit.firstIndex(of: best), place < own else {
            nearer = nil
            return
        }
        if nearer != best { (nearer, nearerSince) = (best, now) }
        guard now - nearerSince >= Self.nearerMin else { return }
        move(to: best)
        isOnTrial = true
    }

    private mutating func move(to other: MemberName?) {
        (member, unfitSince, drySince, nearer, isOnTrial, streamsSince) = (other, nil, nil, nil, false, nil)
    }
}
