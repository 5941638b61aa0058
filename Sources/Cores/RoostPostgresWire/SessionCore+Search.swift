import RoostModel
import RoostRouting

/// The way to a member: through the queue, with a place for the login, from one candidate to the next.
extension SessionCore {
    mutating func joined() {
        guard case .joining(let search) = phase else { return }
        let isOpen = !(route?.candidates(for: access, within: limits.replicas) ?? []).isEmpty
        enter(.queueing(search), until: nil)
        actions.append(.enqueue(door(of: search.app), isOpen: isOpen))
    }

    mutating func decided(_ decision: HoldQueue.Decision) {
        guard case .queueing(var search) = phase else { return }
        switch decision {
        case .attempt:
            seekPlace(search)
        case .wait(let ticket):
            if search.ticket == nil { actions.append(.note(.held)) }
            search.ticket = ticket
            search.tried = []
            enter(.held(search, ticket), until: ticket.deadline)
            actions.append(.retryLater(door(of: search.app)))
        case .refuse(let refusal):
            // The queue has let go of the ticket.
            search.ticket = nil
            phase = .queueing(search)
            refuse(response(to: refusal, search))
        }
    }

    mutating func called() {
        guard case .held(let search, _) = phase else { return }
        seekPlace(search)
    }

    private mutating func seekPlace(_ search: Search) {
        enter(.placing(search), until: max(search.deadline, search.ticket?.deadline ?? search.deadline))
        actions.append(.askPlace(search.app))
    }

    mutating func placed() {
        guard case .placing(let search) = phase else { return }
        tryNext(search)
    }

    mutating func placesCrowded(ofSource: Bool) {
        guard case .placing(let search) = phase else { return }
        // It does not even wait for one: there is nothing to leave but the queue.
        phase = .queueing(search)
        refuse(ofSource ? .sourceCrowded(search.app) : .loginsCrowded(search.app))
    }

    /// With a place for the login in hand.
    mutating func tryNext(_ search: Search) {
        enter(.choosing(search), until: nil)
        guard let route, route.app == search.app else { return refuse(.nothing(at: address)) }
        let candidates = route.candidates(for: access, within: limits.replicas)
            .filter { !search.tried.contains($0.member) }
        guard !candidates.isEmpty else { return giveUpRound(search) }
        actions.append(.pick(candidates))
    }

    /// Nobody is left to try: back into the queue.
    mutating func giveUpRound(_ search: Search) {
        actions.append(.returnPlace(search.app))
        enter(.queueing(search), until: nil)
        actions.append(.enqueueAgain(door(of: search.app), search.ticket))
    }

    mutating func picked(_ backend: Backend) {
        guard case .choosing(let search) = phase else { return }
        guard let route else { return refuse(.nothing(at: address)) }
        // While it waited the list may have become another.
        guard route.allows(client) else { return refuse(.notAllowed(client, route.app)) }
        attempts += 1
        let attempt = Attempt(
            number: attempts, backend: backend,
            standing: SessionStanding(access: access, backend: backend, under: route))
        enter(.connecting(search, attempt), until: now + limits.connectTime)
        actions.append(.connect(backend, attempt: attempt.number))
    }

    func response(to refusal: HoldQueue.Refusal, _ search: Search) -> ErrorResponse {
        switch refusal {
        case .crowded: .queueCrowded(search.app)
        case .sourceCrowded: .sourceCrowded(search.app)
        case .waitedTooLong: .waitedTooLong(search.app, limits.waitMax, search.shortage)
        }
    }

    /// The deadline of the phase has passed.
    mutating func deadlinePassed() {
        guard let deadline, now >= deadline else { return }
        switch phase {
        case .opening, .cancelling, .farewell, .lingering:
            finish()
        case .held(let search, _):
            refuse(response(to: .waitedTooLong, search))
        case .placing(let search):
            refuse(.loginsCrowded(search.app))
        case .connecting(let search, let attempt):
            actions.append(.note(.silent(attempt.backend)))
            attemptFailed(search, attempt, .unreachable)
        case .login(_, let attempt, let login):
            actions.append(.note(.silent(attempt.backend)))
            judge(login.ended(.timedOut))
        case .authenticating(_, let login, _):
            judge(login.ended(.timedOut))
        case .joining, .queueing, .choosing, .relaying, .closed:
            return
        }
    }
}
