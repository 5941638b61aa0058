import CLinux
import Glibc
import RoostModel

/// The kernel refused a request, or did not answer.
public struct NetlinkError: Error, Sendable, CustomStringConvertible {
    /// What was attempted.
    let operation: String
    /// Of errno(3).
    public let code: Int32
    /// What the kernel says beside the number (its extended acknowledgement), if anything.
    let explanation: String?

    /// - Parameter explanation: the kernel's own words.
    public init(_ operation: String, code: Int32, explanation: String? = nil) {
        self.operation = operation
        self.code = code
        self.explanation = explanation
    }

    /// For people.
    public var description: String {
        "\(operation): \(String(cString: strerror(code)))" + (explanation.map { " (\($0))" } ?? "")
    }
}

/// A socket to the kernel's networking. It belongs to the network namespace its thread was in when it was opened, and
/// to one thread: it blocks, never longer than ``patience`` for an answer.
final class NetlinkSocket {
    /// Which part of the kernel it speaks to.
    enum Family: Sendable {
        /// Links, addresses, routes: rtnetlink(7).
        case route
        /// Netfilter, and so nftables.
        case netfilter

        var number: Int32 {
            switch self {
            case .route: NETLINK_ROUTE
            case .netfilter: NETLINK_NETFILTER
            }
        }
    }

    /// What came of one message.
    struct Outcome: Sendable {
        /// Empty where the message asked for nothing.
        var replies: [NetlinkReply] = []
        /// Nil: done.
        var failure: NetlinkError?
    }

    /// The kernel answers at once, except while it waits for its own lock.
    static let patience = Duration.seconds(5)
    /// More acknowledgements than this might not fit into the socket's buffer.
    static let messagesMax = 64
    /// The kernel sends what it lists in pieces of at most 32 KiB.
    private static let pieceBytesMax = 64 << 10
    /// A listing that changed while it was made is asked for again, so many times.
    private static let listingsMax = 8

    private let descriptor: Int32
    private var sequence: UInt32 = 1
    private var buffer = [UInt8](repeating: 0, count: pieceBytesMax)

