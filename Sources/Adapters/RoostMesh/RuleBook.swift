import Glibc
import Logging
import RoostLinux
import RoostModel
import Synchronization

/// The host's rules in nftables: written, watched, and written anew when somebody else has changed them.
///
/// What should be is kept here; the table in the kernel is made of it, never the other way round. Whole tables are
/// loaded by `nft` in one transaction; a machine that comes or goes and a port that closes or opens change elements of
/// sets, in process. Every function blocks and is called on a thread that is in the host's network namespace.
final class RuleBook: Sendable {
    /// What the rules follow from.
    struct Wanted: Hashable, Sendable {
        var links: [MachineID: MachineLink] = [:]
        var closed: Set<ClosedPort> = []
        /// The host forwards for nobody but us.
        var forwardsOnlyOurs = false
    }

    private struct State {
        var wanted = Wanted()
        /// The rules are wanted: from ``load(found:forwardsOnlyOurs:)`` on.
        var isLoaded = false
        /// The number of the ruleset at which ours was last known to be whole; nil when it is not.
        var generation: UInt32?
        /// Of the table as the kernel has it, at that time.
        var print: [UInt8] = []
    }

    private let rules: MeshRules
    private let logger: Logger
    private let state = Mutex(State())

    /// For `nft` to load a table.
    private static let loadMax = Duration.seconds(10)
    /// A table is looked at again when others changed the ruleset at the same time, so many times.
    private static let looksMax = 8

    init(rules: MeshRules, logger: Logger) {
        self.rules = rules
        self.logger = logger
    }

    /// Loads the table, for the machines that were found and with the ports that are closed in the table of a process
    /// before us.
    func load(found links: [MachineLink], forwardsOnlyOurs: Bool) throws(MeshError) {
        try change { state throws(MeshError) in
            for link in links where state.wanted.links[link.machine] == nil { state.wanted.links[link.machine] = link }
            state.wanted.forwardsOnlyOurs = forwardsOnlyOurs
            if !state.isLoaded {
                let socket = try Self.socket()
                let found = try Self.asking { () throws(NetlinkError) in
                    try socket.elements(of: MeshRules.closedSet, in: MeshRules.tableName)
                }
                for element in found ?? [] {
                    guard let port = element.addressAndPort else { continue }
                    state.wanted.closed.insert(ClosedPort(address: port.address, port: port.port))
                }
                state.isLoaded = true
            }
            try self.rebuild(&state)
        }
    }

    /// Lets a machine onto the mesh.
    func admit(_ machine: MachineLink) throws(MeshError) {
        try change { state throws(MeshError) in
            let old = state.wanted.links.updateValue(machine, forKey: machine.machine)
            guard old != machine || state.generation == nil else { return }
            // Adding again is no failure: what an attach that was cut short has left is taken over.
            try self.apply(rules.elements(of: [machine]).map { .init(.add, $0.set, $0.elements) }, &state)
        }
    }

    /// Takes a machine off the mesh.
    func dismiss(_ machine: MachineID) throws(MeshError) {
        try change { state throws(MeshError) in
            guard let known = state.wanted.links.removeValue(forKey: machine) else { return }
            try self.apply(rules.elements(of: [known]).map { .init(.remove, $0.set, $0.elements) }, &state)
        }
    }

    /// Closes these ports and no others.
    func close(_ ports: Set<ClosedPort>) throws(MeshError) {
        try change { state throws(MeshError) in
            let old = state.wanted.closed
            state.wanted.closed = ports
            func change(_ action: RuleSetChange.Action, _ ports: Set<ClosedPort>) -> ElementChange {
                .init(action, MeshRules.closedSet, ports.map { RuleSetElement(address: $0.address, port: $0.port) })
            }
            try self.apply(
                [change(.remove, old.subtracting(ports)), change(.add, ports.subtracting(old))], &state)
        }
    }

    /// Looks whether the rules are what they should be, and makes them so.
    /// - Returns: what was wrong, if anything.
    @discardableResult
    func verify() throws(MeshError) -> String? {
        try state.withLock { state throws(MeshError) -> String? in
            guard state.isLoaded else { return nil }
            guard let known = state.generation else {
                try rebuild(&state)
                return "they could not be loaded before"
            }
            let socket = try Self.socket()
            guard try Self.generation(socket) != known else { return nil }
            guard let fault = try look(&state, socket) else { return nil }
            try rebuild(&state)
            return fault
        }
    }

