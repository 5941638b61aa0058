import RoostControl
import RoostModel
import RoostPlanet
import RoostRecords
import RoostStore
import RoostWire

/// What a host says of clusters when it is asked. Of those that it does not follow, it asks a host that does: only who
/// hears a cluster all the time knows since when a member is silent.
struct ClusterInquiry: Sendable {
    let view: PlanetView
    let clusters: ClusterDirectory
    let hearing: ClusterHearing

    static let path = "/v1/internal/postgres"
    /// How long a host that is asked may take.
    static let questionMax = Duration.seconds(2)
    /// Hosts that are asked for one answer.
    static let askedMax = 64
    /// Of one cluster, where the first answer counts: a host that has just died keeps nobody waiting.
    static let askedAtOnceMax = 8

    private var watcher: PlanetWatcher { view.watcher }

    // MARK: - One cluster

    /// After a change of its pause, which this host's copy and others' may not have yet.
    func bodyWithPause(of name: AppName) async throws(Refusal) -> ClusterBody {
        try await afterChange { () throws(Refusal) in
            let voices = await termVoices(of: name)
            let stored = try await clusters.read(name)
            let pause = stored.clusters[name]?.rule.flatMap { ClusterStatus.pause(of: $0, hearing: voices) }
            return ClusterStatus.body(try await body(of: name), paused: pause)
        }
    }

    /// After a change of its rule that was written.
    func bodyAfterChange(of name: AppName) async throws(Refusal) -> ClusterBody {
        try await afterChange { () throws(Refusal) in try await body(of: name) }
    }

    /// Who hears that the store does not answer holds it for not done, and does it again.
    private func afterChange(
        _ look: () async throws(Refusal) -> ClusterBody
    ) async throws(Refusal) -> ClusterBody {
        do throws(Refusal) { return try await look() } catch {
            throw Refusal(
                .outcomeUnknown, "the change is written; what became of it is not known: \(error.afterChange)")
        }
    }

    func body(of name: AppName) async throws(Refusal) -> ClusterBody {
        if let body = heard(name) { return body.with(await credentials(of: name)) }
        let stored: Planet
        do throws(Refusal) { stored = try await clusters.read(name) } catch {
            // The store does not answer: what others hear, or what was heard last.
            let told = await others(hearing: name)
            let secrets = watcher.read { $0.clusters[name]?.secrets }
            if let told, told.status != .unheard { return told.with(secrets) }
            if let body = ClusterStatus.body(of: name, in: watcher.planet, lostBy: view.host) {
                return body.with(secrets)
            }
            if let told { return told.with(secrets) }
            throw error
        }
        guard let records = stored.clusters[name], let spec = records.spec else {
            throw Refusal(.notFound, "Postgres cluster \(name) not found")
        }
        let body =
            if records.rule == nil || spec.isDestroying {
                ClusterStatus.body(of: name, in: stored, beside: watcher.planet)
            } else if let told = await others(hearing: name) {
                told
            } else {
                ClusterStatus.body(of: name, in: stored, beside: watcher.planet)?.unheard
            }
        guard var body else { throw Refusal(.notFound, "Postgres cluster \(name) not found") }
        // Hosts of a version before do not tell it.
        body.allow = ClusterStatus.allow(spec)
        return body.with(records.secrets)
    }

    /// After a change that was written. It was made, whatever can be said of the cluster now: whoever was told that the store
    /// does not answer would hold it for not done.
    func body(after spec: ClusterSpec, isNew: Bool) async throws(Refusal) -> ClusterBody {
        do throws(Refusal) { return try await body(of: spec.name) } catch {
            guard let planet = Planet(knowing: spec), var body = ClusterStatus.body(of: spec.name, in: planet) else {
                throw error
            }
            if !isNew {
                (body.status, body.detail) = (.unheard, "the change is written; since then: \(error.afterChange)")
            }
            return body.with(nil)
        }
    }

