import RoostModel
import RoostRouting

/// What the member says, and whether the session may stay with it.
extension SessionCore {
    mutating func backendConnected(_ number: Int) {
        guard case .connecting(let search, let attempt) = phase, attempt.number == number else { return }
        enter(.login(search, attempt, BackendLogin(access: access)), until: now + limits.firstReplyTime)
        actions.append(.sendBackend(search.startup))
    }

    mutating func backendFailed(_ number: Int, _ failure: ConnectFailure) {
        guard case .connecting(var search, let attempt) = phase, attempt.number == number else { return }
        switch failure {
        case .unreachable:
            attemptFailed(search, attempt, .unreachable)
        case .short(let shortage):
            // The next member would not be reached either. Waiting helps: what is out comes back.
            search.shortage = shortage
            actions.append(.note(.short(shortage)))
            actions.append(.closeBackend)
            giveUpRound(search)
        }
    }

    mutating func backendSaid(_ number: Int, _ bytes: [UInt8]) {
        guard let attempt, attempt.number == number else { return }
        switch phase {
        case .login(let search, let attempt, var login):
            let isFirst = !login.hasRead
            let verdict = login.read(bytes)
            phase = .login(search, attempt, login)
            if isFirst { actions.append(.note(.answered(attempt.backend))) }
            judge(verdict)
        case .authenticating(let attempt, var login, let app):
            let verdict = login.read(bytes)
            phase = .authenticating(attempt, login, app)
            judge(verdict)
        case .relaying:
            actions.append(.send(bytes))
        case .opening, .joining, .queueing, .held, .placing, .choosing, .connecting, .cancelling, .farewell,
            .lingering, .closed:
            return
        }
    }

    mutating func backendEnded(_ number: Int) {
        guard let attempt, attempt.number == number else { return }
        switch phase {
        case .connecting(let search, let attempt):
            attemptFailed(search, attempt, .unreachable)
        case .login(_, _, let login), .authenticating(_, let login, _):
            judge(login.ended(.lost))
        case .relaying:
            // A member ends both directions at once; there is nobody left to read what the client says.
            sayFarewell([])
        case .opening, .joining, .queueing, .held, .placing, .choosing, .cancelling, .farewell, .lingering, .closed:
            return
        }
    }

    /// In login or authenticating.
    mutating func judge(_ verdict: BackendLogin.Verdict) {
        switch verdict {
        case .more:
            return
        case .pass(let bytes):
            actions.append(.send(bytes))
            show()
        case .relay(let bytes):
            actions.append(.send(bytes))
            show()
            guard case .authenticating(let attempt, let login, let app) = phase else { return }
            actions.append(.returnPlace(app))
            actions.append(.relayBackend)
            actions.append(.note(.established(attempt.backend, isIn: login.isAuthenticated)))
            enter(.relaying(attempt, app), until: nil)
        case .retry(let reason):
            guard case .login(let search, let attempt, _) = phase else { return }
            attemptFailed(search, attempt, reason)
        case .refuse(.timedOut):
            refuse(.loginTooSlow(limits.loginTime))
        case .refuse(let reason):
            refuse(.memberLost(reason))
        }
    }

    /// The client sees the first of this member's answer: there is no way back, and what the client says now is the
    /// member's.
    private mutating func show() {
        guard case .login(let search, let attempt, let login) = phase else { return }
        enter(.authenticating(attempt, login, search.app), until: now + limits.loginTime)
        actions.append(.reached(door(of: search.app), search.ticket))
        actions.append(.relayClient)
    }

    mutating func attemptFailed(_ search: Search, _ attempt: Attempt, _ reason: BackendLogin.Unfit) {
        actions.append(.note(.attemptFailed(attempt.backend, reason)))
        actions.append(.closeBackend)
        var search = search
        search.tried.insert(attempt.backend.member)
        search.shortage = nil
        tryNext(search)
    }

    // MARK: - Whether it may stay

    /// The cluster's route changed, or time has passed for a session at a replica that is behind.
    mutating func review() {
        switch phase {
        case .held(let search, _), .placing(let search):
            guard let route, route.app == search.app else { return refuse(.nothing(at: address)) }
            if !route.allows(client) { refuse(.notAllowed(client, route.app)) }
        case .connecting(let search, var attempt):
            let reason = reasonToCut(&attempt, search.app)
            phase = .connecting(search, attempt)
            if reason != nil { attemptFailed(search, attempt, .deposed) }
        case .login(let search, var attempt, let login):
            let reason = reasonToCut(&attempt, search.app)
            phase = .login(search, attempt, login)
            if reason != nil { judge(login.ended(.deposed)) }
        case .authenticating(var attempt, let login, let app):
            let reason = reasonToCut(&attempt, app)
            phase = .authenticating(attempt, login, app)
            if reason != nil { judge(login.ended(.deposed)) }
        case .relaying(var attempt, let app):
            let reason = reasonToCut(&attempt, app)
            phase = .relaying(attempt, app)
            guard let reason else { return }
            // Somewhere in the middle of a stream: an error put in here could land inside another message.
            actions.append(.note(.cut(reason)))
            finish()
        case .opening, .joining, .queueing, .choosing, .cancelling, .farewell, .lingering, .closed:
            return
        }
    }

    private func reasonToCut(_ attempt: inout Attempt, _ app: AppName) -> SessionStanding.Reason? {
        let route = route?.app == app ? route : nil
        switch attempt.standing.review(route, limits: limits.replicas, now: now) {
        case .keep: return nil
        case .cut(let reason): return reason
        }
    }
}
