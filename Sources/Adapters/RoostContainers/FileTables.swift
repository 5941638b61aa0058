import CLinux
import Glibc

/// One thread for each table of open files that the threads of a process have. A program may give every thread its own, and
/// nobody may be held up by that: tables have an order, so a thread is compared with a few of those that are known and not
/// with all.
struct FileTables {
    typealias Compare = (Int32, Int32) -> Int32

    /// 0 one table; 1 or 2: that of the first is before or after the other's; 3 two, and no order; or -errno.
    static func kernel(_ one: Int32, _ other: Int32) -> Int32 { roost_compare_files(one, other) }

    private let process: Int32
    private let compare: Compare
    /// In the order of their tables. Who lives keeps its place: a table is where it is as long as somebody has it.
    private var sorted: [Int32]
    /// Those that have ended meanwhile, or whose tables have no order: each is looked at.
    private var apart: [Int32] = []

    init(of process: Int32, _ compare: @escaping Compare) {
        (self.process, self.compare) = (process, compare)
        sorted = [process]
    }

    /// The process's own first.
    var threads: [Int32] { [process] + (sorted + apart).filter { $0 != process } }

    mutating func add(_ thread: Int32) {
        guard thread != process else { return }
        var (low, high) = (0, sorted.count)
        while low < high {
            let middle = (low + high) / 2
            switch compare(thread, sorted[middle]) {
            case 0: return
            case 1: high = middle
            case 2: low = middle + 1
            case 3: return apart.append(thread)
            // Nobody knows of one that has ended, and nothing of it is left to see but what others have as well.
            case -ESRCH:
                guard compare(thread, thread) == 0 else { return apart.append(thread) }
                apart.append(sorted.remove(at: middle))
                high -= 1
            // Where the kernel does not tell, threads share.
            default: return
            }
        }
        sorted.insert(thread, at: low)
    }
}