    /// Who is heard, as a host says that hears them.
    func voices(of name: AppName) async throws(Refusal) -> ClusterVoices {
        if let own = hearing.voices(of: name) { return own }
        if let told = await othersVoices(of: name) { return told }
        guard try await clusters.read(name).clusters[name]?.spec != nil else {
            throw Refusal(.notFound, "Postgres cluster \(name) not found")
        }
        throw Refusal(.unavailable, "no host that hears the members of \(name) can be asked; try again")
    }

    /// As ``voices(of:)``, for what is left of the terms of wishes. Where nobody who hears it can be asked, nobody has counted.
    func termVoices(of name: AppName) async -> ClusterVoices {
        if let own = hearing.voices(of: name) { return own }
        return await othersVoices(of: name) ?? ClusterVoices()
    }

    private func othersVoices(of name: AppName) async -> ClusterVoices? {
        let hosts = await candidates(for: [name]).prefix(Self.askedAtOnceMax)
        return await withTaskGroup(of: ClusterVoices?.self) { group in
            for host in hosts {
                group.addTask {
                    try? await view.peers.value(
                        ClusterVoices.self, "GET", "\(Self.path)/\(name)/voices", from: host, timeout: Self.questionMax)
                }
            }
            defer { group.cancelAll() }
            for await case let told? in group { return told }
            return nil
        }
    }

    /// From this host's own copy, where it follows the cluster and hears it; without passwords.
    func heard(_ name: AppName) -> ClusterBody? {
        guard let now = hearing.heard(name) else { return nil }
        return ClusterStatus.body(of: name, in: now.planet, silence: now.silence)
    }

    /// As ``heard(_:)``, or, where the store is lost, what was heard last of a cluster that this host follows.
    func heardLast(_ name: AppName) -> ClusterBody? {
        heard(name) ?? ClusterStatus.body(of: name, in: watcher.planet, lostBy: view.host)
    }

    private func others(hearing name: AppName) async -> ClusterBody? {
        let hosts = await candidates(for: [name]).prefix(Self.askedAtOnceMax)
        return await withTaskGroup(of: ClusterBody?.self) { group in
            for host in hosts {
                group.addTask {
                    try? await view.peers.value(
                        ClusterBody.self, "GET", "\(Self.path)/\(name)", from: host, timeout: Self.questionMax)
                }
            }
            var last: ClusterBody?
            for await case let told? in group {
                last = told
                guard told.status == .unheard else { break }
            }
            group.cancelAll()
            return last
        }
    }

    private func credentials(of name: AppName) async -> ClusterSecrets? {
        if let known = watcher.read({ $0.clusters[name]?.secrets }) { return known }
        return (try? await clusters.read(name))?.clusters[name]?.secrets
    }

    // MARK: - All clusters

    /// - Throws: where not even others can say what they heard last of each.
    func bodies() async throws(Refusal) -> [ClusterBody] {
        let planet = watcher.planet
        var bodies: [AppName: ClusterBody] = [:]
        var names = Set(planet.clusters.filter { $0.value.spec != nil }.keys)
        names.formUnion(planet.apps.values.filter { $0.owner == .postgres }.map(\.name))
        for name in names { bodies[name] = heard(name) }
        let needsRecords = bodies.count < names.count
        let stored: Planet?
        var silence: Refusal?
        do throws(Refusal) { stored = try await clusters.readAll(withRecords: needsRecords) } catch {
            (stored, silence) = (nil, error)
        }
        if needsRecords {
            // Of clusters that were made a moment ago the store knows before this host does.
            for (name, records) in stored?.clusters ?? [:] where records.spec != nil { names.insert(name) }
            let others = await told(names.filter { bodies[$0] == nil })
            for name in names where bodies[name] == nil {
                if let stored, stored.clusters[name]?.spec == nil { continue }
                let isNew = stored?.clusters[name].map { $0.rule == nil || $0.spec?.isDestroying == true } ?? false
                let own = stored.flatMap { ClusterStatus.body(of: name, in: $0, beside: planet) }
                bodies[name] =
                    (isNew ? own : others[name] ?? own?.unheard)
                    ?? ClusterStatus.body(of: name, in: planet, lostBy: view.host)
                if let silence, bodies[name] == nil { throw silence }
            }
        }
        return bodies.values.sorted { $0.name < $1.name }.map { body in
            body.with(stored?.clusters[body.name]?.secrets ?? planet.clusters[body.name]?.secrets)
        }
    }

