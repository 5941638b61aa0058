import Glibc
import RoostLinux
import RoostModel
import Synchronization

/// What a process has done so far, as the kernel counts it.
struct ProcessEffort: Hashable, Sendable {
    /// When it began, in ticks since the boot: with its number, which process it is.
    var began: UInt64
    /// Of the processor, in ticks of 10 ms (USER_HZ).
    var ticks: UInt64
    /// Read from disks and written to them; nil: that is not told, as between users it is to nobody without a right of its own.
    var bytes: UInt64?
    /// So often it went to sleep.
    var sleeps: UInt64
    /// It waits for a disk and cannot be ended.
    var waitsForDisk: Bool

    /// It has done this much since: more than it takes to wake five times a second and see whether there is more of the log, as
    /// a standby does that has read all (`wal_retrieve_retry_interval`).
    func isWork(since former: Self, over time: Duration) -> Bool {
        guard began == former.began else { return true }
        if let bytes, let before = former.bytes, bytes > before { return true }
        let used = ticks &- former.ticks
        return used > 0 && (waitsForDisk || Self.tick * Int(clamping: used) * 100 >= time)
    }

    /// It lives, at least: it wakes again and again to look for something, which takes a quick processor next to nothing. More
    /// often than for the timers that go on in one that hangs.
    func isStir(since former: Self, over time: Duration) -> Bool {
        let wakes = Int(clamping: sleeps &- former.sleeps)
        return waitsForDisk || began != former.began || ticks != former.ticks
            || wakes > 0 && Duration.seconds(1) * wakes >= time
    }

    private static let tick = Duration.milliseconds(10)
}

extension ProcessEffort {
    /// Nil when there is no such process, or it is not understood what the kernel says of it.
    init?(_ pid: pid_t, in folder: String = "/proc") throws(SystemError) {
        func text(_ name: String) throws(SystemError) -> String? {
            try ProcessFacts.read("\(folder)/\(pid)/\(name)", bytesMax: 1 << 16)
                .map { String(decoding: $0, as: UTF8.self) }
        }
        guard let stat = try text("stat"), let status = try text("status") else { return nil }
        let io = try? text("io")
        self.init(stat: stat, status: status, io: io)
    }

    /// - Parameter stat: see proc_pid_stat(5). The name in it may have any letters, brackets too.
    init?(stat: String, status: String, io: String?) {
        guard let bracket = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[bracket...].dropFirst().split(whereSeparator: \.isWhitespace)
        // The third field is the first of these: user time is the 14th, then system time; the beginning the 22nd.
        guard fields.count > 19, let user = UInt64(fields[11]), let system = UInt64(fields[12]),
            let began = UInt64(fields[19])
        else { return nil }
        self.began = began
        ticks = user + system
        waitsForDisk = fields[0] == "D"
        sleeps = Self.number("voluntary_ctxt_switches", in: status) ?? 0
        bytes = io.flatMap { io in
            guard let read = Self.number("read_bytes", in: io), let written = Self.number("write_bytes", in: io) else {
                return nil
            }
            return read &+ written
        }
    }

    private static func number(_ name: String, in text: String) -> UInt64? {
        for line in text.split(separator: "\n") where line.hasPrefix(name + ":") {
            return UInt64(line.dropFirst(name.count + 1).drop(while: \.isWhitespace))
        }
        return nil
    }
}

/// One look at a Postgres that comes up: at the process that reads its log, and at the one that writes the checkpoint with which
/// that ends (startup.c, checkpointer.c). The others are at work whatever becomes of these two, and by their questions
/// those who wait keep the postmaster at work.
struct StartLook: Hashable, Sendable {
    struct Process: Hashable, Sendable {
        var pid: pid_t
        var effort: ProcessEffort
    }

    var postmaster: Process
    /// Nil: it is not there yet, or there is nothing more to be read.
    var startup: Process?
    /// What it says it is at, as `recovering` and the name of a file of the log.
    var activity = ""
    var checkpointer: Process?

    static let kinds: Set<Substring> = ["startup", "checkpointer"]

