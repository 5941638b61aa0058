import Foundation
import Glibc
import RoostLinux
import RoostModel
import RoostRuntime
import Synchronization
import Testing

@testable import RoostContainers

/// What a machine can make so large that whoever reads it to the end is held up, or has no memory left.
@Suite struct HostileSizeTests {
    /// Instead of /proc, with `links` names in the fd folder of each process.
    private static func withProcesses(
        _ processes: Range<Int32>, links: Int, _ body: (String) throws -> Void
    ) throws {
        let folder = "/var/tmp/roost-proc-\(getpid())-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for process in processes {
            try DurableFile.makeFolder("\(folder)/\(process)/fd")
            for link in 0..<links {
                let file = open("\(folder)/\(process)/fd/\(link)", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
                #expect(file >= 0)
                close(file)
            }
        }
        try body(folder)
    }

    /// A look whose time is over once `reads` names were read; nil: never.
    private static func look(
        _ processes: Range<Int32>, in proc: String, openMax: Int, endAfter reads: Int? = nil
    ) -> (use: RootUse, reads: Int) {
        let end = WalkEnd(at: BootClock.now() + .seconds(600))
        if reads == 0 { end.come() }
        var count = 0
        let use = NamelessFiles.use(ofProcesses: Set(processes), openMax: openMax, until: end, in: proc) {
            count += 1
            if count == reads { end.come() }
            return readdir($0)
        }
        return (use, count)
    }

    @Test("However many files are open, a look at them ends at its time, and at its bound, without a listing before")
    func openFiles() throws {
        try Self.withProcesses(1..<21, links: 50) { proc in
            let whole = Self.look(1..<21, in: proc, openMax: 1000)
            // Each folder with its two dots and its end.
            #expect(whole.use.isDone && !whole.use.hasTooManyOpen && whole.reads >= 20 * 53)
            let over = Self.look(1..<21, in: proc, openMax: 1000, endAfter: 0)
            #expect(!over.use.isDone && over.reads == 0)
            let cut = Self.look(1..<21, in: proc, openMax: 1000, endAfter: 7)
            // Two of them may have been dots, at which nobody looks at the time.
            #expect(!cut.use.isDone && cut.reads <= 10)
            let many = Self.look(1..<21, in: proc, openMax: 120)
            #expect(many.use.hasTooManyOpen && many.reads <= 3 * 53)
            // The bound is that of all together.
            #expect(Self.look(1..<21, in: proc, openMax: 999).use.hasTooManyOpen)
        }
    }

    @Test("Where the kernel only says how large the tables are, a look that is cut off is no way to hide in large ones")
    func tables() throws {
        try Self.withProcesses(1..<6, links: 50) { proc in
            for (places, isTooMany) in [(256, false), (512, true)] {
                for process in 1...5 {
                    try DurableFile.write(
                        "Name:\tone\nFDSize:\t\(places)\nGroups:\t \n", to: "\(proc)/\(process)/status")
                }
                let cut = Self.look(1..<6, in: proc, openMax: 1000, endAfter: 7)
                #expect(!cut.use.isDone && cut.use.hasTooManyOpen == isTooMany)
                // What was seen to its end is known.
                let whole = Self.look(1..<6, in: proc, openMax: 1000)
                #expect(whole.use.isDone && !whole.use.hasTooManyOpen)
            }
        }
    }

