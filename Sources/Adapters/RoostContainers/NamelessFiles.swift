import CLinux
import Glibc
import RoostLinux
import RoostModel
import RoostRuntime

/// Files of machines' roots that were removed while somebody had them open: they take their blocks until the last
/// process lets go, and no walk finds them.
enum NamelessFiles {
    /// Nothing is opened but folders of /proc: the kernel's links are asked what they lead to (proc_pid_fd(5)). Blocks:
    /// until the end and for one question to the kernel more, whatever the processes have made of themselves.
    ///
    /// - Parameter openMax: files open or mapped in all processes: thousands of processes may share a table of a million.
    static func use(
        ofProcesses processes: Set<Int32>, openMax: Int, until end: WalkEnd, in proc: String = "/proc",
        read: @escaping FolderListing.Read = readdir, compare: @escaping FileTables.Compare = FileTables.kernel
    ) -> RootUse {
        var look = OpenLook(proc: proc, read: read, compare: compare, end: end, count: OpenCount(max: openMax))
        guard look.expects(processes) else { return look.use }
        // In another order each time: of a look that does not come to its end the largest that was ever seen counts, and
        // nobody can put a file where no look gets to.
        for process in processes.shuffled() where !look.take(process) { return look.use }
        return look.use
    }
}

/// One look at what processes have open.
private struct OpenLook {
    /// OVERLAYFS_SUPER_MAGIC of linux/magic.h. A machine can mount nothing, so what is on an overlay is its root.
    private static let overlay = 0x794c_7630
    private static let blockSize: Int64 = 512
    /// Looks at what moves all the time.
    private static let roundsMax = 8
    /// Of proc_pid_status(5), which has a few kilobytes.
    private static let placesField = "FDSize:"
    private static let statusBytesMax = 64 << 10

    private struct File: Hashable {
        var device: dev_t
        var number: ino_t
    }

    private enum Answer {
        case seen
        /// Gone meanwhile, perhaps.
        case missed
    }

    let proc: String
    let read: FolderListing.Read
    let compare: FileTables.Compare
    let end: WalkEnd
    var count: OpenCount
    var use = RootUse(size: .zero)
    /// The kernel says how many files a table has, and not only for how many it has places.
    private let isCounted: Bool
    /// Of all tables that were come to, as the kernel says.
    private var expected = 0
    /// Without a name, and counted.
    private var files: Set<File> = []

    /// Since Linux 6.2 the size of the folder is the number of files in it (Documentation/filesystems/proc.rst), so that
    /// nobody has to list what is too much. An older kernel says 0 of every one, this process's own too.
    init(
        proc: String, read: @escaping FolderListing.Read, compare: @escaping FileTables.Compare, end: WalkEnd,
        count: OpenCount
    ) {
        (self.proc, self.read, self.compare, self.end, self.count) = (proc, read, compare, end, count)
        isCounted = Self.openFiles(in: "\(proc)/self") > 0
    }

    /// The processes' tables have places for so many files that a look whose time is over before it has seen them does
    /// not get to its end another time: what it has not seen must not stay hidden for that.
    private var isBeyondSight: Bool { !isCounted && expected > 2 * count.max }

    /// One question for each process, and nothing that one of them can make expensive: the look at all is still to come. Its
    /// own table alone may be too much, and nothing is listed for that; those that threads have beside are come to with it.
    /// - Returns: whether the look goes on.
    mutating func expects(_ processes: Set<Int32>) -> Bool { processes.allSatisfy { expects("\(proc)/\($0)") } }

    private mutating func expects(_ table: String) -> Bool {
        expected += isCounted ? Self.openFiles(in: table) : places(in: table)
        guard isCounted, expected > count.max else { return true }
        use.hasTooManyOpen = true
        return false
    }

    /// How many files a table has places for: up to the next power of two above the highest descriptor that it has had. As
    /// a rule that is twice as many as it has open, at most.
    private func places(in table: String) -> Int {
        guard let bytes = try? DurableFile.read("\(table)/status", bytesMax: Self.statusBytesMax) else { return 0 }
        let line = bytes.split(separator: UInt8(ascii: "\n")).first { $0.starts(with: Self.placesField.utf8) }
        let number = line.map { String(decoding: $0.dropFirst(Self.placesField.utf8.count), as: UTF8.self) }
        return number.flatMap { Int($0.filter { !$0.isWhitespace }) } ?? 0
    }

