internal import RoostFailover

// A computer on which all is slow: every member's processes wait for a core, and every disk for its turn. Nothing is cut and
// nothing dies.
extension ClusterSimulation {
    private static let startMax = 30 * second

    var isLoaded: Bool { time < loadUntil }

    func load(for long: Int) {
        let isNew = !isLoaded
        loadUntil = max(loadUntil, time + long)
        guard isNew else { return }
        for member in members.indices { schedule(.stall(member), after: random.pick(1, 2000) * Self.millisecond) }
    }

    /// A supervisor waits for a core; its Postgres goes on, and is no quicker.
    func stall(_ member: Int) {
        guard isLoaded else { return }
        let long = random.pick(50, random.chance(20) ? 1200 : 400) * Self.millisecond
        if members[member].core != nil {
            members[member].supervisorFrozenUntil = max(members[member].supervisorFrozenUntil, time + long)
            schedule(.thaw(member), after: long)
        }
        schedule(.stall(member), after: long + random.pick(100, 3000) * Self.millisecond)
    }

    /// Starts, rewinds, copies, all of it.
    func loaded(operation duration: Int) -> Int {
        isLoaded ? min(duration * random.pick(5, 30), Self.startMax) : duration
    }

    func loaded(flush duration: Int) -> Int { isLoaded ? duration * random.pick(20, 300) : duration }

    func loaded(request way: Int) -> Int { isLoaded ? way + random.pick(0, 400) * Self.millisecond : way }

    /// An answer of Postgres does not come in time.
    var isLateAnswer: Bool { isLoaded && random.chance(20) }

    /// A connection for a stream is not made in time, almost ever.
    var isLateConnection: Bool { isLoaded && random.chance(97) }

    /// For this message sender and receiver wait so long for each other that they give up (`wal_sender_timeout`).
    func breaksOff(_ member: Int, _ stream: SimulatedStream) -> Bool {
        guard isLoaded, random.chance(3) else { return false }
        members[member].postgres.stream = nil
        if members[stream.leader].postgres.life == stream.leaderLife {
            members[stream.leader].postgres.peers[member].isStreaming = false
        }
        return true
    }

    /// Until a member's Postgres is asked again, or connects again.
    func pause(_ least: Int, _ most: Int) -> Int { random.pick(least, most) * Self.millisecond * (isLoaded ? 8 : 1) }
}
