import CLinux
import Glibc
import RoostModel

/// Carries the packets of all links: one thread, one epoll, one timer.
///
/// End `2n` is side a of link n, end `2n + 1` its side b; direction `e` is what enters at end `e` and leaves at
/// end `e ^ 1`.
final class Engine {
    struct End {
        var place: WANEnd
        /// -1 while it is not plugged in.
        var file: Int32 = -1
    }

    struct Direction {
        var settings: WANDirection
        var delay: Int64
        var lossThreshold: UInt64
        var line: Int
        /// Lines for packets that a rule delays further, one for each sum of delays.
        var slowLines: [(extra: Int64, line: Int)] = []
        var queuedBytes = 0
        var counters = WANCounters()
    }

    /// Packets taken from one device before the others have their turn.
    private static let burst = 32
    /// Sums of rule delays in one direction; more than these share the last line.
    private static let slowLinesMax = 64

    private(set) var links: [WANLink]
    private(set) var ends: ContiguousArray<End> = []
    private(set) var directions: ContiguousArray<Direction> = []
    private var lineDirections: ContiguousArray<Int> = []
    private var schedule = Schedule()
    private let pool = PacketPool()
    private(set) var rules: RuleTable
    private var generator: SplitMix64
    private let poller: Poller
    private var control: ControlSocket?

    init(_ configuration: WANConfiguration) throws {
        guard configuration.links.count <= WANConfiguration.linksMax else {
            throw WANError("more than \(WANConfiguration.linksMax) links")
        }
        guard Set(configuration.links.map(\.name)).count == configuration.links.count else {
            throw WANError("two links have the same name")
        }
        links = configuration.links
        generator = SplitMix64(seed: configuration.seed)
        poller = try Poller()
        rules = RuleTable(
            directions: configuration.links.flatMap { link in
                [
                    RuleTable.Direction(link: link.name, from: link.a.site, to: link.b.site),
                    RuleTable.Direction(link: link.name, from: link.b.site, to: link.a.site),
                ]
            })
        for link in configuration.links {
            ends += [End(place: link.a), End(place: link.b)]
            for settings in [link.towardsB, link.towardsA] {
                try Self.validate(settings, of: link.name)
                directions.append(
                    Direction(settings: settings, delay: 0, lossThreshold: 0, line: makeLine(directions.count)))
                apply(settings, to: directions.count - 1)
            }
        }
        for end in ends.indices { try plug(end) }
    }

    deinit {
        for end in ends where end.file >= 0 { close(end.file) }
    }

    /// Carries packets and obeys the control socket until SIGTERM or SIGINT.
    func run(controlPath: String) throws {
        Self.takePrecedence()
        let control = try ControlSocket(path: controlPath, poller: poller)
        self.control = control
        defer { control.remove() }
        while true {
            let ready = try poller.wait()
            for index in 0..<ready {
                switch poller.event(index) {
                case .end(let end): readBurst(at: end)
                case .timer: poller.clearTimer()
                case .signal: return
                case .listener: control.accept()
                case .client(let file): control.serve(file) { self.answer($0) }
                }
            }
            deliver()
            poller.arm(at: schedule.nextDue)
        }
    }

