public import RoostModel

/// What is believed of a record. Whoever can write one place of the store must not be able to speak for another one,
/// draw its traffic, or bring down those who add up its numbers.
public enum RecordBounds {
    /// In what way a record is not what its key says, or breaks a bound.
    public struct Violation: Error, Hashable, CustomStringConvertible {
        public let description: String
    }

    /// Bounds of what one host says of itself: ten thousand of them can still be added up.
    public static let memoryMax = ByteCount.gibibytes(16 << 10)
    /// Of a host's disk, and of one volume: 256 TiB.
    public static let diskMax = ByteCount.gibibytes(256 << 10)
    /// Of a host, and of one machine.
    static let cpusMax = 4096
    /// Of a name or an address, in bytes.
    static let textMax = 256
    /// Of a cluster, however many a newer version allows.
    static let membersMax = 64
    static let numberMax = 100_000
    /// Of a cluster's list, however many a newer version allows.
    static let networksMax = 1024
    /// In reigns, however many a newer version keeps.
    static let historyMax = 1024
    /// Of what counts one at a time, or bytes. No cluster gets there, and two of them can be added up.
    static let countMax = RecordNumber.max
    /// WireGuard's keys, in base64.
    static let publicKeyLength = 44

    private static func require(_ isTrue: Bool, _ what: @autoclosure () -> String) throws(Violation) {
        guard isTrue else { throw Violation(description: what()) }
    }

    /// A host's own record: its address and key on the mesh, and sizes that can be added up. Machines and volumes that
    /// are in it are looked at one by one.
    public static func check(_ record: HostRecord, at host: HostName) throws(Violation) {
        try require(record.host == host, "it says it is host \(record.host)")
        try require(
            record.mesh.address == MeshAddress.host(host), "its address is not that of host \(host)")
        try require(isKey(record.mesh.publicKey), "its public key is not 32 bytes in base64")
        try require(record.mesh.endpoint.utf8.count <= textMax, "its endpoint is too long")
        try require(record.program.utf8.count <= textMax, "its program's version is too long")
        let capacity = record.capacity
        try require((0...cpusMax).contains(capacity.cpus), "its CPUs are not 0 to \(cpusMax)")
        try require((.zero...memoryMax).contains(capacity.memory), "its memory is not 0 to \(memoryMax)")
        try require((.zero...diskMax).contains(capacity.disk), "its disk is not 0 to \(diskMax)")
        try require(
            (.zero...diskMax).contains(record.diskLeft ?? .zero), "what is left of its disk is not 0 to \(diskMax)")
        try require(record.unreadableRows ?? 0 >= 0, "its unreadable rows are fewer than none")
    }

    /// A machine's record. With another address than its own it would draw another machine's traffic.
    public static func check(_ record: MachineRecord, at machine: MachineID) throws(Violation) {
        try require(record.id == machine, "it says it is machine \(record.id)")
        try require(
            record.address == MeshAddress.machine(machine, in: record.network), "its address is not its own")
        try require(record.name.utf8.count <= textMax, "its name is too long")
        try require(record.instance.utf8.count <= textMax, "its instance is too long")
        try check(record.config.guest)
    }

    /// A volume's record: its size, and what is kept free with it, count in the sums of placement.
    public static func check(_ record: VolumeRecord, at volume: VolumeID) throws(Violation) {
        try require(record.id == volume, "it says it is volume \(record.id)")
        try require((.zero...diskMax).contains(record.size), "its size is not 0 to \(diskMax)")
        try require(record.name.utf8.count <= textMax, "its name is too long")
        if let reserved = record.reserved { try check(reserved) }
    }

    private static func check(_ guest: MachineGuest) throws(Violation) {
        try require((0...cpusMax).contains(guest.cpus), "its CPUs are not 0 to \(cpusMax)")
        try require(
            (0...memoryMax.wholeMebibytes).contains(guest.memoryMebibytes), "its memory is not 0 to \(memoryMax)")
    }

    /// An app's record. With another name than its key's it would stand in for that other app.
    public static func check(_ record: AppRecord, at app: AppName) throws(Violation) {
        try require(record.name == app, "it says it is app \(record.name)")
    }

    /// An address's record. The text is the end of its key, and what the record says must be written in the same way.
    public static func check(_ record: IPRecord, at address: String) throws(Violation) {
        try require(record.address.description == address, "it says it is address \(record.address)")
    }

    /// What a cluster is to be: sizes that can be added up, and no endless list of members.
    public static func check(_ record: ClusterSpec, of cluster: AppName) throws(Violation) {
        try require(record.name == cluster, "it says it is cluster \(record.name)")
        try require(record.members.count <= membersMax, "it has more than \(membersMax) members")
        try require(record.readers?.count ?? 0 <= membersMax, "it has more than \(membersMax) readers")
        try require((.zero...diskMax).contains(record.volumeSize), "its volumes are not 0 to \(diskMax)")
        try require((record.lastNumber ?? 0) <= numberMax, "its members are numbered beyond \(numberMax)")
        if let attempts = record.attempts {
            try require((1...numberMax).contains(attempts.count), "its attempts are not 1 to \(numberMax)")
            try require(attempts.avoided.count <= membersMax, "it avoids more than \(membersMax) hosts")
        }
        try check(record.ledAway?.epoch ?? .none, "the epoch from which it is led away")
        let networks = record.allowedClients ?? []
        try require(networks.count <= networksMax, "it lets in more than \(networksMax) networks")
        try require(networks.allSatisfy { $0.utf8.count <= textMax }, "a network that it lets in is too long")
        try check(record.guest)
    }

