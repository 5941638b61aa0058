public import RoostModel

/// Which readers a standby feeds, of those that say that they follow it.
public struct FedReaders: Sendable {
    /// One that says that it follows this standby.
    public struct Call: Hashable, Sendable {
        public var member: MemberName
        /// Of its last report.
        public var sequence: UInt64?
        /// It awaits or follows the epoch in which this standby follows.
        public var isOfEpoch: Bool
        public var need: Need

        public init(member: MemberName, sequence: UInt64?, isOfEpoch: Bool, need: Need) {
            self.member = member
            self.sequence = sequence
            self.isOfEpoch = isOfEpoch
            self.need = need
        }
    }

    /// What it needs of this standby.
    public enum Need: Hashable, Sendable {
        /// It has data, and goes on with a stream.
        case stream
        /// It has none, and makes no copy now.
        case copy
        /// It copies, or takes what it has copied. Its disk may be long at it when there is nothing more to be read.
        case restOfCopy
    }

    /// A place that one has.
    private struct Place: Hashable, Sendable {
        /// It has been read from since.
        var isUsed = false
        /// When it was last of use, or given.
        var busyAt: Moment
    }

    /// Who says nothing new for so long, and does not stream, has no place. They report every 3 s.
    public static let silenceMax = Duration.seconds(10)
    /// A copy takes two of Postgres's places for whoever replicates, and its supervisor must not be left without any.
    public static let copiesMax = 1

    /// Who has a place and makes nothing of it goes behind the others. A copy begins with a checkpoint.
    public static let idleMax = Duration.seconds(60)

    private var heard: [MemberName: (sequence: UInt64?, at: Moment)] = [:]
    private var places: [MemberName: Place] = [:]
    /// Who had a turn that came to nothing, the last one last.
    private var behind: [MemberName] = []

    public init() {}

    /// In the order in which they came.
    public static func calls(
        for standby: MemberName, in epoch: Epoch, _ spec: ClusterSpec, _ reports: [MemberReport]
    ) -> [Call] {
        (spec.readers ?? []).compactMap { reader in
            guard let report = reports.first(where: { $0.member == reader.name }), report.upstream == standby else {
                return nil
            }
            return Call(
                member: reader.name, sequence: report.sequence, isOfEpoch: report.promised == epoch,
                need: report.state == .cloning ? .restOfCopy : report.data == .whole ? .stream : .copy)
        }
    }

    /// Who streams stays, whoever else would like to: no newcomer puts one out that serves, and a store that is away ends none. So
    /// does who has made use of its place, for a while: a stream that begins anew is none for a moment, and a copy's end is read
    /// long before it is whole. All others take turns.
    ///
    /// - Parameter streaming: who reads from its slot now, be it for a copy.
    public mutating func choose(_ calls: [Call], streaming: Set<MemberName>, _ now: Moment) -> [MemberName] {
        heard = heard.filter { known in calls.contains { $0.member == known.key } }
        for call in calls where heard[call.member]?.sequence != call.sequence || heard[call.member] == nil {
            heard[call.member] = (call.sequence, now)
        }
        let alive = calls.filter { call in
            let age = heard[call.member].map { now - $0.at } ?? .zero
            return streaming.contains(call.member) || call.isOfEpoch && age < Self.silenceMax
        }
        for call in alive { note(call, isRead: streaming.contains(call.member), now) }
        behind.removeAll { member in !alive.contains { $0.member == member } }
        func rank(_ member: MemberName) -> Int {
            if streaming.contains(member) { return 0 }
            if places[member]?.isUsed == true { return 1 }
            return 2 + (behind.firstIndex(of: member).map { $0 + 1 } ?? 0)
        }
        let order = alive.enumerated().sorted { one, other in
            (rank(one.element.member), one.offset) < (rank(other.element.member), other.offset)
        }
        var chosen: [MemberName] = []
        var copies = 0
        for call in order.map(\.element) {
            let isCopy = call.need != .stream
            guard chosen.count < ClusterSpec.readersEachMax, !isCopy || copies < Self.copiesMax else { continue }
            if isCopy { copies += 1 }
            chosen.append(call.member)
        }
        places = places.filter { chosen.contains($0.key) }
        for member in chosen where places[member] == nil { places[member] = Place(busyAt: now) }
        return chosen
    }

    /// What one has made of its place, if it has one.
    private mutating func note(_ call: Call, isRead: Bool, _ now: Moment) {
        guard var place = places[call.member] else { return }
        if isRead {
            place.isUsed = true
            behind.removeAll { $0 == call.member }
        }
        if isRead || place.isUsed && call.need == .restOfCopy { place.busyAt = now }
        // Its copy has come to nothing.
        let isInVain = place.isUsed && !isRead && call.need == .copy
        if isInVain || now - place.busyAt >= Self.idleMax {
            places[call.member] = nil
            behind = behind.filter { $0 != call.member } + [call.member]
        } else {
            places[call.member] = place
        }
    }
}
