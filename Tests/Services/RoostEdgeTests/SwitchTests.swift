import Glibc
import Logging
import RoostEdgeProcess
import RoostLinux
import RoostModel
import RoostWire
import Synchronization
import Testing

@Suite("Stopping and starting an edge", .timeLimit(.minutes(1)))
struct SwitchTests {
    /// What is announced, and whether clients are let in, each with its time.
    private final class Doings: Sendable {
        enum Doing: Hashable { case announced(EdgeHealth), accepts(Bool) }
        private let list = Mutex<[(doing: Doing, at: Moment)]>([])

        var all: [Doing] { list.withLock { $0.map(\.doing) } }
        func add(_ doing: Doing) { list.withLock { $0.append((doing, BootClock.now())) } }
        func times(of doing: Doing) -> [Moment] { list.withLock { $0.filter { $0.doing == doing }.map(\.at) } }
    }

    private static let count = Atomic(0)
    private let folder: String
    private let doings = Doings()
    private let drainTime = Duration.milliseconds(600)
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    init() throws {
        folder = "/tmp/roost-switch-\(getpid())-\(Self.count.add(1, ordering: .relaxed).newValue)"
        try DurableFile.makeFolder(folder)
    }

    private func remove() {
        for name in (try? FolderListing.names(in: folder)) ?? [] {
            unlink(folder + "/" + name)
            rmdir(folder + "/" + name)
        }
        rmdir(folder)
    }

    private var path: String { folder + "/edge-stopped" }
    private var note: StoppedNote { StoppedNote(path: path) }

    private func toggle(_ note: StoppedNote, isStopped: Bool = false) -> EdgeSwitch {
        EdgeSwitch(note, isStopped: isStopped, drainTime: drainTime) { [doings] in
            doings.add(.announced($0))
        } accept: { [doings] in
            doings.add(.accepts($0))
        }
    }

    @Test("It drains, withdraws and closes the door, in this order, and stays stopped until it is started")
    func order() async throws {
        defer { remove() }
        #expect(!note.isThere(logger))
        let toggle = toggle(note)
        let began = BootClock.now()
        try await toggle.stop()
        #expect(doings.all == [.announced(.draining), .announced(.down), .accepts(false)])
        #expect(BootClock.now() - began >= drainTime)
        #expect(toggle.isStopped && note.isThere(logger))
        // Once more changes nothing, and takes no time to do so.
        let again = BootClock.now()
        try await toggle.stop()
        #expect(doings.all.count == 3 && BootClock.now() - again < drainTime)
        try await toggle.start()
        #expect(doings.all.suffix(2) == [.accepts(true), .announced(.healthy)])
        #expect(!toggle.isStopped && !note.isThere(logger))
    }

    @Test("Nothing changes where it cannot be written down")
    func unwritable() async throws {
        defer { remove() }
        let lost = StoppedNote(path: folder + "/nowhere/edge-stopped")
        #expect(!lost.isThere(logger))
        let toggle = toggle(lost)
        do throws(Refusal) {
            try await toggle.stop()
            Issue.record("it was stopped, and would come back with its host")
        } catch {
            #expect(error.code == .failed && error.message.contains("could not be kept"))
        }
        #expect(doings.all.isEmpty && !toggle.isStopped)
    }

    @Test("A note that cannot be read or taken away keeps the edge stopped")
    func unreadable() async throws {
        defer { remove() }
        try DurableFile.makeFolder(path)
        #expect(note.isThere(logger))
        let toggle = toggle(note, isStopped: true)
        await #expect(throws: Refusal.self) { try await toggle.start() }
        #expect(doings.all.isEmpty && toggle.isStopped)
    }

    @Test("Stopped, started and stopped within one drain, it drains the second time as long as the first")
    func overtaken() async throws {
        defer { remove() }
        let toggle = toggle(note)
        let first = Task { try await toggle.stop() }
        let drains = try await poll(for: .seconds(8), every: .milliseconds(1)) {
            doings.all == [.announced(.draining)] ? true : nil
        }
        #expect(drains == true)
        // Half of the first drain is over when the second one begins.
        let since = try #require(doings.times(of: .announced(.draining)).first)
        let isHalf = try await poll(for: .seconds(8), every: .milliseconds(1)) {
            BootClock.now() - since >= drainTime / 2 ? true : nil
        }
        #expect(isHalf == true)
        try await toggle.start()
        #expect(!toggle.isStopped && !note.isThere(logger))
        try await toggle.stop()
        let down = doings.times(of: .announced(.down))
        let begun = doings.times(of: .announced(.draining))
        #expect(begun.count == 2 && down.count == 1)
        #expect(down.last.map { down in begun.last.map { down - $0 >= drainTime } ?? false } == true)
        #expect(doings.all.last == .accepts(false) && toggle.isStopped && note.isThere(logger))
        // Whoever stopped it first is not told that it was.
        await #expect(throws: Refusal.self) { try await first.value }
    }

    @Test("Started while it drains, it goes on, and whoever stopped it is told so")
    func startedAgain() async throws {
        defer { remove() }
        let toggle = toggle(note)
        let stopping = Task { try await toggle.stop() }
        let drains = try await poll(for: .seconds(8), every: .milliseconds(1)) { toggle.isStopped ? true : nil }
        #expect(drains == true)
        try await toggle.start()
        await #expect(throws: Refusal.self) { try await stopping.value }
        #expect(doings.all == [.announced(.draining), .accepts(true), .announced(.healthy)])
    }

    @Test("Two who stop it at once wait for the same drain; one who goes away makes it no shorter")
    func together() async throws {
        defer { remove() }
        let toggle = toggle(note)
        let gone = Task { try await toggle.stop() }
        let drains = try await poll(for: .seconds(8), every: .milliseconds(1)) { toggle.isStopped ? true : nil }
        #expect(drains == true)
        gone.cancel()
        try await toggle.stop()
        try await gone.value
        #expect(doings.all == [.announced(.draining), .announced(.down), .accepts(false)])
        let (begun, down) = (doings.times(of: .announced(.draining)), doings.times(of: .announced(.down)))
        #expect(zip(begun, down).allSatisfy { $1 - $0 >= drainTime })
    }
}
