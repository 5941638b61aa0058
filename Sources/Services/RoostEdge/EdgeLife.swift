public import Glibc
public import Logging

/// An edge from its start to its end, as a process of its own has it: it serves, takes orders from roostd, and ends with its
/// last session when it is told to retire, by roostd or by a signal.
public enum EdgeLife {
    /// For the sessions when somebody else than roostd ends the process: a host that shuts down waits.
    public static let terminationDrain = Duration.seconds(5)

    /// Returns when the edge has retired.
    /// - Parameters:
    ///   - listener: as of ``EdgeControl``.
    ///   - endings: each says that the process is to end.
    public static func run<Endings: AsyncSequence & Sendable>(
        _ configuration: EdgeConfiguration, listener: Int32, release: String, trustedUser: uid_t = 0, endings: Endings,
        drain: Duration = terminationDrain, logger: Logger = Logger(label: "roost.edge")
    ) async throws {
        let service = EdgeService(configuration: configuration, logger: logger, opensSockets: false)
        let control = try EdgeControl(
            service, listener: listener, release: release, trustedUser: trustedUser, logger: logger)
        let controlling = Task { await control.run() }
        let watching = Task { for try await _ in endings { service.retire(within: drain) } }
        defer {
            controlling.cancel()
            watching.cancel()
        }
        try await service.run()
    }
}
