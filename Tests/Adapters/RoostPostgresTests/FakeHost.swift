import Foundation
import Glibc
import RoostLinux
import RoostModel
import RoostWire
import Synchronization

/// The store of a cluster in memory, with the compare-and-swap rules of the real one, behind machine sockets that
/// speak what a host speaks. For tests of the members alone.
final class FakeStore: Sendable {
    private struct State {
        var revision: Int64 = 1
        var rule: ClusterRule?
        var ruleRevision: Int64 = 0
        var heartbeat: Heartbeat?
        var reports: [MemberName: MemberReport] = [:]
        var gates: [MemberName: Bool] = [:]
        /// The number of the last word about each gate.
        var words: [MemberName: UInt64] = [:]
        /// Each word that was taken, in order: whether it was one to open.
        var taken: [Bool] = []
        /// Words to open that were answered, whether they were taken or not.
        var answered = 0
        /// Words to open that wait, as at a host that hangs; nil: none has to.
        var held: Int?
        /// It is a host of before words were numbered.
        var countsNoWords = false
        /// Members that the store does not answer.
        var cutOff: Set<MemberName> = []
        /// What each said last of a lease that others have renewed, and how often it has said so.
        var leases: [MemberName: (word: LeaseWord, count: Int)] = [:]
        /// The states that members have reported since they were last forgotten.
        var seen: [MemberName: Set<MemberReport.State>] = [:]
        /// Every rule there has been.
        var rules: [ClusterRule] = []
    }

    let spec: ClusterSpec
    let placements: [MemberPlacement]
    let secrets: MemberSecrets
    private let state = Mutex(State())

    init(spec: ClusterSpec, placements: [MemberPlacement], secrets: MemberSecrets) {
        self.spec = spec
        self.placements = placements
        self.secrets = secrets
    }

    func view(for member: MemberName) -> ClusterView {
        state.withLock { state in
            ClusterView(
                member: member, revision: state.revision, spec: spec, rule: state.rule,
                ruleRevision: state.ruleRevision, heartbeat: state.heartbeat, placements: placements,
                reports: spec.everybody.compactMap { state.reports[$0.name] }, secrets: secrets, takesLeaseWord: true)
        }
    }

    var rules: [ClusterRule] { state.withLock { $0.rules } }
    var rule: ClusterRule? { state.withLock { $0.rule } }
    var heartbeat: Heartbeat? { state.withLock { $0.heartbeat } }
    func report(of member: MemberName) -> MemberReport? { state.withLock { $0.reports[member] } }
    func hasSeen(_ states: Set<MemberReport.State>) -> Bool {
        state.withLock { $0.seen.values.contains { !$0.isDisjoint(with: states) } }
    }
    func hasSeen(_ states: Set<MemberReport.State>, of member: MemberName) -> Bool {
        state.withLock { $0.seen[member]?.isDisjoint(with: states) == false }
    }
    /// So that what is there afterwards was said afterwards.
    func forgetReports() { state.withLock { $0.reports = [:] } }
    func forgetStates() { state.withLock { $0.seen = [:] } }
    func isOpen(_ member: MemberName) -> Bool { state.withLock { $0.gates[member] ?? false } }
    func isCutOff(_ member: MemberName) -> Bool { state.withLock { $0.cutOff.contains(member) } }

    func cut(_ member: MemberName, _ isCut: Bool) {
        state.withLock { state in
            if isCut { state.cutOff.insert(member) } else { state.cutOff.remove(member) }
        }
    }

    /// What a user's switchover does.
    func ask(_ request: RoostModel.SwitchoverRequest) { ask { $0.switchover = request } }

    /// What hosts do for users.
    func ask(_ change: (inout ClusterRule) -> Void) {
        state.withLock { state in
            guard var rule = state.rule else { return }
            change(&rule)
            state.revision += 1
            (state.rule, state.ruleRevision) = (rule, state.revision)
        }
    }

    func change(_ request: ChangeRuleRequest) -> ChangeOutcome {
        state.withLock { state in
            guard request.expectedRevision == state.ruleRevision else {
                return ChangeOutcome(isApplied: false, revision: state.revision)
            }
            state.revision += 1
            (state.rule, state.ruleRevision) = (request.rule, state.revision)
            state.rules.append(request.rule)
            return ChangeOutcome(isApplied: true, revision: state.revision)
        }
    }

    func renew(_ request: HeartbeatRequest) -> ChangeOutcome {
        state.withLock { state in
            guard request.ruleRevision == state.ruleRevision else {
                return ChangeOutcome(isApplied: false, revision: state.revision)
            }
            state.revision += 1
            state.heartbeat = request.heartbeat
            return ChangeOutcome(isApplied: true, revision: state.revision)
        }
    }

    func note(_ word: LeaseWord, of member: MemberName) {
        state.withLock { $0.leases[member] = (word, ($0.leases[member]?.count ?? 0) + 1) }
    }
    func lease(of member: MemberName) -> (word: LeaseWord, count: Int)? { state.withLock { $0.leases[member] } }

    func put(_ report: MemberReport) -> ChangeOutcome {
        state.withLock { state in
            state.revision += 1
            state.reports[report.member] = report
            state.seen[report.member, default: []].insert(report.state)
            return ChangeOutcome(isApplied: true, revision: state.revision)
        }
    }

    /// - Returns: false for a word that a later one has overtaken.
    func setGate(_ member: MemberName, _ wish: GateRequest) -> Bool {
        if wish.isOpen { waitWhileHeld() }
        return state.withLock { state in
            if wish.isOpen { state.answered += 1 }
            let last = state.words[member] ?? 0
            guard state.countsNoWords || wish.sequence ?? 0 >= last else { return false }
            state.words[member] = wish.sequence
            state.gates[member] = wish.isOpen
            state.taken.append(wish.isOpen)
            return true
        }
    }

