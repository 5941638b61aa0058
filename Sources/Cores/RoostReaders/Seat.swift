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
    /// A nearer one is there to stay.
    static let nearerMin = Duration.seconds(60)

    private(set) var member: MemberName?
    private var unfitSince: Moment?
    private var drySince: Moment?
    private var nearer: MemberName?
    private var nearerSince = Moment.zero

    /// - Parameters:
    ///   - standbys: of the rule; no other can be followed, whatever it has.
    ///   - fit: those of them that could feed a reader now, the nearest first.
    mutating func look(_ standbys: [MemberName], fit: [MemberName], use: Use, _ now: Moment) {
        guard let present = member, standbys.contains(present) else { return move(to: fit.first) }
        guard fit.contains(present) else {
            let since = unfitSince ?? now
            unfitSince = since
            if let other = fit.first, use == .none || now - since >= Self.patience { move(to: other) }
            return
        }
        unfitSince = nil
        switch use {
        case .none, .copying: drySince = nil
        case .dry:
            let since = drySince ?? now
            drySince = since
            if now - since >= Self.dryMax, let index = fit.firstIndex(of: present) {
                move(to: fit[(index + 1) % fit.count])
                // The same one, where there is no other: for another while.
                drySince = now
            }
        case .streaming:
            drySince = nil
            goNearer(than: present, fit, now)
        }
    }

    private mutating func goNearer(than present: MemberName, _ fit: [MemberName], _ now: Moment) {
        guard let best = fit.first, best != present else {
            nearer = nil
            return
        }
        if nearer != best { (nearer, nearerSince) = (best, now) }
        if now - nearerSince >= Self.nearerMin { move(to: best) }
    }

    private mutating func move(to other: MemberName?) {
        self = Seat()
        member = other
    }
}
