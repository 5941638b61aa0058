import RoostAPI
import RoostControl
import RoostHost
import RoostModel

/// Takes a call to the host that has what it is about.
extension PlanetView {
    /// Passes a user's call on, unchanged, unless it was passed on already.
    func pass(
        _ call: APICall, on owner: HostName, timeout: Duration = PeerQuestion.timeoutDefault
    ) async throws(Refusal) -> Answer {
        if let from = call.forwardedBy {
            throw Refusal(
                .unavailable, "host \(from) believes that this is on host \(host), which does not have it; try again")
        }
        try await reachability.expect(owner)
        let target = call.path + (call.queryText.map { "?\($0)" } ?? "")
        let origin = if case .user(let origin) = call.caller { origin } else { call.caller.description }
        let reply = try await peers.ask(
            PeerQuestion(
                call.method.rawValue, target, body: call.body.isEmpty ? nil : call.body, timeout: timeout,
                onBehalfOf: origin),
            of: owner)
        return Answer(
            status: reply.status, contentType: reply.contentType ?? "application/octet-stream",
            body: .bytes(reply.body))
    }

    /// Answers here if this host has the machine (and it belongs to the app of the path), else passes the call on.
    func onOwnerOfMachine(
        _ call: APICall, timeout: Duration = PeerQuestion.timeoutDefault,
        _ answer: (MachineID) async throws -> Answer
    ) async throws -> Answer {
        let app: AppName = try call.id("app")
        let id: MachineID = try call.id("machine")
        let owner: HostName
        do throws(Refusal) { owner = call.forwardedBy == nil ? try await self.owner(of: id) : host } catch {
            throw await cause(of: error, in: app)
        }
        guard owner == host else { return try await pass(call, on: owner, timeout: timeout) }
        let record = await agent.machine(id)?.record
        guard record?.app == app else {
            throw await cause(of: .absence(of: "machine \(id)", from: app, butOf: record?.app), in: app)
        }
        return try await answer(id)
    }

    /// The same for a volume.
    func onOwnerOfVolume(
        _ call: APICall, _ answer: (VolumeRecord) async throws -> Answer
    ) async throws -> Answer {
        let app: AppName = try call.id("app")
        let id: VolumeID = try call.id("volume")
        let owner: HostName
        do throws(Refusal) { owner = call.forwardedBy == nil ? try await self.owner(of: id) : host } catch {
            throw await cause(of: error, in: app)
        }
        guard owner == host else { return try await pass(call, on: owner) }
        let found = await agent.volume(id)
        guard let volume = found, volume.app == app else {
            throw await cause(of: .absence(of: "volume \(id)", from: app, butOf: found?.app), in: app)
        }
        return try await answer(volume)
    }

    /// What is not found in an app that there is not is missing for that reason.
    private func cause(of absence: Refusal, in name: AppName) async -> Refusal {
        guard absence.code == .notFound else { return absence }
        do throws(Refusal) { _ = try await app(name) } catch { if error.code == .notFound { return error } }
        return absence
    }
}

extension Refusal {
    /// The host that has what was asked for did not answer: what is known of it elsewhere may be told.
    var isOfAnotherHost: Bool { code == .unavailable || code == .outcomeUnknown }
}