    @Test("Where the kernel says how many files a process has open, too many are not even listed")
    func counted() throws {
        var own = stat()
        #expect(stat("/proc/self/fd", &own) == 0)
        let look = Self.look(getpid()..<getpid() + 1, in: "/proc", openMax: 2)
        #expect(look.use.hasTooManyOpen)
        // Since Linux 6.2.
        if own.st_size > 0 { #expect(look.reads == 0) }
        #expect(look.reads <= 6)
    }

    @Test("The files of a process whose first thread has ended are found at another one")
    func threads() throws {
        try Self.withProcesses(1..<2, links: 0) { proc in
            // The kernel has no thread of such a number, so that it does not say that the two share.
            let other = "\(Int32.max)"
            for thread in ["1", other] { try DurableFile.makeFolder("\(proc)/1/task/\(thread)") }
            try DurableFile.makeFolder("\(proc)/\(other)/fd")
            for link in 0..<9 { try DurableFile.makeFolder("\(proc)/\(other)/fd/\(link)") }
            #expect(Self.look(1..<2, in: proc, openMax: 9).use.isDone)
            #expect(Self.look(1..<2, in: proc, openMax: 8).use.hasTooManyOpen)
        }
    }

    @Test("A thousand threads with tables of their own are told apart by few questions, and hide no file")
    func ownTables() throws {
        let threads: [Int32] = (2...1001).shuffled()
        for answer in [Int32(1), 2] {
            var asked = 0
            var tables = FileTables(of: 1) { one, other in
                asked += 1
                return one == other ? 0 : one < other ? answer : 3 - answer
            }
            for thread in threads + threads { tables.add(thread) }
            #expect(tables.threads.first == 1 && Set(tables.threads) == Set(threads + [1]))
            #expect(tables.threads.count == 1001)
            // The logarithm of a thousand, twice for each.
            #expect(asked <= 2 * 1000 * 11, "\(asked)")
        }
        // Pairs share. Every fifth of them ends meanwhile, perhaps when it is known already.
        var ended: Set<Int32> = []
        var tables = FileTables(of: 1) { one, other in
            if ended.contains(one) || ended.contains(other) { return -ESRCH }
            return one / 2 == other / 2 ? 0 : one / 2 < other / 2 ? 1 : 2
        }
        for thread in threads {
            if thread % 10 == 0 { ended.formUnion([thread, thread + 1]) }
            tables.add(thread)
        }
        let live = tables.threads.filter { !ended.contains($0) }
        #expect(Set(live.map { $0 / 2 }).count == live.count)
        let seen = Set(tables.threads.map { $0 / 2 })
        #expect(threads.allSatisfy { seen.contains($0 / 2) })
        // Where the kernel does not tell, threads share, as they do as a rule.
        var mute = FileTables(of: 1) { _, _ in -EPERM }
        for thread in threads { mute.add(thread) }
        #expect(mute.threads == [1])
    }

    @Test("Threads are listed once, with their process, and not before all others are looked at")
    func threadsLater() throws {
        try Self.withProcesses(1..<21, links: 3) { proc in
            for process in 1...20 {
                for thread in 0..<50 {
                    try DurableFile.makeFolder("\(proc)/\(process)/task/\(1_000_000 + process * 100 + thread)")
                }
            }
            var reads = 0
            let use = NamelessFiles.use(
                ofProcesses: Set(1..<21), openMax: 1000, until: WalkEnd(at: BootClock.now() + .seconds(600)), in: proc,
                read: {
                    reads += 1
                    return readdir($0)
                }, compare: { _, _ in 0 })
            #expect(use.isDone && !use.hasTooManyOpen)
            // Each folder with its two dots and its end.
            #expect(reads == 20 * (53 + 6), "\(reads)")
        }
    }

    @Test("The kernel says of real threads which have a table of their own, in one order")
    func realThreads() throws {
        let threads = try (0..<3).map { try HeldThread(hasOwnTable: $0 > 0) }
        defer { for thread in threads { thread.end() } }
        let own = getpid()
        #expect(FileTables.kernel(own, threads[0].number) == 0)
        for (one, other) in [(own, threads[1].number), (threads[1].number, threads[2].number)] {
            let (there, back) = (FileTables.kernel(one, other), FileTables.kernel(other, one))
            // Where the kernel has no kcmp, or forbids it, there is nothing to see.
            if there < 0 { continue }
            #expect([there, back].sorted() == [1, 2])
        }
        if FileTables.kernel(own, own) == 0 {
            var tables = FileTables(of: own, FileTables.kernel)
            for thread in threads { tables.add(thread.number) }
            #expect(Set(tables.threads) == [own, threads[1].number, threads[2].number])
        }
        #expect(FileTables.kernel(own, .max) == -ESRCH)
    }

    @Test("A process that shows gigabytes as its arguments is nobody's watcher, and no error")
    func arguments() throws {
        try Self.withProcesses(1..<4, links: 0) { proc in
            try DurableFile.write("conmon\0-c\0id\0", to: proc + "/1/cmdline")
            let large = open(proc + "/2/cmdline", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
            #expect(ftruncate(large, 1 << 30) == 0)
            close(large)
            let found = try (1...3).map { try OCIRuntime.watcherArguments(of: $0, in: proc) }
            #expect(found[0].map { $0.map { String(decoding: $0, as: UTF8.self) } } == ["conmon", "-c", "id"])
            #expect(found[1] == nil && found[2] == nil)
        }
    }

    @Test("The end of a process tree that grows all the time is given up in time")
    func tree() throws {
        // Nobody's: each round finds somebody, and there is nobody to be killed.
        let nobody = try JSONDecoder().decode(
            ProcessIdentity.self, from: Data(#"{"pid":2147483647,"startTicks":1}"#.utf8))
        var rounds = 0
        ProcessTree.end(nobody, within: .milliseconds(100)) { _ in
            rounds += 1
            usleep(30_000)
            return [Int32.max]
        }
        #expect(rounds >= 1 && rounds <= 4)
    }
}

/// A thread that waits until it is ended.
private final class HeldThread: Sendable {
    let number: Int32
    private let gate = DispatchSemaphore(value: 0)

    /// - Parameter hasOwnTable: of open files.
    init(hasOwnTable: Bool) throws {
        let began = DispatchSemaphore(value: 0)
        let found = Mutex<Int32?>(nil)
        let gate = gate
        let thread = Thread {
            let isApart = !hasOwnTable || Self.unshareFiles()
            // pid/task/tid
            let name = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/thread-self")
            let number = name.flatMap { $0.split(separator: "/").last }.flatMap { Int32($0) }
            found.withLock { $0 = isApart ? number : nil }
            began.signal()
            gate.wait()
        }
        thread.start()
        began.wait()
        let seen = found.withLock { $0 }
        if seen == nil { gate.signal() }
        number = try #require(seen)
    }

    func end() { gate.signal() }

    /// unshare(2), which Swift does not see, with CLONE_FILES.
    private static func unshareFiles() -> Bool {
        typealias Unshare = @convention(c) (CInt) -> CInt
        guard let program = dlopen(nil, RTLD_NOW), let place = dlsym(program, "unshare") else { return false }
        return unsafeBitCast(place, to: Unshare.self)(0x400) == 0
    }
}
