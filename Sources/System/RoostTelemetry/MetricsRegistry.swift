public import CoreMetrics
import Synchronization

/// Keeps what is counted in this process, by way of swift-metrics.
///
/// Bounded, whoever counts: a name has at most ``seriesMax`` combinations of labels, and what comes then is counted under
/// labels that all say `other`; there are at most ``namesMax`` names, and what comes then is not kept.
public final class MetricsRegistry: Sendable {
    static let namesMax = 200
    static let seriesMax = 1000
    static let overflow = "other"

    /// A name and a value.
    struct Label: Hashable, Comparable {
        var name: String
        var value: String

        static func < (left: Self, right: Self) -> Bool { (left.name, left.value) < (right.name, right.value) }
    }

    struct Family {
        var kind: Metric.Kind
        var cells: [[Label]: any MetricCell] = [:]
    }

    private let families = Mutex<[String: Family]>([:])

    /// An empty one.
    public init() {}

    /// What there is now.
    func snapshot() -> [String: Family] { families.withLock { $0 } }

    /// The cell of a name and its labels, made if there is none. A name means one kind of number: under another kind
    /// nothing is kept.
    fileprivate func cell<Cell: MetricCell>(
        _ kind: Metric.Kind, _ name: String, _ dimensions: [(String, String)], _ make: () -> Cell
    ) -> Cell {
        let labels = dimensions.map { Label(name: $0.0, value: $0.1) }
        return families.withLock { families in
            if families[name] == nil {
                guard families.count < Self.namesMax else { return make() }
                families[name] = Family(kind: kind)
            }
            guard let family = families[name], family.kind == kind else { return make() }
            if let present = family.cells[labels] as? Cell { return present }
            var key = labels
            if family.cells.count >= Self.seriesMax {
                key = labels.map { Label(name: $0.name, value: Self.overflow) }
                if let present = family.cells[key] as? Cell { return present }
            }
            let cell = make()
            families[name]?.cells[key] = cell
            return cell
        }
    }

    /// What swift-metrics is told to count with.
    public var factory: any MetricsFactory { RegistryFactory(registry: self) }
}

/// A number that was destroyed and begins anew would look like a program that was restarted, so nothing is destroyed.
private struct RegistryFactory: MetricsFactory {
    let registry: MetricsRegistry

    func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        registry.cell(.counter, label, dimensions) { CounterCell() }
    }

    func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        if aggregate { return registry.cell(.histogram, label, dimensions) { HistogramCell() } }
        return registry.cell(.gauge, label, dimensions) { GaugeCell() }
    }

    func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        registry.cell(.gauge, label, dimensions) { GaugeCell() }
    }

    func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        registry.cell(.histogram, label, dimensions) { HistogramCell() }
    }

    func destroyCounter(_ handler: any CounterHandler) {}
    func destroyRecorder(_ handler: any RecorderHandler) {}
    func destroyMeter(_ handler: any MeterHandler) {}
    func destroyTimer(_ handler: any TimerHandler) {}
}

/// One number, or one histogram.
protocol MetricCell: AnyObject, Sendable {
    var reading: MetricReading { get }
}

/// What a cell holds at a moment.
enum MetricReading: Hashable, Sendable {
    case number(Double)
    /// Per bucket, not added up; the last is what is longer than all bounds.
    case histogram(counts: [UInt64], sum: Double)
}

final class CounterCell: MetricCell, CounterHandler {
    private let count = Atomic<Int64>(0)

    var reading: MetricReading { .number(Double(count.load(ordering: .relaxed))) }
    func increment(by amount: Int64) { if amount > 0 { count.wrappingAdd(amount, ordering: .relaxed) } }
    func reset() { count.store(0, ordering: .relaxed) }
}

final class GaugeCell: MetricCell, RecorderHandler, MeterHandler {
    private let number = Mutex(0.0)

    var reading: MetricReading { .number(number.withLock { $0 }) }
    func record(_ value: Int64) { record(Double(value)) }
    func record(_ value: Double) { number.withLock { $0 = value } }
    func set(_ value: Int64) { record(Double(value)) }
    func set(_ value: Double) { record(value) }
    func increment(by amount: Double) { number.withLock { $0 += amount } }
    func decrement(by amount: Double) { number.withLock { $0 -= amount } }
}

final class HistogramCell: MetricCell, TimerHandler, RecorderHandler {
    /// From a fast answer in memory to what a person would call hung, in seconds.
    static let bounds: [Double] = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
    ]

    private struct State {
        var counts = [UInt64](repeating: 0, count: HistogramCell.bounds.count + 1)
        var sum = 0.0
    }

    private let state = Mutex(State())

    var reading: MetricReading { state.withLock { .histogram(counts: $0.counts, sum: $0.sum) } }

    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1_000_000_000) }
    func record(_ value: Int64) { record(Double(value)) }

    func record(_ value: Double) {
        guard value.isFinite else { return }
        state.withLock { state in
            let index = Self.bounds.firstIndex { value <= $0 } ?? Self.bounds.count
            state.counts[index] += 1
            state.sum += value
        }
    }
}
