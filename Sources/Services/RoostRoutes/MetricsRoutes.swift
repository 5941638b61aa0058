public import RoostAPI
public import RoostTelemetry

/// What a host counts, for those who collect it. A scraper reaches this and nothing else.
public struct MetricsRoutes: RouteGroup {
    let registry: MetricsRegistry
    let sources: [@Sendable () async -> [MetricSample]]

    /// - Parameter sources: what is looked at when somebody asks.
    public init(registry: MetricsRegistry, sources: [@Sendable () async -> [MetricSample]]) {
        self.registry = registry
        self.sources = sources
    }

    public var callers: Principal.Kind { .user }

    public var routes: [APIRoute] {
        [
            APIRoute(.get, "/metrics", alsoFor: [.scraper]) { _ in
                var samples: [MetricSample] = []
                for source in sources { samples += await source() }
                return .text(registry.exposition(with: samples), type: MetricsRegistry.contentType)
            }
        ]
    }
}