    /// Takes the whole table away.
    func remove() throws(MeshError) {
        try state.withLock { state throws(MeshError) in
            state = State()
            // Declared first, so that deleting is no error when it is not there.
            try Self.nft("table \(MeshRules.table)\ndelete table \(MeshRules.table)\n")
        }
    }

    // MARK: - In turn

    private struct ElementChange {
        var action: RuleSetChange.Action
        var set: String
        var elements: [RuleSetElement]

        init(_ action: RuleSetChange.Action, _ set: String, _ elements: [RuleSetElement]) {
            self.action = action
            self.set = set
            self.elements = elements
        }
    }

    private func change(_ body: (inout State) throws(MeshError) -> Void) throws(MeshError) {
        try state.withLock { state throws(MeshError) in try body(&state) }
    }

    /// Changes elements; where the table is not what it was taken for, all of it is made anew.
    private func apply(_ changes: [ElementChange], _ state: inout State) throws(MeshError) {
        guard let known = state.generation else { return try rebuild(&state) }
        do throws(NetlinkError) {
            let socket = try RuleSocket()
            try socket.change(
                changes.map { RuleSetChange($0.action, to: $0.set, in: MeshRules.tableName, $0.elements) })
            // Nobody but us: then it is still known to be whole. Otherwise the next look finds out.
            let now = try socket.generation()
            if now == Self.successor(of: known) { state.generation = now }
        } catch {
            logger.warning(
                "the mesh's rules are not as they were left and are made anew", metadata: ["why": "\(error)"])
            try rebuild(&state)
        }
    }

    /// All of it in one transaction, whatever was there.
    private func rebuild(_ state: inout State) throws(MeshError) {
        state.generation = nil
        try Self.nft(rules.whole(state.wanted))
        let socket = try Self.socket()
        for _ in 0..<Self.looksMax {
            let before = try Self.generation(socket)
            let print = try Self.asking { () throws(NetlinkError) in try socket.print(of: MeshRules.tableName) }
            guard try Self.generation(socket) == before else { continue }
            guard let print else { break }
            state.print = print
            state.generation = before
            return
        }
        throw MeshError(
            operation: "load rules", subject: MeshRules.table,
            cause: "something else changes nftables without pause; see 'nft monitor'")
    }

    /// - Returns: nil when the table is whole, which is then remembered.
    private func look(_ state: inout State, _ socket: RuleSocket) throws(MeshError) -> String? {
        for _ in 0..<Self.looksMax {
            let before = try Self.generation(socket)
            let wanted = rules.elements(of: Array(state.wanted.links.values)) + [rules.closed(state.wanted.closed)]
            let fault = try Self.asking { () throws(NetlinkError) -> String? in
                guard let print = try socket.print(of: MeshRules.tableName) else { return "the table is gone" }
                guard print == state.print else { return "chains or rules were changed" }
                for (set, elements) in wanted {
                    let found = try socket.elements(of: set, in: MeshRules.tableName)
                    guard found == Set(elements) else { return "the set \(set) was changed" }
                }
                return nil
            }
            guard try Self.generation(socket) == before else { continue }
            if fault == nil { state.generation = before }
            return fault
        }
        // Somebody changes something all the time; ours is written anew rather than trusted.
        return "the ruleset changes without pause"
    }

    // MARK: - The kernel

    private static func socket() throws(MeshError) -> RuleSocket {
        try asking { () throws(NetlinkError) in try RuleSocket() }
    }

    private static func generation(_ socket: RuleSocket) throws(MeshError) -> UInt32 {
        try asking { () throws(NetlinkError) in try socket.generation() }
    }

    private static func asking<Value>(_ body: () throws(NetlinkError) -> Value) throws(MeshError) -> Value {
        do throws(NetlinkError) { return try body() } catch {
            throw MeshError(operation: "set rules", subject: MeshRules.table, cause: error.description)
        }
    }

    /// The kernel counts transactions from 1 and passes over 0.
    private static func successor(of generation: UInt32) -> UInt32 { generation == .max ? 1 : generation + 1 }

    private static func nft(_ transaction: String) throws(MeshError) {
        let outcome: (status: Int32, output: String)
        do throws(SystemError) {
            outcome = try ChildProcess.run("nft", ["-f", "-"], input: transaction, within: loadMax)
        } catch {
            throw MeshError(operation: "load rules", subject: MeshRules.table, cause: error.description)
        }
        guard outcome.status == 0 else {
            throw MeshError(
                operation: "load rules", subject: MeshRules.table, cause: String(outcome.output.prefix(600)))
        }
    }
}
