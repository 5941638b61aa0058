import RoostTelemetry

/// What a host has counted of the steps of its machines' starts (``StartStep``), read from its metrics.
struct StartTrace: Hashable, Sendable {
    /// Since the host's program was started.
    private(set) var seconds: [StartStep: Double] = [:]

    /// - Parameter exposition: Prometheus's text format.
    init(exposition: String) {
        let name = Metric.machineStartStep.name + "_sum"
        for line in exposition.split(separator: "\n") where line.hasPrefix(name + "{") {
            let words = line.split(separator: " ")
            guard words.count == 2, let value = Double(words[1]),
                let step = StartStep.allCases.first(where: { words[0] == "\(name){step=\"\($0.rawValue)\"}" })
            else { continue }
            seconds[step] = value
        }
    }

    /// What has come since, in milliseconds.
    func milliseconds(since before: StartTrace) -> [StartStep: Double] {
        seconds.reduce(into: [:]) { $0[$1.key] = ($1.value - (before.seconds[$1.key] ?? 0)) * 1000 }
    }
}