    /// A child of the postmaster that says that it is of this kind. The postmaster begins them before it lets anybody in.
    mutating func see(_ kind: Substring, _ process: Process, at activity: String) {
        func isEarlier(than former: Process?) -> Bool {
            former.map { (process.effort.began, process.pid) < ($0.effort.began, $0.pid) } ?? true
        }
        if kind == "checkpointer" {
            if isEarlier(than: checkpointer) { checkpointer = process }
        } else if isEarlier(than: startup) {
            (startup, self.activity) = (process, activity)
        }
    }

    enum Change: Hashable, Sendable {
        /// It has come further.
        case progress
        /// It lives, and does nothing but wait: for a disk, or for what others have to bring.
        case alive
        /// Nothing at all has happened.
        case still
    }

    func change(since former: Self, over time: Duration) -> Change {
        guard let startup else {
            guard former.startup == nil else { return .progress }
            // With nothing to do it wakes each minute.
            let lives =
                postmaster.effort.isStir(since: former.postmaster.effort, over: time)
                || postmaster.effort.sleeps != former.postmaster.effort.sleeps
            return lives ? .alive : .still
        }
        guard let before = former.startup, before.pid == startup.pid, activity == former.activity else {
            return .progress
        }
        if startup.effort.isWork(since: before.effort, over: time) { return .progress }
        var stirs = startup.effort.isStir(since: before.effort, over: time)
        if let checkpointer {
            guard let before = former.checkpointer, !checkpointer.effort.isWork(since: before.effort, over: time)
            else { return .progress }
            stirs = stirs || checkpointer.effort.isStir(since: before.effort, over: time)
        }
        return stirs ? .alive : .still
    }
}

/// Whether a Postgres that does not answer yet comes nearer to it, from attempt to attempt. How long that takes says nothing;
/// that the kernel has counted nothing does.
struct StartWatch: Hashable, Sendable {
    /// Nothing for so long: it hangs.
    let standstillMax: Duration
    private struct Sight: Hashable, Sendable {
        var look: StartLook
        var moment: Moment
    }
    private var last: Sight?
    private var stillFor = Duration.zero
    /// For how long it has come no further; nil: it has not been seen to.
    private var idleFor: Duration?

    init(standstillMax: Duration) { self.standstillMax = standstillMax }

    /// So often is looked.
    var interval: Duration { standstillMax / 18 }

    /// Nobody can end it too early by standing still himself: of the time from one look to the next so much counts.
    private var gapMax: Duration { interval * 2 }

    /// - Parameter look: nil when no Postgres runs.
    mutating func note(_ look: StartLook?, _ now: Moment) {
        guard let look, let last, last.look.postmaster.pid == look.postmaster.pid,
            last.look.postmaster.effort.began == look.postmaster.effort.began
        else {
            (stillFor, idleFor) = (.zero, nil)
            self.last = look.map { Sight(look: $0, moment: now) }
            return
        }
        let gap = min(now - last.moment, gapMax)
        switch look.change(since: last.look, over: now - last.moment) {
        case .progress: (stillFor, idleFor) = (.zero, .zero)
        case .alive: (stillFor, idleFor) = (.zero, idleFor.map { $0 + gap })
        case .still: (stillFor, idleFor) = (stillFor + gap, idleFor.map { $0 + gap })
        }
        self.last = Sight(look: look, moment: now)
    }

    /// It is to be ended: it will not come up.
    var hangs: Bool { stillFor >= standstillMax }

    /// It came further just now.
    var isAtWork: Bool { idleFor.map { $0 < standstillMax } ?? false }
}

extension PostgresInstance {
    /// Nil when no Postgres runs, or it cannot be seen.
    ///
    /// - Parameter onlyOnce: it has come up once it has answered. One that follows has nothing to do as long as nothing is sent.
    func lookAtStart(onlyOnce: Bool) -> StartLook? {
        guard isRunning, !onlyOnce || comingUp.withLock({ $0 != nil }) else { return nil }
        return processes.start()
    }
}
