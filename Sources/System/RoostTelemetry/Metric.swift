import CoreMetrics

/// A number that a program keeps, under the name it is served by.
public struct Metric: Hashable, Sendable {
    /// What kind of number it is.
    public enum Kind: String, Hashable, Sendable {
        /// Only grows, from 0 at the start of the program.
        case counter
        /// What is now.
        case gauge
        /// How long things took, in seconds.
        case histogram
    }

    /// In Prometheus's style: the unit is at the end.
    public let name: String
    /// What kind of number it is.
    public let kind: Kind
    /// What it says, for people.
    public let help: String
    /// The names of its labels, in the order in which values are given.
    public let labels: [String]

    init(_ name: String, _ kind: Kind, _ help: String, labels: [String] = []) {
        self.name = name
        self.kind = kind
        self.help = help
        self.labels = labels
    }

    /// Counts; the values are those of the labels.
    public func add(_ values: String...) {
        Counter(label: name, dimensions: dimensions(values)).increment()
    }

    /// Has it told as 0 until something is counted: what first appears as 1 has not grown for whoever collects it.
    public func begin(_ values: String...) {
        assert(kind == .counter, "\(name) is no counter")
        _ = Counter(label: name, dimensions: dimensions(values))
    }

    /// Takes in how long something took.
    public func observe(_ duration: Duration, _ values: String...) {
        let (seconds, attoseconds) = duration.components
        Timer(label: name, dimensions: dimensions(values))
            .recordNanoseconds(
                seconds.multipliedReportingOverflow(by: 1_000_000_000).partialValue + attoseconds / 1_000_000_000)
    }

    private func dimensions(_ values: [String]) -> [(String, String)] {
        assert(values.count == labels.count, "\(name) has the labels \(labels)")
        return Array(zip(labels, values))
    }
}

/// One number as it is at the moment: of what is looked at when it is asked for, not counted along the way.
public struct MetricSample: Hashable, Sendable {
    let metric: Metric
    let values: [String]
    let number: Double

    /// - Parameter values: those of the metric's labels.
    public init(_ metric: Metric, _ number: Double, _ values: String...) {
        self.metric = metric
        self.number = number
        self.values = values
    }
}
