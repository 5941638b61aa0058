import RoostLab
import RoostModel

/// What is done to a primary while a client writes.
enum GapFault: String, CaseIterable, Sendable {
    /// Its Postgres is killed, its supervisor lives.
    case crash
    /// Its host loses power.
    case loss
    /// Its host stands still, and its connections stay open.
    case freeze
    /// Its region is cut off from all others.
    case cut
    /// Somebody asks for another primary.
    case switchover

    var title: String {
        switch self {
        case .crash: "Postgres killed"
        case .loss: "primary's host killed"
        case .freeze: "primary's host frozen"
        case .cut: "primary's region cut off"
        case .switchover: "switchover"
        }
    }

    /// Milliseconds that writes may stand still: in the middle of all rounds, and at worst.
    var goals: (median: Double, worst: Double?) {
        switch self {
        case .crash: (1000, 1500)
        case .loss, .freeze: (2000, 3000)
        case .cut: (3000, nil)
        case .switchover: (500, nil)
        }
    }

    /// After a crash the primary may stay where it was.
    var movesPrimary: Bool { self != .crash }

    /// Which of a member's lines tells of its steps.
    var steps: StepLines.Kind {
        switch self {
        case .crash: .restart
        case .loss, .freeze, .cut, .switchover: .failover
        }
    }

    func inject(_ planet: LabPlanet, primary host: LabHost, of subject: any GapSubject) async throws {
        switch self {
        case .crash: try await subject.crash(on: host)
        case .loss: try await planet.killHost(host.name.text)
        case .freeze: try await planet.freezeHost(host.name.text)
        case .cut:
            for other in Self.others(planet, than: host) { try await planet.cut(host.region.text, other) }
        case .switchover: try await subject.switchOver()
        }
    }

    func heal(_ planet: LabPlanet, _ host: LabHost) async throws {
        switch self {
        case .crash, .switchover: break
        case .loss: try await planet.startHost(host.name.text)
        case .freeze: try await planet.thawHost(host.name.text)
        case .cut:
            for other in Self.others(planet, than: host) { try await planet.heal(host.region.text, other) }
        }
    }

    private static func others(_ planet: LabPlanet, than host: LabHost) -> [String] {
        planet.plan.shape.regions.filter { $0 != host.region }.map(\.text)
    }
}
