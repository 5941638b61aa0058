import RoostFailover
import RoostModel
import RoostReaders
import RoostWire

/// Who decides in this process: a member's core, or a reader's.
enum Decider: Sendable {
    case member(FailoverMember)
    case reader(Reader)

    init(_ name: MemberName, _ state: DurableState, isReader: Bool, timings: FailoverTimings, now: Moment) {
        self =
            isReader
            ? .reader(Reader(name: name, state: state, timings: timings, now: now))
            : .member(FailoverMember(name: name, state: state, timings: timings, now: now))
    }

    mutating func receive(_ entry: EventQueue.Entry, now: Moment) -> [FailoverAction] {
        switch self {
        case .member(var core):
            defer { self = .member(core) }
            return core.receive(entry.event, now: now)
        case .reader(var reader):
            defer { self = .reader(reader) }
            reader.sampledAt = entry.seat
            return reader.receive(entry.event, now: now)
        }
    }

    /// What the shell knows, and a core goes by.
    mutating func note(lacksRoomToStart: Bool, _ view: ClusterView) {
        switch self {
        case .member(var core):
            core.lacksRoomToStart = lacksRoomToStart
            self = .member(core)
        case .reader(var reader):
            reader.lacksRoomToStart = lacksRoomToStart
            reader.nearest = view.membersByDistance
            self = .reader(reader)
        }
    }

    var status: FailoverStatus {
        switch self {
        case .member(let core): core.status
        case .reader(let reader): reader.status
        }
    }

    var wakeAt: Moment {
        switch self {
        case .member(let core): core.wakeAt
        case .reader(let reader): reader.wakeAt
        }
    }

    var state: DurableState {
        switch self {
        case .member(let core): core.state
        case .reader(let reader): reader.state
        }
    }

    /// Whom a reader follows. Nil of a member, which is told with each operation.
    var seat: ReaderSeat? {
        switch self {
        case .member: nil
        case .reader(let reader): reader.seat
        }
    }
}

extension ClusterView {
    /// It reads only.
    var isReader: Bool { spec.isReader(member) }

    /// The members, the nearest first to the one that asks: those of its region, then as its host measures regions.
    var membersByDistance: [MemberName] {
        let own = spec.everybody.first { $0.name == member }?.region
        let order = [own].compactMap(\.self) + (nearRegions ?? [])
        func rank(_ region: RegionCode) -> Int { order.firstIndex(of: region) ?? order.count }
        return spec.members.enumerated()
            .sorted { (rank($0.element.region), $0.offset) < (rank($1.element.region), $1.offset) }
            .map(\.element.name)
    }
}
