import RoostModel
import RoostRouting

/// What the client says, and when it ends.
extension SessionCore {
    mutating func clientSaid(_ bytes: [UInt8]) {
        switch phase {
        case .opening(var opening):
            do {
                let request = try opening.reader.read(bytes)
                phase = .opening(opening)
                if let request { answer(request, opening) }
            } catch {
                refuse(error.response)
            }
        case .joining(var search):
            if keep(bytes, for: &search) { phase = .joining(search) }
        case .queueing(var search):
            if keep(bytes, for: &search) { phase = .queueing(search) }
        case .held(var search, let ticket):
            if keep(bytes, for: &search) { phase = .held(search, ticket) }
        case .placing(var search):
            if keep(bytes, for: &search) { phase = .placing(search) }
        case .choosing(var search):
            if keep(bytes, for: &search) { phase = .choosing(search) }
        case .connecting(var search, let attempt):
            if keep(bytes, for: &search) { phase = .connecting(search, attempt) }
        case .login(var search, let attempt, let login):
            // The member has what came before it.
            guard keep(bytes, for: &search) else { return }
            phase = .login(search, attempt, login)
            actions.append(.sendBackend(bytes))
        case .authenticating, .relaying:
            actions.append(.sendBackend(bytes))
        case .cancelling, .farewell, .lingering, .closed:
            return
        }
    }

    /// A client may say more than its startup packet before anybody has answered: it is the member's.
    private mutating func keep(_ bytes: [UInt8], for search: inout Search) -> Bool {
        guard search.startup.count + bytes.count <= limits.earlyBytesMax else {
            refuse(ErrorResponse(.protocolViolation, "too many bytes before the login was answered"))
            return false
        }
        search.startup += bytes
        return true
    }

    private mutating func answer(_ request: StartupReader.Request, _ opening: Opening) {
        switch request {
        case .tls:
            guard let identity = route?.encryption.identity else { return actions.append(.send([UInt8(ascii: "N")])) }
            actions.append(.send([UInt8(ascii: "S")]))
            beginTLS(identity, opening, early: [])
        case .gssEncryption:
            actions.append(.send([UInt8(ascii: "N")]))
        case .directTLS:
            // Without a certificate there is no way to answer that the client would understand.
            guard let identity = route?.encryption.identity else { return finish() }
            var opening = opening
            opening.mustNegotiate = true
            beginTLS(identity, opening, early: opening.reader.remainder)
        case .cancel(let request):
            guard let route, route.allows(client) else { return finish() }
            enter(.cancelling, until: now + limits.cancelTime)
            actions.append(.cancel(request, at: route.app, targets: route.cancelTargets(for: access)))
        case .startup(let message):
            seek(message, early: opening.reader.remainder, isTLS: opening.isTLS)
        }
    }

    private mutating func beginTLS(_ identity: TLSIdentity, _ opening: Opening, early: [UInt8]) {
        var opening = opening
        opening.reader.beganTLS()
        opening.isTLS = true
        phase = .opening(opening)
        actions.append(.note(.encrypted))
        actions.append(.beginTLS(identity, early: early))
    }

    mutating func tlsBegan(_ name: String?) {
        guard case .opening(let opening) = phase, opening.mustNegotiate, name != ErrorResponse.protocolName else {
            return
        }
        refuse(
            ErrorResponse(
                .protocolViolation,
                "received direct SSL connection request without ALPN protocol negotiation extension"))
    }

    private mutating func seek(_ message: StartupMessage, early: [UInt8], isTLS: Bool) {
        guard let route else { return refuse(.nothing(at: address)) }
        switch route.encryption {
        case .unusable: return refuse(.certificateUnusable(route.app))
        case .required where !isTLS: return refuse(.encryptionRequired(route.app))
        case .none, .optional, .required: break
        }
        guard route.allows(client) else { return refuse(.notAllowed(client, route.app)) }
        // No role of a client may replicate, but Postgres would find that out only after it has given a walsender away:
        // one of the few that the cluster's own members and their supervisors need.
        guard !message.asksForReplication else { return refuse(.noReplication(route.app)) }
        guard !message.users.isEmpty, !message.users.contains("") else { return refuse(.noUser()) }
        // From an edge no member ever lets these in. It says so as one does whose gate is closed for now (28000), and the
        // client would be held for the next one that opens.
        if let own = message.users.first(where: { [PostgresNames.supervisor, PostgresNames.replicator].contains($0) }) {
            return refuse(.ownRole(own, route.app))
        }
        let search = Search(app: route.app, startup: message.bytes + early, deadline: now + limits.waitMax)
        enter(.joining(search), until: nil)
        actions.append(.join(route.app))
    }

    /// The client ends its side: it has said all, or it is gone.
    mutating func clientSaidAll() {
        switch phase {
        case .authenticating, .relaying:
            // What it asked for may still be on its way.
            clientHasEnded = true
            actions.append(.finishBackend)
        case .farewell:
            phase = .farewell(clientHasEnded: true)
        case .opening, .joining, .queueing, .held, .placing, .choosing, .connecting, .login, .cancelling, .lingering,
            .closed:
            finish()
        }
    }

    mutating func cancelHandled() {
        // The client takes the end of its connection for "the request was handled".
        guard case .cancelling = phase else { return }
        finish()
    }

    mutating func turnedAway(_ refusal: Admission.Refusal) {
        switch phase {
        case .opening: refuse(refusal.response(for: nil))
        case .joining(let search): refuse(refusal.response(for: search.app))
        case .queueing, .held, .placing, .choosing, .connecting, .login, .authenticating, .relaying, .cancelling,
            .farewell, .lingering, .closed:
            return
        }
    }
}
