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
        /// It has data to go on with: what it needs is a stream, and no copy.
        public var hasData: Bool

        public init(member: MemberName, sequence: UInt64?, isOfEpoch: Bool, hasData: Bool) {
            self.member = member
            self.sequence = sequence
            self.isOfEpoch = isOfEpoch
            self.hasData = hasData
        }
    }

    /// Who says nothing new for so long, and does not stream, has no place. They report every 3 s.
    public static let silenceMax = Duration.seconds(10)
    /// A copy takes two of Postgres's places for whoever replicates, and its supervisor must not be left without any.
    public static let copiesMax = 1

    private var heard: [MemberName: (sequence: UInt64?, at: Moment)] = [:]

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
                hasData: report.data == .whole && report.state != .cloning)
        }
    }

    /// Who streams stays, whoever else would like to: no newcomer puts one out that serves, and a store that is away ends none.
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
        var chosen: [MemberName] = []
        var copies = 0
        for call in alive.filter({ streaming.contains($0.member) }) + alive.filter({ !streaming.contains($0.member) }) {
            guard chosen.count < ClusterSpec.readersEachMax, call.hasData || copies < Self.copiesMax else { continue }
            if !call.hasData { copies += 1 }
            chosen.append(call.member)
        }
        return chosen
    }
}
