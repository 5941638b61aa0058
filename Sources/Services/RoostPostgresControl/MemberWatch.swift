import Foundation
import RoostAPI
import RoostWire

/// What a member watches: a line of JSON for every change of its cluster. Lines that would only repeat are left out.
struct MemberWatch: AnswerStream {
    /// A watch that has nothing to say sends a blank line this often: the member takes a longer silence for a dead host,
    /// and a member that is gone is noticed by writing to it.
    static let pauseMax = Duration.seconds(10)

    private let view: @Sendable () -> ClusterView?
    private let beats: AsyncStream<Beat>
    private var last: ClusterView?

    private enum Beat { case begin, change, pause }

    /// - Parameter view: the cluster as it is now; nil while this host does not know.
    init<Changes: AsyncSequence & Sendable>(
        changes: Changes, pauseMax: Duration = Self.pauseMax, view: @escaping @Sendable () -> ClusterView?
    ) where Changes.Element: Sendable, Changes.Failure == Never {
        self.view = view
        beats = Self.beats(changes, pauseMax)
    }

    mutating func next() async throws -> Data? {
        for await beat in beats {
            if let line = try line() { return line }
            if beat == .pause { return Data("\n".utf8) }
        }
        return nil
    }

    private mutating func line() throws -> Data? {
        guard let view = view() else { return nil }
        var repeated = view
        repeated.revision = last?.revision ?? view.revision
        guard repeated != last else { return nil }
        last = view
        return try JSONEncoder().encode(view) + Data("\n".utf8)
    }

    /// The changes, and the pauses between them.
    private static func beats<Changes: AsyncSequence & Sendable>(
        _ changes: Changes, _ pauseMax: Duration
    ) -> AsyncStream<Beat> where Changes.Element: Sendable, Changes.Failure == Never {
        let (stream, continuation) = AsyncStream.makeStream(of: Beat.self, bufferingPolicy: .bufferingNewest(1))
        continuation.yield(.begin)
        // Ends with the stream, and the stream with whoever reads it.
        let work = Task {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { for await _ in changes { continuation.yield(.change) } }
                group.addTask {
                    while (try? await Task.sleep(for: pauseMax)) != nil { continuation.yield(.pause) }
                }
                await group.next()
                group.cancelAll()
            }
            continuation.finish()
        }
        continuation.onTermination = { _ in work.cancel() }
        return stream
    }
}
