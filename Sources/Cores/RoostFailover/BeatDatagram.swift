public import RoostModel

/// A beat on its way from one member to another, before it is sealed. All numbers are big-endian:
///
///     1 version   1 flags (1: open, 2: misses the leader)   8 each: life, number, challenge, echo, epoch
///     the sender's name, the receiver's, then how many members it hears (1) and their names; a name is its length (1) and bytes
///     1 what follows (1: a call, 2: an answer, 4: what was heard, 8: a plea, 16: a vote, 32: a decision, 64: how often
///     the members had changed, 128: the epoch of the last failover that a person has decided)
///     a call: 8 each: epoch, revision of the rule, revision of the rule that has it (0: not known)
///     an answer: 1 reigns   8 each: epoch, their digest, end, replayed   4 timeline   1 flags (1: cannot lead)
///     what was heard: 8 each: life, number
///     a plea: 8 epoch
///     a vote: 8 epoch   the name of whom it is for
///     a decision: 1 reigns   8 each: their digest, epoch of the base   4 timeline   1 reigns that follow, each: 8 epoch, 8 begin, name
///     8 each: how often the members had changed, the epoch of a person's decision
///
/// Programs of before there were calls end with the names, and pass over the rest; those of before it was said what was heard, or
/// before there were votes, pass over that. What follows is of a later version, and passed over. A version that changes what is here has another number.
public struct BeatDatagram: Hashable, Sendable {
    public static let version: UInt8 = 1
    /// Without the seal. It fits, with it, through every path of the mesh.
    public static let bytesMax = 1100
    private static let nameBytesMax = 63

    public var beat: MemberBeat
    public var receiver: MemberName
    /// Another in each life of the sender's process.
    public var life: UInt64
    /// Grows in a life.
    public var number: UInt64
    /// What the receiver is to say back to show that it is there now.
    public var challenge: UInt64
    /// The receiver's own challenge, as last heard; 0 before.
    public var echo: UInt64
    /// The last of the receiver's own datagrams that the sender has heard: so this one was sent after that one. Nil: it has
    /// heard none, or its program does not say so.
    public var heard: BeatMark?

    public init(
        _ beat: MemberBeat, to receiver: MemberName, life: UInt64, number: UInt64, challenge: UInt64, echo: UInt64,
        heard: BeatMark? = nil
    ) {
        self.beat = beat
        self.receiver = receiver
        self.life = life
        self.number = number
        self.challenge = challenge
        self.echo = echo
        self.heard = heard
    }

    public var bytes: [UInt8] {
        var text = Text()
        text.add(byte: Self.version)
        text.add(byte: (beat.isOpen ? 1 : 0) | (beat.missesLeader ? 2 : 0))
        for number in [life, number, challenge, echo, beat.epoch.number] { text.add(number) }
        text.add(beat.member)
        text.add(receiver)
        let heard = beat.hears.prefix(PostgresNames.membersMax)
        text.add(byte: UInt8(heard.count))
        for member in heard { text.add(member) }
        text.add(
            byte: (beat.call == nil ? 0 : 1) | (beat.answer == nil ? 0 : 2) | (self.heard == nil ? 0 : 4)
                | (beat.plea == nil ? 0 : 8)
                | (beat.vote?.member == nil ? 0 : 16) | (beat.told == nil ? 0 : 32)
                | (beat.changes == nil ? 0 : 64) | (beat.forced == nil ? 0 : 128))
        if let call = beat.call {
            text.add(call.epoch.number)
            text.add(UInt64(bitPattern: call.revision))
            text.add(UInt64(bitPattern: call.stored ?? 0))
        }
        if let answer = beat.answer {
            text.add(byte: UInt8(clamping: answer.reigns))
            for number in [answer.epoch.number, answer.digest, answer.end.offset, answer.replayed.offset] {
                text.add(number)
            }
            text.add(answer.timeline)
            text.add(byte: answer.cannotLead ? 1 : 0)
        }
        if let mark = self.heard {
            text.add(mark.life)
            text.add(mark.number)
        }
        if let plea = beat.plea { text.add(plea.epoch.number) }
        if let vote = beat.vote, let member = vote.member {
            text.add(vote.epoch.number)
            text.add(member)
        }
        if let told = beat.told {
            text.add(byte: UInt8(clamping: told.reigns))
            text.add(told.digest)
            text.add(told.base.number)
            text.add(told.timeline)
            text.add(byte: UInt8(clamping: told.tail.count))
            for reign in told.tail {
                text.add(reign.epoch.number)
                text.add(reign.begin.offset)
                text.add(reign.leader)
            }
        }
        if let changes = beat.changes { text.add(changes) }
        if let forced = beat.forced { text.add(forced.number) }
        return text.bytes
    }

    /// What is written so far.
    private struct Text {
        private(set) var bytes: [UInt8] = []

        init() { bytes.reserveCapacity(bytesMax) }

