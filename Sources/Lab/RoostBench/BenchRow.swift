/// One line of the report: something measured over many rounds, by itself or against a peer in the same rounds.
public struct BenchRow: Sendable, Codable {
    public enum Unit: String, Sendable, Codable {
        case milliseconds = "ms"
        case perSecond = "1/s"
        case percent = "%"
        case mebibytes = "MiB"
        case bytes = "B"
        case count = ""
    }

    /// Which of the rounds stands for all of them.
    public enum Summary: String, Sendable, Codable { case median, worst }

    /// A peer and what it reached, round by round.
    struct Peer {
        var name: String
        var values: [Double]
    }

    public let part: BenchPart
    public let title: String
    public let unit: Unit
    public let summary: Summary
    public let figure: Double
    public let peer: String?
    public let peerFigure: Double?
    /// Of the figure to the peer's: the median of the rounds' ratios.
    public let ratio: Double?
    public let goal: BenchGoal?
    public let isMet: Bool?
    /// Round by round, in `unit`.
    public let values: [Double]
    public let peerValues: [Double]?

    enum CodingKeys: String, CodingKey {
        case part, title, unit, summary, figure, peer, ratio, goal, values
        case peerFigure = "peer_figure"
        case isMet = "goal_met"
        case peerValues = "peer_values"
    }

    init(
        _ part: BenchPart, _ title: String, _ unit: Unit, _ values: [Double], _ summary: Summary = .median,
        against peer: Peer? = nil, goal: BenchGoal? = nil
    ) {
        self.part = part
        self.title = title
        self.unit = unit
        self.summary = summary
        self.values = values
        figure =
            switch summary {
            case .median: Statistics.median(values) ?? 0
            case .worst: values.max() ?? 0
            }
        self.peer = peer?.name
        peerValues = peer?.values
        peerFigure = peer.flatMap { Statistics.median($0.values) }
        ratio = peer.flatMap { Statistics.medianRatio(values, to: $0.values) }
        self.goal = goal
        let judged = goal?.subject == .ratio ? ratio : figure
        isMet = goal.flatMap { goal in judged.map(goal.isMet) }
    }
}