    /// From hosts that hear them: an edge hears all, the others those that have a member there.
    private func told(_ names: Set<AppName>) async -> [AppName: ClusterBody] {
        var told: [AppName: ClusterBody] = [:]
        func ask(_ host: HostName) async -> [ClusterBody] {
            let list = try? await view.peers.value(
                ListClustersBody.self, "GET", Self.path, from: host, timeout: Self.questionMax)
            return list?.clusters ?? []
        }
        let candidates = await candidates(for: names)
        let edges = watcher.read { planet in candidates.filter { planet.hosts[$0]?.isEdge == true } }
        // What is heard now counts more than what was heard last.
        func take(_ bodies: [ClusterBody]) {
            for body in bodies where names.contains(body.name) {
                if body.status != .unheard || told[body.name] == nil { told[body.name] = body }
            }
        }
        var isAllHeard: Bool { names.allSatisfy { told[$0].map { $0.status != .unheard } ?? false } }
        for round in [Array(edges.prefix(Self.askedAtOnceMax)), candidates.filter { !edges.contains($0) }] {
            await withTaskGroup(of: [ClusterBody].self) { group in
                for host in round { group.addTask { await ask(host) } }
                for await bodies in group {
                    take(bodies)
                    if isAllHeard { break }
                }
                group.cancelAll()
            }
            if isAllHeard { break }
        }
        return told
    }

    /// Hosts that can be reached and hear one of the clusters, members' hosts first.
    private func candidates(for names: Set<AppName>) async -> [HostName] {
        let reachable = await view.reachability.hosts().subtracting([view.host])
        return watcher.read { planet in
            var hosts: [HostName] = []
            for name in names.sorted() {
                for machine in planet.machines(of: name) {
                    if let host = planet.host(of: machine.id), !hosts.contains(host) { hosts.append(host) }
                }
            }
            hosts += planet.hosts.values.filter(\.isEdge).map(\.host).sorted().filter { !hosts.contains($0) }
            return Array(hosts.filter(reachable.contains).prefix(Self.askedMax))
        }
    }
}

extension Refusal {
    /// Of a look that followed a change: that nothing was changed is true of the look alone.
    fileprivate var afterChange: String {
        code == .unavailable ? "neither the store nor a host that hears the cluster answers; look again" : message
    }
}

extension Planet {
    /// Of which no more is known than the wish for one cluster.
    fileprivate init?(knowing spec: ClusterSpec) {
        guard let value = try? RecordCodec.write(spec) else { return nil }
        self.init()
        let first = Revision(1)
        let entry = Entry(key: StoreKeys.clusterSpec(spec.name), value: value, created: first, modified: first)
        _ = apply(.listing(Listing(entries: [entry], revision: first)))
    }
}

extension ClusterBody {
    /// With what only those see who ask with the right to. Who is not told it is told that: the cluster may be ready all the
    /// same, and URLs without a password do not look as if they lacked one.
    func with(_ secrets: ClusterSecrets?) -> ClusterBody {
        var body = self
        var missing: [Credential] = []
        if let secrets {
            body.authorityCertificate = secrets.authorityCertificate
            body.writeURL = ClusterStatus.url(writeURL, password: secrets.ownerPassword)
            body.readURL = ClusterStatus.url(readURL, password: secrets.ownerPassword)
        } else {
            missing.append(.password)
        }
        if body.authorityCertificate.isEmpty { missing.append(.authorityCertificate) }
        body.missing = missing.isEmpty ? nil : missing
        return body
    }

    /// Of a cluster that is under way, and of which nobody who hears it can be asked.
    var unheard: ClusterBody {
        var body = self
        let words =
            "no host that hears its members can be asked; what the store says is shown, as if it was \(status.rawValue)"
        body.status = .unheard
        body.detail = [words, detail].compactMap(\.self).joined(separator: "; ")
        return body
    }
}
