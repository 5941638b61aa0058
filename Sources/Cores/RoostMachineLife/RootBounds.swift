public import RoostModel

/// What machines' roots may take of a host's disk: when they are to be measured, which of them end, and whether the host
/// takes new machines. Volumes are no part of it: their room was given when they were made.
public struct RootBounds: Sendable {
    public struct Limits: Hashable, Sendable {
        /// Of one root. A machine whose root takes more at two looks in a row ends.
        public var rootMax: ByteCount
        /// Left for the ledger, etcd and logs. With less free the host takes no new machine, and the largest root ends.
        public var reserve: ByteCount

        /// What a root may take however full the disk is.
        public static let rootPromise = ByteCount.mebibytes(256)
        /// Names in one root: what they take of the file system's inodes no size tells.
        public static let namesMax = 1_000_000

        public init(rootMax: ByteCount, reserve: ByteCount) {
            self.rootMax = rootMax
            self.reserve = reserve
        }
    }

    /// The root of one launch as a look found it.
    public struct Root: Hashable, Sendable {
        public var machine: MachineID
        public var attempt: String
        public var size: ByteCount
        /// False: it has more names than ``Limits/namesMax``, or folders nested deeper than anybody looks.
        public var isWhole: Bool

        public init(machine: MachineID, attempt: String, size: ByteCount, isWhole: Bool) {
            self.machine = machine
            self.attempt = attempt
            self.size = size
            self.isWhole = isWhole
        }
    }

    /// A launch that is to end.
    public struct Verdict: Hashable, Sendable {
        public enum Reason: Hashable, Sendable {
            case tooLarge(ByteCount, max: ByteCount)
            case tooManyNames
            case diskNearlyFull(ByteCount)
        }

        public var machine: MachineID
        public var attempt: String
        public var reason: Reason
    }

    /// One launch.
    fileprivate struct Launch: Hashable {
        var machine: MachineID
        var attempt: String
    }

    public let limits: Limits
    /// The disk is so full that no new machine is taken.
    public private(set) var isFull = false
    /// Those that were too large at the last look.
    private var suspects: Set<Launch> = []
    private var lastLook: (ended: Moment, took: Duration, free: ByteCount)?
    private var lastEnd: Moment?

    /// Between looks at all roots while nothing happens.
    public static let slowBeat = Duration.seconds(60)
    /// Between looks when the disk is short, shrinks fast, or a root was too large.
    public static let quickBeat = Duration.seconds(5)
    /// Looks take at most a fifth of the time.
    public static let pauseShare = 4
    /// What an end frees shows only once the root is removed: so long, and one more look, before the next one ends.
    public static let settleTime = Duration.seconds(10)

    public init(limits: Limits) { self.limits = limits }

    /// The disk's free space was read.
    ///
    /// - Returns: whether all roots are to be looked at now.
    public mutating func see(free: ByteCount, at now: Moment) -> Bool {
        if free < limits.reserve {
            isFull = true
        } else if free >= roomy {
            isFull = false
        }
        guard let lastLook else { return true }
        let isUrgent =
            free < limits.reserve + limits.reserve || !suspects.isEmpty || lastLook.free - free >= shrinkage
        let beat = isUrgent ? Self.quickBeat : Self.slowBeat
        return now - lastLook.ended >= max(beat, lastLook.took * Self.pauseShare)
    }

    /// All roots were looked at.
    ///
    /// - Parameters:
    ///   - free: read when the look had ended.
    ///   - began: when the look began.
    /// - Returns: those that are to end, now.
    public mutating func see(_ roots: [Root], free: ByteCount, since began: Moment, at now: Moment) -> [Verdict] {
        lastLook = (now, max(now - began, .zero), free)
        let isShort = free < limits.reserve
        let over = roots.filter { !$0.isWhole || $0.size > limits.rootMax }
        // What moves while it is looked at may be counted twice: one look is not enough, unless nobody can wait.
        let ending = over.filter { isShort || suspects.contains($0.launch) }
        suspects = Set(over.map(\.launch)).subtracting(ending.map(\.launch))
        var verdicts = ending.map { Verdict($0, $0.isWhole ? .tooLarge($0.size, max: limits.rootMax) : .tooManyNames) }
        if isShort, verdicts.isEmpty, lastEnd.map({ now - $0 >= Self.settleTime }) ?? true,
            let largest = roots.filter({ $0.size > Limits.rootPromise })
                .max(by: { ($0.size, $1.machine) < ($1.size, $0.machine) })
        {
            verdicts = [Verdict(largest, .diskNearlyFull(largest.size))]
        }
        if !verdicts.isEmpty { lastEnd = now }
        return verdicts
    }

    /// From here on new machines are taken again: not at the first byte above the reserve.
    private var roomy: ByteCount { ByteCount(bytes: limits.reserve.bytes + limits.reserve.bytes / 4) }
    /// As much as this less than at the last look is fast.
    private var shrinkage: ByteCount { ByteCount(bytes: limits.reserve.bytes / 4) }
}

extension RootBounds.Root {
    fileprivate var launch: RootBounds.Launch { RootBounds.Launch(machine: machine, attempt: attempt) }
}

extension RootBounds.Verdict {
    fileprivate init(_ root: RootBounds.Root, _ reason: Reason) {
        self.init(machine: root.machine, attempt: root.attempt, reason: reason)
    }

    /// For the event that tells the end.
    public var words: String {
        switch reason {
        case .tooLarge(let size, let max):
            "what it has written outside of volumes takes \(size) of the host's disk; at most \(max)"
        case .tooManyNames:
            "it has more files outside of volumes than the \(RootBounds.Limits.namesMax) that it may have, or folders "
                + "nested too deep"
        case .diskNearlyFull(let size):
            "the host's disk is nearly full, and of all machines it has written most outside of volumes, \(size)"
        }
    }
}