    /// - Parameter groups: multicast groups to listen to.
    init(_ family: Family, groups: [Int32] = []) throws(NetlinkError) {
        let type = Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        descriptor = socket(AF_NETLINK, type, family.number)
        guard descriptor >= 0 else { throw NetlinkError("open netlink socket", code: errno) }
        // Words with errors, errors without a copy of the request, filters that are really looked at.
        for option in [NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK] { set(option, 1) }
        for group in groups { set(NETLINK_ADD_MEMBERSHIP, group) }
        var address = sockaddr_nl()
        address.nl_family = sa_family_t(AF_NETLINK)
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_nl>.size))
            }
        }
        guard bound == 0 else { throw NetlinkError("bind netlink socket", code: errno) }
    }

    deinit { close(descriptor) }

    private func set(_ option: Int32, _ value: Int32) {
        var value = value
        setsockopt(descriptor, SOL_NETLINK, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    /// Does all of these, one after another; the first failure is thrown, the others may have been done.
    @discardableResult
    func perform(_ messages: [NetlinkMessage]) throws(NetlinkError) -> [Outcome] {
        let outcomes = try attempt(messages)
        for outcome in outcomes { if let failure = outcome.failure { throw failure } }
        return outcomes
    }

    /// Does one.
    /// - Returns: what the kernel says to it.
    @discardableResult
    func perform(_ message: NetlinkMessage) throws(NetlinkError) -> [NetlinkReply] {
        for _ in 0..<Self.listingsMax {
            let outcome = try attempt([message])[0]
            guard let failure = outcome.failure else { return outcome.replies }
            guard message.isDump, failure.code == EINTR || failure.code == EAGAIN else { throw failure }
        }
        throw NetlinkError(message.operation, code: EAGAIN, explanation: "it changes faster than it can be listed")
    }

    /// Does all of these, one after another, and says what came of each.
    /// - Parameter frames: messages that go before and after them and are not acknowledged, as the borders of an
    ///   nftables transaction.
    func attempt(
        _ messages: [NetlinkMessage], within frames: (NetlinkMessage, NetlinkMessage)? = nil
    ) throws(NetlinkError) -> [Outcome] {
        guard !messages.isEmpty else { return [] }
        precondition(messages.count <= Self.messagesMax, "too many messages at once")
        let first = sequence &+ 1
        var bytes: [UInt8] = []
        if let frames { bytes += frames.0.bytes(sequence: sequence, extraFlags: NLM_F_REQUEST) }
        for (index, message) in messages.enumerated() {
            // A listing ends with a message of its own.
            let extra = message.isDump ? NLM_F_REQUEST : NLM_F_REQUEST | NLM_F_ACK
            bytes += message.bytes(sequence: first &+ UInt32(index), extraFlags: extra)
        }
        let last = first &+ UInt32(messages.count)
        if let frames { bytes += frames.1.bytes(sequence: last, extraFlags: NLM_F_REQUEST) }
        sequence = last &+ 1
        // netlink(7): to the kernel, all of it goes at once or not at all.
        guard send(descriptor, bytes, bytes.count, 0) == bytes.count else {
            throw NetlinkError(messages[0].operation, code: errno)
        }
        return try answers(to: messages, first: first, frames: frames)
    }

    private func answers(
        to messages: [NetlinkMessage], first: UInt32, frames: (NetlinkMessage, NetlinkMessage)?
    ) throws(NetlinkError) -> [Outcome] {
        var outcomes = [Outcome](repeating: Outcome(), count: messages.count)
        var open = Set(messages.indices)
        let deadline = BootClock.now() + Self.patience
        while let next = open.min() {
            guard wait(until: deadline) else { throw NetlinkError(messages[next].operation, code: ETIMEDOUT) }
            for answer in try received(messages[next].operation) {
                let index = Int(answer.sequence &- first)
                guard messages.indices.contains(index) else {
                    // A border that was refused: nothing between was done.
                    if frames != nil, answer.sequence &+ 1 == first || index == messages.count, let code = answer.code,
                        code != 0
                    {
                        throw NetlinkError(messages[0].operation, code: code, explanation: answer.explanation)
                    }
                    continue
                }
                if answer.isInterrupted, outcomes[index].failure == nil {
                    outcomes[index].failure = NetlinkError(messages[index].operation, code: EINTR)
                }
                if let code = answer.code {
                    open.remove(index)
                    if code != 0 {
                        outcomes[index].failure = NetlinkError(
                            messages[index].operation, code: code, explanation: answer.explanation)
                    }
                } else {
                    outcomes[index].replies.append(answer.reply)
                }
            }
        }
        return outcomes
    }

    /// Waits for messages that nobody asked for, of the groups that were joined.
    /// - Parameter wake: a descriptor that ends the wait when it becomes readable.
    /// - Returns: true when something came. What came is taken and thrown away: it says *that* something changed.
    func waitForNotice(within time: Duration, wake: Int32) -> Bool {
        var entries = [
            pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: wake, events: Int16(POLLIN), revents: 0),
        ]
        guard poll(&entries, 2, Int32(clamping: time.milliseconds + 1)) > 0, entries[0].revents != 0 else {
            return false
        }
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            // ENOBUFS: there was more than the socket holds, which is a notice too.
            if count < 0, errno != EINTR, errno != ENOBUFS { return true }
        }
    }

    private func wait(until deadline: Moment) -> Bool {
        while true {
            let left = deadline - BootClock.now()
            guard left > .zero else { return false }
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let count = poll(&entry, 1, Int32(clamping: left.milliseconds + 1))
            if count > 0 { return true }
            if count < 0, errno != EINTR { return false }
        }
    }

    private struct Answer {
        var sequence: UInt32
        /// Nil for a reply, else the end of the answers to a message: 0, or what went wrong.
        var code: Int32?
        var explanation: String?
        var isInterrupted = false
        var reply: NetlinkReply
    }

    private func received(_ operation: String) throws(NetlinkError) -> [Answer] {
        let count = recv(descriptor, &buffer, buffer.count, 0)
        if count < 0 {
            if errno == EINTR || errno == EAGAIN { return [] }
            throw NetlinkError(operation, code: errno)
        }
        var answers: [Answer] = []
        var rest = buffer[..<count]
        while rest.count >= NetlinkMessage.headerSize {
            let length = Int(rest.host32(at: 0))
            guard length >= NetlinkMessage.headerSize, length <= rest.count else { break }
            let message = rest.prefix(length)
            rest = rest.dropFirst(length + Netlink.padding(of: length))
            answers.append(Self.answer(message))
        }
        return answers
    }

    private static func answer(_ message: ArraySlice<UInt8>) -> Answer {
        let type = message.host16(at: 4)
        let flags = message.host16(at: 6)
        let payload = message.dropFirst(NetlinkMessage.headerSize)
        var answer = Answer(
            sequence: message.host32(at: 8), isInterrupted: flags & UInt16(NLM_F_DUMP_INTR) != 0,
            reply: NetlinkReply(type: type, payload: Array(payload)))
        guard type == UInt16(NLMSG_ERROR) || type == UInt16(NLMSG_DONE) else { return answer }
        answer.code = -Int32(bitPattern: payload.host32(at: 0))
        if flags & UInt16(NLM_F_ACK_TLVS) != 0 {
            // Behind the number stands, in an error, the header of the request.
            let skipped = type == UInt16(NLMSG_ERROR) ? 4 + NetlinkMessage.headerSize : 4
            let words = Netlink.attributes(payload.dropFirst(skipped))[Int(NLMSGERR_ATTR_MSG.rawValue)]
            answer.explanation = words?.text
        }
        return answer
    }
}