    /// Packets do not wait for the processor until everybody else has had it: a link that is slow because the computer is
    /// busy makes hosts repeat themselves, and that makes it busier.
    ///
    /// The kernel shares the processor among sessions first and among a session's processes then (sched(7), "The
    /// autogroup feature"), and every site of a lab is a session: without a word for ours, a hundred sites would get a
    /// hundred times as much as what connects them.
    private static func takePrecedence() {
        setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, nice)
        let file = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC)
        // A kernel without the feature has no such file.
        guard file >= 0 else { return }
        defer { close(file) }
        let word = Array("\(nice)".utf8)
        _ = write(file, word, word.count)
    }

    private static let nice: Int32 = -15

    // MARK: - The path of a packet

    private func readBurst(at end: Int) {
        let file = ends[end].file
        guard file >= 0 else { return }
        let now = poller.now()
        for _ in 0..<Self.burst {
            guard let slot = pool.take() else {
                // Full: what is read now has nowhere to go.
                var scratch: UInt64 = 0
                if read(file, &scratch, 8) > 0 { directions[end].counters.droppedForRoom += 1 }
                break
            }
            let length = read(file, pool.address(of: slot), PacketPool.slotBytes)
            guard length > 0 else {
                pool.release(slot)
                if length < 0, errno != EAGAIN, errno != EINTR { unplug(end) }
                break
            }
            if !send(slot, length: length, from: end, at: now) { pool.release(slot) }
        }
        if let due = schedule.nextDue, due <= now { deliver() }
    }

    /// - Returns: whether the buffer is under way now; if not, the caller has it back.
    private func send(_ slot: Int32, length: Int, from end: Int, at now: Int64) -> Bool {
        directions[end].counters.packets += 1
        directions[end].counters.bytes += UInt64(length)
        if directions[end].settings.isCut || Loss.happens(directions[end].lossThreshold, using: &generator) {
            directions[end].counters.droppedByLink += 1
            return false
        }
        var extra: Int64 = 0
        if rules.hasRules(end) {
            let packet = UnsafeRawPointer(pool.address(of: slot))
            switch rules.verdict(on: end, packet: packet, length: length, using: &generator) {
            case .drop:
                directions[end].counters.droppedByRules += 1
                return false
            case .pass(let delay):
                extra = delay
            }
        }
        guard directions[end].queuedBytes + length <= directions[end].settings.queueBytesMax else {
            directions[end].counters.droppedForRoom += 1
            return false
        }
        let line = extra == 0 ? directions[end].line : slowLine(of: end, extra: extra)
        let due = now + directions[end].delay + extra
        directions[end].queuedBytes += length
        schedule.push(slot, length: Int32(truncatingIfNeeded: length), due: due, on: line)
        return true
    }

    private func slowLine(of direction: Int, extra: Int64) -> Int {
        if let known = directions[direction].slowLines.first(where: { $0.extra == extra }) { return known.line }
        if directions[direction].slowLines.count < Self.slowLinesMax {
            let line = makeLine(direction)
            directions[direction].slowLines.append((extra, line))
            return line
        }
        // Use an idle line again; if none is idle, the packet waits behind others of the last.
        let idle = directions[direction].slowLines.lastIndex { schedule.isEmpty($0.line) }
        let index = idle ?? Self.slowLinesMax - 1
        if idle != nil { directions[direction].slowLines[index].extra = extra }
        return directions[direction].slowLines[index].line
    }

    private func makeLine(_ direction: Int) -> Int {
        lineDirections.append(direction)
        return schedule.makeLine()
    }

    private func deliver() {
        var now = poller.now()
        var count = 0
        while let departure = schedule.pop(dueBy: now) {
            let packet = departure.packet
            let direction = lineDirections[departure.line]
            let length = Int(packet.length)
            directions[direction].queuedBytes -= length
            let file = ends[direction ^ 1].file
            if file >= 0, write(file, pool.address(of: packet.slot), length) == length {
                directions[direction].counters.delivered += 1
            } else {
                directions[direction].counters.droppedAtEnd += 1
            }
            pool.release(packet.slot)
            count += 1
            if count & 63 == 0 { now = poller.now() }
        }
    }

    // MARK: - Changes

    private static func validate(_ settings: WANDirection, of link: String) throws(WANError) {
        guard (0...WANDirection.delayMicrosecondsMax).contains(settings.delayMicroseconds),
            (0...100).contains(settings.lossPercent), settings.queueBytesMax > 0
        else {
            throw WANError(
                "link '\(link)': delay must be 0 to \(WANDirection.delayMicrosecondsMax) µs, "
                    + "loss 0 to 100 percent, the queue more than 0 bytes")
        }
    }

    private func apply(_ settings: WANDirection, to direction: Int) {
        directions[direction].settings = settings
        directions[direction].delay = settings.delayMicroseconds * 1000
        directions[direction].lossThreshold = Loss.threshold(percent: settings.lossPercent)
    }

    func change(_ change: WANLinkChange) throws(WANError) {
        guard let link = links.firstIndex(where: { $0.name == change.name }) else {
            throw WANError("there is no link '\(change.name)'")
        }
        for settings in [change.towardsA, change.towardsB].compactMap(\.self) {
            try Self.validate(settings, of: change.name)
        }
        if let settings = change.towardsB {
            links[link].towardsB = settings
            apply(settings, to: 2 * link)
        }
        if let settings = change.towardsA {
            links[link].towardsA = settings
            apply(settings, to: 2 * link + 1)
        }
    }

    func add(_ added: [WANRule]) throws(WANError) { try rules.add(added) }

    func remove(_ names: [String]?) throws(WANError) { try rules.remove(names) }

    func plug(site: String) throws { for end in try ends(of: site) where ends[end].file < 0 { try plug(end) } }

    func unplug(site: String) throws { for end in try ends(of: site) { unplug(end) } }

    private func ends(of site: String) throws(WANError) -> [Int] {
        let found = ends.indices.filter { ends[$0].place.site == site }
        guard !found.isEmpty else { throw WANError("no link ends at '\(site)'") }
        return found
    }

    private func plug(_ end: Int) throws {
        let file = try TunDevice.open(ends[end].place.interface, in: ends[end].place.namespace)
        do {
            try poller.add(file, as: .end(end))
        } catch {
            close(file)
            throw error
        }
        ends[end].file = file
    }

    /// Closing the device removes it from its namespace, and the namespace is no longer held.
    private func unplug(_ end: Int) {
        guard ends[end].file >= 0 else { return }
        close(ends[end].file)
        ends[end].file = -1
    }
}
