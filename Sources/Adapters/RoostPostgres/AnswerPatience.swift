import RoostLinux
import RoostModel

/// How long each question is waited for that is asked again until it is answered. An answer that is not waited for costs
/// Postgres the session that was about to give it, and the next question a login: so on a computer that is slow a limit that
/// stayed the same would be too short each time.
struct AnswerPatience: Sendable {
    static let first = PostgresInstance.probeDeadline

    /// When nobody needs the answer any more.
    private let end: Moment
    private var limit = first

    init(for time: Duration, _ now: Moment = BootClock.now()) { end = now + time }

    /// Of the next question. Never longer than whoever asks may take as a whole.
    func limit(_ now: Moment = BootClock.now()) -> Duration { max(min(limit, end - now), .milliseconds(1)) }

    func isOver(_ now: Moment = BootClock.now()) -> Bool { now >= end }

    /// What became of it was this.
    mutating func note(_ error: DatabaseError) {
        if case .deadlineExceeded = error.cause { limit = limit * 2 }
    }
}

extension PostgresInstance {
    /// One question of those that are asked until there is an answer.
    ///
    /// - Returns: nil when there was none.
    func ask<Answer: Sendable>(
        _ patience: inout AnswerPatience, _ question: (Duration) async throws(DatabaseError) -> Answer
    ) async -> Answer? {
        do throws(DatabaseError) { return try await question(patience.limit()) } catch {
            patience.note(error)
            return nil
        }
    }
}