    private static func openFiles(in table: String) -> Int {
        var status = stat()
        return stat("\(table)/fd", &status) == 0 ? Int(status.st_size) : 0
    }

    /// - Returns: whether the look goes on.
    mutating func take(_ process: Int32) -> Bool {
        guard let tables = tables(of: process) else { return false }
        guard tables.dropFirst().allSatisfy({ expects($0) }) else { return false }
        for table in tables where rounds("\(table)/fd") == nil { return false }
        // Threads have one memory always; where the first one has ended, /proc shows it at another one.
        for table in tables {
            guard let links = rounds("\(table)/map_files") else { return false }
            if links > 0 { break }
        }
        return true
    }

    /// The folders of /proc that stand for the tables of open files of a process, each of them once: its own, and that of
    /// each thread that has another one. Threads share theirs as a rule: looked at one by one, a program of a thousand
    /// threads would be over the bound by nothing but their number. One that has ended shares with nobody: where that is the
    /// first, its table is another one's (proc(5): each thread has a folder under its own number, though it is not listed).
    /// - Returns: nil: the look is over.
    private mutating func tables(of process: Int32) -> [String]? {
        var known = FileTables(of: process, compare)
        var isOver = false
        list("\(proc)/\(process)/task") { look, name, _ in
            guard look.goesOn() else {
                isOver = true
                return false
            }
            if let thread = Int32(String(cString: name)) { known.add(thread) }
            return true
        }
        return isOver ? nil : known.threads.map { "\(proc)/\($0)" }
    }

    /// What moved from one number to another between the listing and the question is found in another round, as a rule: a
    /// file counts once.
    /// - Returns: how many links there were; nil: the look is over.
    private mutating func rounds(_ folder: String) -> Int? {
        count.begin()
        var most = 0
        for _ in 0..<Self.roundsMax {
            guard goesOn() else { return nil }
            var (links, missed, isOver) = (0, 0, false)
            list(folder) { look, name, place in
                links += 1
                isOver = !look.goesOn() || !look.counts(links)
                if !isOver, look.ask(name, in: place, folder) == .missed { missed += 1 }
                return !isOver
            }
            if isOver { return nil }
            most = max(most, links)
            if missed == 0 { break }
        }
        return most
    }

    private mutating func counts(_ links: Int) -> Bool {
        use.hasTooManyOpen = !count.see(links)
        return !use.hasTooManyOpen
    }

    private mutating func goesOn() -> Bool {
        guard end.isReached else { return true }
        use.isDone = false
        use.hasTooManyOpen = isBeyondSight
        return false
    }

    /// Each name as it comes, until there is no more or `goesOn` says so.
    private mutating func list(
        _ folder: String, _ goesOn: (inout OpenLook, UnsafePointer<CChar>, Int32) -> Bool
    ) {
        do throws(SystemError) {
            try FolderListing.each(in: folder, read: read) { goesOn(&self, $0, $1) }
        } catch {
            // A process that has gone has nothing open. What this one lacks acquits nobody.
            if [EMFILE, ENFILE, ENOMEM].contains(error.code) { use.isDone = false }
        }
    }

    private mutating func ask(_ name: UnsafePointer<CChar>, in place: Int32, _ folder: String) -> Answer {
        var status = stat()
        guard fstatat(place, name, &status, 0) == 0 else { return .missed }
        guard status.st_mode & S_IFMT == S_IFREG, status.st_nlink == 0 else { return .seen }
        let file = File(device: status.st_dev, number: status.st_ino)
        guard !files.contains(file) else { return .seen }
        var filesystem = statfs()
        guard statfs(folder + "/" + String(cString: name), &filesystem) == 0 else { return .missed }
        if Int(filesystem.f_type) == Self.overlay {
            files.insert(file)
            use.size = use.size + ByteCount(bytes: Int64(status.st_blocks) * Self.blockSize)
        }
        return .seen
    }
}

/// Links of folders that are listed several times, each of them once.
struct OpenCount {
    let max: Int
    /// Of the folders before.
    private var sum = 0
    /// The longest listing of this one.
    private var longest = 0

    init(max: Int) { self.max = max }

    /// The next folder.
    mutating func begin() {
        sum += longest
        longest = 0
    }

    /// - Parameter links: of one listing, so far.
    /// - Returns: whether there are no more than there may be.
    mutating func see(_ links: Int) -> Bool {
        longest = Swift.max(longest, links)
        return sum + longest <= max
    }
}