        mutating func add(byte: UInt8) { bytes.append(byte) }

        mutating func add(_ number: some FixedWidthInteger) {
            for shift in stride(from: number.bitWidth - 8, through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: number >> shift))
            }
        }

        mutating func add(_ name: MemberName) {
            let text = name.text.utf8.prefix(nameBytesMax)
            bytes.append(UInt8(text.count))
            bytes.append(contentsOf: text)
        }
    }

    /// Nil for what is none, or of another version.
    public init?(_ bytes: some RandomAccessCollection<UInt8>) {
        guard bytes.count <= Self.bytesMax else { return nil }
        var rest = Rest(bytes: ArraySlice(bytes))
        guard rest.byte() == Self.version, let flags = rest.byte(), let life = rest.number(),
            let count = rest.number(), let challenge = rest.number(), let echo = rest.number(),
            let epoch = rest.number(), let sender = rest.name(), let receiver = rest.name(), let heard = rest.byte(),
            heard <= PostgresNames.membersMax
        else { return nil }
        var hears: [MemberName] = []
        for _ in 0..<heard {
            guard let name = rest.name() else { return nil }
            hears.append(name)
        }
        var beat = MemberBeat(
            member: sender, epoch: Epoch(epoch), isOpen: flags & 1 != 0, missesLeader: flags & 2 != 0, hears: hears)
        let parts = rest.byte() ?? 0
        if parts & 1 != 0 {
            guard let call = rest.call() else { return nil }
            beat.call = call
        }
        if parts & 2 != 0 {
            guard let answer = rest.answer() else { return nil }
            beat.answer = answer
        }
        var mark: BeatMark?
        if parts & 4 != 0 {
            guard let life = rest.number(), let number = rest.number() else { return nil }
            mark = BeatMark(life: life, number: number)
        }
        guard rest.election(of: parts, into: &beat) else { return nil }
        self.init(beat, to: receiver, life: life, number: count, challenge: challenge, echo: echo, heard: mark)
    }

    /// What is not read yet.
    private struct Rest {
        var bytes: ArraySlice<UInt8>

        mutating func byte() -> UInt8? { bytes.popFirst() }

        mutating func number(of count: Int = 8) -> UInt64? {
            guard bytes.count >= count else { return nil }
            var number: UInt64 = 0
            for byte in bytes.prefix(count) { number = number << 8 | UInt64(byte) }
            bytes.removeFirst(count)
            return number
        }

        mutating func name() -> MemberName? {
            guard let count = byte(), count <= nameBytesMax, bytes.count >= count else { return nil }
            let text = String(decoding: bytes.prefix(Int(count)), as: UTF8.self)
            bytes.removeFirst(Int(count))
            return try? MemberName(text)
        }

        mutating func call() -> DirectCall? {
            guard let epoch = number(), let revision = number(), let stored = number() else { return nil }
            return DirectCall(
                epoch: Epoch(epoch), revision: Int64(bitPattern: revision),
                stored: stored == 0 ? nil : Int64(bitPattern: stored))
        }

        /// - Returns: whether all of it is there.
        mutating func election(of parts: UInt8, into beat: inout MemberBeat) -> Bool {
            if parts & 8 != 0 {
                guard let epoch = number() else { return false }
                beat.plea = Plea(epoch: Epoch(epoch))
            }
            if parts & 16 != 0 {
                guard let epoch = number(), let member = name() else { return false }
                beat.vote = Ballot(epoch: Epoch(epoch), member: member)
            }
            if parts & 32 != 0 {
                guard let told = decision() else { return false }
                beat.told = told
            }
            if parts & 64 != 0 {
                guard let changes = number() else { return false }
                beat.changes = changes
            }
            if parts & 128 != 0 {
                guard let epoch = number() else { return false }
                beat.forced = Epoch(epoch)
            }
            return true
        }

        mutating func decision() -> ToldDecision? {
            guard let reigns = byte(), let digest = number(), let base = number(), let timeline = number(of: 4),
                let count = byte(), count <= ToldDecision.tailMax
            else { return nil }
            var tail: [Reign] = []
            for _ in 0..<count {
                guard let epoch = number(), let begin = number(), let leader = name() else { return nil }
                tail.append(Reign(epoch: Epoch(epoch), leader: leader, begin: LSN(begin)))
            }
            return ToldDecision(
                reigns: Int(reigns), digest: digest, tail: tail, timeline: UInt32(timeline), base: Epoch(base))
        }

        mutating func answer() -> DirectAnswer? {
            guard let reigns = byte(), let epoch = number(), let digest = number(), let end = number(),
                let replayed = number(), let timeline = number(of: 4), let flags = byte()
            else { return nil }
            return DirectAnswer(
                epoch: Epoch(epoch), reigns: Int(reigns), digest: digest, end: LSN(end), replayed: LSN(replayed),
                timeline: UInt32(timeline), cannotLead: flags & 1 != 0)
        }
    }
}