    func holdOpenings(countsNoWords: Bool) {
        state.withLock { ($0.held, $0.countsNoWords) = (0, countsNoWords) }
    }
    func releaseOpenings() { state.withLock { $0.held = nil } }
    var answeredOpenings: Int { state.withLock { $0.answered } }
    var takenWords: [Bool] { state.withLock { $0.taken } }
    var heldOpenings: Int { state.withLock { $0.held ?? 0 } }

    private func waitWhileHeld() {
        state.withLock { state in state.held = state.held.map { $0 + 1 } }
        while state.withLock({ $0.held != nil }) { usleep(1000) }
    }
}

/// One host's machine socket: a thread for each connection, which is enough for a test.
final class FakeHost: Sendable {
    private let store: FakeStore
    private let member: MemberName
    private let listener: Int32
    private let path: String
    private let isOver = Mutex(false)

    init(_ path: String, member: MemberName, store: FakeStore) throws {
        self.store = store
        self.member = member
        self.path = path
        unlink(path)
        listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8).prefix(107)) }
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard bound == 0, listen(listener, 64) == 0 else { throw SystemError("listen on", path) }
        Thread.detachNewThread { self.accept() }
    }

    func stop() {
        isOver.withLock { $0 = true }
        shutdown(listener, Int32(SHUT_RDWR))
        unlink(path)
    }

    private func accept() {
        while !isOver.withLock({ $0 }) {
            let connection = Glibc.accept(listener, nil, nil)
            guard connection >= 0 else { continue }
            Thread.detachNewThread {
                self.serve(connection)
                close(connection)
            }
        }
        close(listener)
    }

    private func serve(_ connection: Int32) {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        let mark = Array("\r\n\r\n".utf8)
        while true {
            let count = recv(connection, &chunk, chunk.count, 0)
            guard count > 0 else { return }
            bytes += chunk[..<count]
            guard let end = bytes.firstRange(of: mark) else { continue }
            let head = String(decoding: bytes[..<end.lowerBound], as: UTF8.self)
            let length = head.split(separator: "\r\n").first { $0.lowercased().hasPrefix("content-length:") }
                .flatMap { Int($0.dropFirst(15).drop { $0 == " " }) }
            guard bytes.count >= end.upperBound + (length ?? 0) else { continue }
            let words = head.split(separator: " ")
            answer(connection, "\(words[0]) \(words[1])", Data(bytes[end.upperBound...]))
            return
        }
    }

    /// What a host answers by itself.
    private static let withoutStore = ["PUT /v1/cluster/gate", "PUT /v1/cluster/lease", "GET /v1/cluster/last"]

    private func answer(_ connection: Int32, _ request: String, _ body: Data) {
        if store.isCutOff(member), !Self.withoutStore.contains(request) {
            return send(connection, 503, Data(#"{"error":"the store does not answer"}"#.utf8))
        }
        let decoder = JSONDecoder()
        switch request {
        case "GET /v1/cluster", "GET /v1/cluster/last": reply(connection, store.view(for: member))
        case "GET /v1/cluster/watch": watch(connection)
        case "PUT /v1/cluster/rule":
            guard let change = try? decoder.decode(ChangeRuleRequest.self, from: body) else { break }
            return reply(connection, store.change(change))
        case "PUT /v1/cluster/heartbeat":
            guard let change = try? decoder.decode(HeartbeatRequest.self, from: body) else { break }
            return reply(connection, store.renew(change))
        case "PUT /v1/cluster/lease":
            guard let word = try? decoder.decode(LeaseWord.self, from: body) else { break }
            store.note(word, of: member)
            return send(connection, 200, Data(#"{"ok":true}"#.utf8))
        case "PUT /v1/cluster/report":
            guard let report = try? decoder.decode(MemberReport.self, from: body) else { break }
            return reply(connection, store.put(report))
        case "PUT /v1/cluster/gate":
            guard let gate = try? decoder.decode(GateRequest.self, from: body) else { break }
            if store.setGate(member, gate) { return send(connection, 200, Data(#"{"ok":true}"#.utf8)) }
            return send(connection, 412, Data(#"{"error":"said otherwise since"}"#.utf8))
        default: break
        }
        send(connection, 400, Data(#"{"error":"not understood"}"#.utf8))
    }

    private func reply(_ connection: Int32, _ value: some Encodable) {
        guard let body = try? JSONEncoder().encode(value) else { return }
        send(connection, 200, body)
    }

    private func send(_ connection: Int32, _ status: Int, _ body: Data) {
        let head = "HTTP/1.1 \(status) X\r\nContent-Length: \(body.count)\r\nConnection: close\r\n\r\n"
        _ = write(connection, Array(head.utf8) + body)
    }

    private func write(_ connection: Int32, _ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    /// A line for every change, in chunks, as Hummingbird sends it.
    private func watch(_ connection: Int32) {
        guard write(connection, Array("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".utf8)) else { return }
        var last: Int64 = 0
        while !isOver.withLock({ $0 }), !store.isCutOff(member) {
            let view = store.view(for: member)
            if view.revision != last, let line = try? JSONEncoder().encode(view) {
                let chunk = Array("\(String(line.count + 1, radix: 16))\r\n".utf8) + line + Array("\n\r\n".utf8)
                guard write(connection, chunk) else { return }
                last = view.revision
            }
            usleep(5000)
        }
    }
}
