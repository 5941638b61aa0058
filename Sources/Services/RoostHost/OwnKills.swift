import RoostMachineLife
import RoostModel
import Synchronization

/// Machines that this host ends though nobody ordered it, each with the reason, until the event of the end tells it.
///
/// In memory only: where this program dies between the kill and the event, the reason is lost, and nothing else.
final class OwnKills: Sendable {
    private let reasons = Mutex<[MachineID: String]>([:])

    /// Before the kill: its end may be found at once.
    func note(_ machine: MachineID, because reason: String) { reasons.withLock { $0[machine] = reason } }

    /// The news with the reason, where it is the end that this host made.
    func explained(_ news: MachineNews, of machine: MachineID) -> MachineNews {
        // 128 and SIGKILL: one that ended by itself just before is not the host's.
        guard news.kind == .exit, news.exit?.requestedStop == false, news.exit?.exitCode == 137,
            let reason = reasons.withLock({ $0[machine] })
        else { return news }
        var news = news
        let words = "ended by its host: \(reason)"
        news.message = news.message.map { "\(words); \($0)" } ?? words
        // The runtime may not know that it was a signal.
        if news.exit?.signal == nil { news.exit?.signal = 9 }
        return news
    }

    /// Once they are written down. What was noted is told by then, or was of a launch that is over.
    func told(_ news: [MachineNews], of machine: MachineID) {
        guard news.contains(where: { $0.kind == .exit || $0.kind == .start }) else { return }
        reasons.withLock { $0[machine] = nil }
    }
}