    /// A cluster's rule. Who leads is not judged here: the compare-and-swap that wrote it was.
    public static func check(_ rule: ClusterRule) throws(Violation) {
        try require(rule.members.count <= membersMax, "it has more than \(membersMax) members")
        try check(rule.history)
        if let change = rule.change {
            try require(change.left.count + change.done.count <= membersMax, "its change has too many steps")
        }
        try require((0...membersMax).contains(rule.confirmations), "its confirmations are not 0 to \(membersMax)")
        try check(rule.epoch, "its epoch")
        try check(rule.recruitment?.epoch ?? .none, "the epoch that it calls for")
        try check(rule.changes ?? 0, "the count of its changes")
        try check(rule.timeline)
        if let forced = rule.forced { try check(forced) }
    }

    private static func check(_ forced: ForcedFailover) throws(Violation) {
        let (nameMax, reignMax) = (ForcedFailover.givenUpMax, ForcedFailover.lostMax)
        try require(forced.givenUp.count <= nameMax, "its failover gives up more than \(nameMax) members")
        try require(forced.lost.count <= reignMax, "its failover gives up more than \(reignMax) reigns")
        try check(forced.epoch, "the epoch of its failover")
        try check(forced.position)
        try check(forced.furthest)
        for reign in forced.lost { try check(reign) }
    }

    private static func check(_ history: [Reign]) throws(Violation) {
        try require(history.count <= historyMax, "it has more than \(historyMax) reigns")
        for reign in history { try check(reign) }
    }

    private static func check(_ reign: Reign) throws(Violation) {
        try check(reign.epoch, "the epoch of a reign")
        try check(reign.begin, "where a reign begins")
    }

    private static func check(_ position: Position?) throws(Violation) {
        try check(position?.epoch ?? .none, "the epoch of its position")
        try check(position?.end ?? .zero, "its position")
    }

    private static func check(_ epoch: Epoch, _ what: String) throws(Violation) { try check(epoch.number, what) }

    private static func check(_ position: LSN, _ what: String) throws(Violation) {
        try require(position < .limit, "\(what) is beyond any log")
    }

    private static func check(_ count: UInt64, _ what: String) throws(Violation) {
        try require(count <= countMax, "\(what) is more than \(countMax)")
    }

    private static func check(_ timeline: UInt32?) throws(Violation) {
        let timelineMax = ClusterRule.timelineMax
        try require(timeline ?? 0 <= timelineMax, "its timeline is more than \(timelineMax)")
    }

    /// Where a member lives. An address that is not its machine's would draw the cluster's traffic elsewhere.
    public static func check(_ record: MemberPlacement, of member: MemberName) throws(Violation) {
        try require(record.member == member, "it says it is member \(record.member)")
        // The network is in the address; the rest of it follows from the machine.
        let network = NetworkNumber(UInt32(truncatingIfNeeded: record.address.high >> 16))
        try require(
            record.address == MeshAddress.machine(record.machine, in: network) && network != .hosts,
            "its address is not its machine's")
    }

    /// What a member says of itself; its texts were cut by the host that took it from the member. Others count on from its
    /// numbers, and add them up.
    public static func check(_ report: MemberReport, of member: MemberName) throws(Violation) {
        try require(report.member == member, "it says it is member \(report.member)")
        try check(report.promised, "what it has promised")
        try check(report.keptSince ?? .none, "since when it keeps its promises")
        try check(report.position)
        try check(report.chain ?? [])
        // The next leader's is one more, and has to be one that a rule can name.
        let timelineMax = ClusterRule.timelineMax
        try require(report.timeline < timelineMax, "its timeline is not less than \(timelineMax)")
        try check(report.replayed, "what it has replayed")
        if let position = report.position {
            try require(report.replayed <= position.end, "it has replayed more than it has")
        }
        try check(report.lagBytes, "what it lags behind")
        try check(report.sequence ?? 0, "its number")
        try require((report.committedAt ?? 0).magnitude <= countMax, "its last commit is of no time")
        try require(report.lagMilliseconds.magnitude <= countMax, "its lag is more than \(countMax) ms")
        guard let knowledge = report.knowledge else { return }
        if let opened = knowledge.opened { try check(opened) }
        try check(knowledge.history)
        try check(knowledge.timeline)
        try check(knowledge.position)
        guard let membership = knowledge.membership else { return }
        try check(membership.changes, "the count of the changes that it knows of")
        try require(membership.members.count <= membersMax, "it knows of more than \(membersMax) members")
        try require(
            (0...membersMax).contains(membership.confirmations), "the confirmations are not 0 to \(membersMax)")
    }

    /// A leader's renewal.
    public static func check(_ heartbeat: Heartbeat) throws(Violation) {
        try check(heartbeat.epoch, "its epoch")
        try check(heartbeat.sequence, "its number")
        let standbys = heartbeat.standbys ?? []
        try require(standbys.count <= membersMax, "it sees more than \(membersMax) standbys")
        for standby in standbys { try check(standby.behindBytes ?? 0, "what \(standby.member) lags behind") }
    }

    /// An operation is what its key says, and its steps fit into an answer.
    public static func check(_ record: OperationRecord, at id: PlanetOperationID) throws(Violation) {
        try require(record.id == id, "it says it is operation \(record.id)")
        try require(record.steps.count <= historyMax, "it has more than \(historyMax) steps")
        try require(record.steps.allSatisfy { $0.name.utf8.count <= textMax * 4 }, "a step's name is too long")
    }

    /// 44 characters of base64 that end in one `=`: 32 bytes.
    private static func isKey(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard bytes.count == publicKeyLength, bytes.last == UInt8(ascii: "=") else { return false }
        return bytes.dropLast().allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "/"):
                true
            default: false
            }
        }
    }
}
