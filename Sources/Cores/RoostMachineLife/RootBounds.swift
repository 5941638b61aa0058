public import RoostModel

/// What machines' roots may take of a host's disk: when each is to be measured, which of them end, and whether the host
/// takes new machines. Volumes are no part of it: their room was given when they were made.
///
/// How long it takes to measure a root is its machine's doing, so roots that take long are measured in a lane of their
/// own: there they wait for each other, and no other root waits for them.
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
        /// Files that all processes of a machine together have open or mapped: one may have no name any more, and only
        /// they tell. More than all of them can be in one process (`fs.nr_open` of proc_sys_fs(5) is a million).
        public static let openMax = 4_000_000

        public init(rootMax: ByteCount, reserve: ByteCount) {
            self.rootMax = rootMax
            self.reserve = reserve
        }
    }

    /// One launch: another one of the same machine has another root.
    public struct Launch: Hashable, Sendable {
        public var machine: MachineID
        public var attempt: String

        public init(machine: MachineID, attempt: String) {
            self.machine = machine
            self.attempt = attempt
        }
    }

    /// One root at a time is measured in each.
    public enum Lane: CaseIterable, Hashable, Sendable {
        case quick
        /// For those that took longer than ``RootBounds/quickBudget``.
        case slow
    }

    /// One root is to be measured.
    public struct Walk: Hashable, Sendable {
        public var launch: Launch
        public var lane: Lane
        /// What is found by then counts.
        public var budget: Duration
        /// Nobody can wait until the host has nothing else to do.
        public var isUrgent: Bool
        fileprivate var began: Moment
    }

    /// What was found.
    public struct Finding: Hashable, Sendable {
        public var size: ByteCount
        /// False: it has more names than ``Limits/namesMax``, or folders nested deeper than anybody looks.
        public var isWhole: Bool
        /// More files are open or mapped than ``Limits/openMax``.
        public var hasTooManyOpen: Bool
        /// False: the time was over, and there is more.
        public var isDone: Bool

        public init(size: ByteCount, isWhole: Bool = true, hasTooManyOpen: Bool = false, isDone: Bool = true) {
            self.size = size
            self.isWhole = isWhole
            self.hasTooManyOpen = hasTooManyOpen
            self.isDone = isDone
        }
    }

    /// A launch that is to end.
    public struct Verdict: Hashable, Sendable {
        public enum Reason: Hashable, Sendable {
            case tooLarge(ByteCount, max: ByteCount)
            case tooManyNames
            case tooManyOpen
            case diskNearlyFull(ByteCount)
        }

        public var launch: Launch
        public var reason: Reason
    }

    /// The last look at a root.
    private struct Look {
        var began: Moment
        var ended: Moment
        /// Of the disk, then.
        var free: ByteCount
        /// Of a look whose time was over: at least what was known before.
        var size: ByteCount
        var lane: Lane
        /// It was too large.
        var isSuspect: Bool
    }

    public let limits: Limits
    /// The disk is so full that no new machine is taken.
    public private(set) var isFull = false
    /// When it was last read; nil: never yet.
    private var free: ByteCount?
    /// Since when less than the reserve is free.
    private var shortSince: Moment?
    private var looks: [Launch: Look] = [:]
    private var walking: Set<Launch> = []
    /// Of a root that was large enough to wait for.
    private var lastEnd: Moment?

    /// Between looks at a root while nothing happens.
    public static let slowBeat = Duration.seconds(60)
    /// Between looks when the disk is short, shrinks fast, or the root was too large.
    public static let quickBeat = Duration.seconds(5)
    /// Looks at a root take at most a fifth of the time, unless the disk is short.
    public static let pauseShare = 4
    /// A root that takes longer goes into the slow lane, and comes back when it takes half of that.
    public static let quickBudget = Duration.seconds(2)
    /// A million names on a disk that does a few thousand things a second take minutes: what was seen by then counts.
    public static let slowBudget = Duration.seconds(60)
    /// What an end frees shows only once the root is removed: so long, and one more look, before the next one ends.
    public static let settleTime = Duration.seconds(10)
    /// While the disk is short, so long for looks at all roots of the quick lane; then what was last known decides.
    public static let lookPatience = Duration.seconds(15)

    public init(limits: Limits) { self.limits = limits }

    /// The disk's free space was read.
    ///
    /// - Parameter launches: those that run.
    /// - Returns: one that is to end, now.
    public mutating func see(free: ByteCount, of launches: Set<Launch>, at now: Moment) -> Verdict? {
        self.free = free
        if free < limits.reserve {
            isFull = true
        } else if free >= roomy {
            isFull = false
        }
        shortSince = free < limits.reserve ? shortSince ?? now : nil
        guard let since = shortSince.map({ max($0, lastEnd ?? $0) }) else { return nil }
        if let lastEnd, now - lastEnd < Self.settleTime { return nil }
        guard now - since >= Self.lookPatience || launches.allSatisfy({ isFresh($0, since) }) else { return nil }
        let sizes = launches.compactMap { launch in looks[launch].map { (launch: launch, size: $0.size) } }
        let largest = sizes.filter { $0.size > Limits.rootPromise }
            .max { ($0.size, $1.launch.machine) < ($1.size, $0.launch.machine) }
        guard let largest else { return nil }
        lastEnd = now
        return Verdict(launch: largest.launch, reason: .diskNearlyFull(largest.size))
    }

    /// The root that is to be measured next in a lane; nil: none for now. Say what was found by ``see(_:in:at:)``.
    ///
    /// - Parameter launches: those that run.
    public mutating func next(_ lane: Lane, of launches: Set<Launch>, at now: Moment) -> Walk? {
        guard let free else { return nil }
        looks = looks.filter { launches.contains($0.key) || walking.contains($0.key) }
        // Who has waited longest, and who was never looked at before all others.
        let due = launches.filter {
            !walking.contains($0) && (looks[$0]?.lane ?? .quick) == lane && isDue($0, free: free, at: now)
        }
        guard let launch = due.min(by: { order($0) < order($1) }) else { return nil }
        walking.insert(launch)
        return Walk(
            launch: launch, lane: lane, budget: lane == .quick ? Self.quickBudget : Self.slowBudget,
            isUrgent: free < tight, began: now)
    }

    /// A root was measured.
    ///
    /// - Parameter finding: nil: there is none, or it could not be measured.
    /// - Returns: the verdict, where it is to end, now.
    public mutating func see(_ finding: Finding?, in walk: Walk, at now: Moment) -> Verdict? {
        walking.remove(walk.launch)
        let before = looks[walk.launch]
        let free = free ?? .zero
        guard let finding else {
            looks[walk.launch] = Look(
                began: walk.began, ended: now, free: free, size: before?.size ?? .zero, lane: walk.lane,
                isSuspect: before?.isSuspect ?? false)
            return nil
        }
        // What was seen is there, also where there is more.
        let reason = reason(against: finding)
        // What moves while it is looked at may be counted twice: one look is not enough, unless nobody can wait.
        let ends = reason != nil && (before?.isSuspect == true || shortSince != nil)
        looks[walk.launch] = Look(
            began: walk.began, ended: now, free: free,
            size: finding.isDone ? finding.size : max(finding.size, before?.size ?? .zero),
            lane: lane(after: walk, finding, took: now - walk.began),
            // What was not seen to its end acquits nobody.
            isSuspect: reason != nil ? !ends : !finding.isDone && before?.isSuspect == true)
        guard ends, let reason else { return nil }
        if isEnough(looks[walk.launch]?.size ?? .zero) { lastEnd = now }
        return Verdict(launch: walk.launch, reason: reason)
    }

    /// The end of a root of this size frees what is lacking, as far as anybody knows: the next one can wait for it. Ends
    /// that free little must put nothing off: whoever has its small machines ended again and again would keep its large one.
    private func isEnough(_ size: ByteCount) -> Bool {
        size > Limits.rootPromise && size >= limits.reserve - (free ?? .zero)
    }

    private func reason(against finding: Finding) -> Verdict.Reason? {
        if !finding.isWhole { return .tooManyNames }
        if finding.size > limits.rootMax { return .tooLarge(finding.size, max: limits.rootMax) }
        return finding.hasTooManyOpen ? .tooManyOpen : nil
    }

    private func lane(after walk: Walk, _ finding: Finding, took: Duration) -> Lane {
        switch walk.lane {
        case .quick: finding.isDone && took <= Self.quickBudget ? .quick : .slow
        case .slow: finding.isDone && took <= Self.quickBudget / 2 ? .quick : .slow
        }
    }

    /// Those in the slow lane are not waited for.
    private func isFresh(_ launch: Launch, _ since: Moment) -> Bool {
        guard let look = looks[launch] else { return false }
        return look.lane == .slow || look.began >= since
    }

    private func isDue(_ launch: Launch, free: ByteCount, at now: Moment) -> Bool {
        guard let look = looks[launch] else { return true }
        let isUrgent = free < tight || look.isSuspect || look.free - free >= shrinkage
        let beat = isUrgent ? Self.quickBeat : Self.slowBeat
        let pause = free < tight ? .zero : (look.ended - look.began) * Self.pauseShare
        return now - look.ended >= max(beat, pause)
    }

    private func order(_ launch: Launch) -> (Moment, MachineID) { (looks[launch]?.ended ?? .zero, launch.machine) }

    /// The disk is short.
    private var tight: ByteCount { limits.reserve + limits.reserve }
    /// From here on new machines are taken again: not at the first byte above the reserve.
    private var roomy: ByteCount { ByteCount(bytes: limits.reserve.bytes + limits.reserve.bytes / 4) }
    /// As much as this less than at the last look is fast.
    private var shrinkage: ByteCount { ByteCount(bytes: limits.reserve.bytes / 4) }
}

extension RootBounds.Verdict {
    /// For the event that tells the end.
    public var words: String {
        switch reason {
        case .tooLarge(let size, let max):
            "what it has written outside of volumes takes \(size) of the host's disk; at most \(max)"
        case .tooManyNames:
            "it has more files outside of volumes than the \(RootBounds.Limits.namesMax) that it may have, or folders "
                + "nested too deep"
        case .tooManyOpen:
            "its processes have more files open or mapped than the \(RootBounds.Limits.openMax) that they may have together"
        case .diskNearlyFull(let size):
            "the host's disk is nearly full, and of all machines it has written most outside of volumes, \(size)"
        }
    }
}
