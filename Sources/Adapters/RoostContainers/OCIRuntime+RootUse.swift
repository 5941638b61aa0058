import CLinux
import Glibc
import RoostLinux
public import RoostModel
public import RoostRuntime

extension OCIRuntime {
    /// Upper layer, work folder and the machine's own files in /etc, and what its processes have open or mapped though it
    /// has no name any more. Logs are bounded elsewhere, volumes by their size.
    public func rootUse(of machine: MachineID, within walk: RootWalk) async throws(RuntimeError) -> RootUse? {
        let folder = folders(machine).state
        let group = cgroup(machine)
        let look = RootLook(within: walk.time, from: BootClock.now())
        let measure = { @Sendable () throws(SystemError) -> RootUse in
            let processes = try group.processes()
            return try look.use(
                nameless: { NamelessFiles.use(ofProcesses: processes, openMax: walk.openMax, until: $0) },
                named: { end throws(SystemError) in
                    try FolderUse.measure(folder, namesMax: walk.namesMax, until: end)
                })
        }
        // Whoever ends roostd does not wait for a walk.
        let outcome = await withTaskCancellationHandler {
            await Self.outcome(of: measure, isIdle: walk.isIdle)
        } onCancel: {
            look.come()
        }
        switch outcome {
        case .success(let use): return use
        case .failure(let error):
            if error.code == ENOENT { return nil }
            throw RuntimeError(
                code: .failed, operation: "measure the root of", subject: "machine \(machine)",
                cause: error.description)
        }
    }

    private static func outcome(
        of measure: @escaping @Sendable () throws(SystemError) -> RootUse, isIdle: Bool
    ) async -> Result<RootUse, SystemError> {
        do throws(SystemError) {
            return .success(try await isIdle ? BlockingCall.runIdly(measure) : BlockingCall.run(measure))
        } catch { return .failure(error) }
    }
}

/// The time of one look at a root. Files without a name come first and have half of it, the walk has what is left: however
/// much its owner makes of the one kind, there is time for the other.
struct RootLook: Sendable {
    private let half: WalkEnd
    private let whole: WalkEnd

    init(within time: Duration, from now: Moment) {
        half = WalkEnd(at: now + time / 2)
        whole = WalkEnd(at: now + time)
    }

    /// Nobody waits for it any more.
    func come() {
        half.come()
        whole.come()
    }

    /// Both together. Each part ends with what it has seen when its time is over.
    func use(
        nameless: (WalkEnd) -> RootUse, named: (WalkEnd) throws(SystemError) -> FolderUse
    ) throws(SystemError) -> RootUse {
        var use = nameless(half)
        let names = try named(whole)
        use.size = use.size + names.size
        use.isWhole = names.isWhole
        use.isDone = use.isDone && names.isDone
        return use
    }
}

/// Files of machines' roots that were removed while somebody had them open: they take their blocks until the last
/// process lets go, and no walk finds them.
enum NamelessFiles {
    /// OVERLAYFS_SUPER_MAGIC of linux/magic.h. A machine can mount nothing, so what is on an overlay is its root.
    private static let overlay = 0x794c_7630
    private static let blockSize: Int64 = 512

    private struct File: Hashable {
        var device: dev_t
        var number: ino_t
    }

    /// Looks at what moves all the time.
    private static let roundsMax = 8

    /// The threads of a process share its files and its memory, as a rule: looked at one by one, a program of a thousand
    /// threads would be over the bound by nothing but their number. Where the first one has ended, /proc shows both at
    /// another one only (proc(5): each has a folder under its own number, though it is not listed).
    private static func folder(_ name: String, of process: Int32) -> String? {
        let threads = (try? FolderListing.names(in: "/proc/\(process)/task")) ?? []
        return (["\(process)"] + threads).map { "/proc/\($0)/\(name)" }
            .first { (try? FolderListing.names(in: $0))?.isEmpty == false }
    }

    /// Blocks. Nothing is opened: the kernel's links are asked what they lead to (proc_pid_fd(5)).
    /// - Parameter openMax: files open or mapped in all processes: thousands of processes may share a table of a million.
    static func use(ofProcesses processes: Set<Int32>, openMax: Int, until end: WalkEnd) -> RootUse {
        var seen: Set<File> = []
        var use = RootUse(size: .zero)
        var count = OpenCount(max: openMax)
        for folder in processes.flatMap({ [folder("fd", of: $0), folder("map_files", of: $0)].compactMap(\.self) }) {
            count.begin()
            // Gone meanwhile, perhaps. What moved from one number to another between the listing and the question is found
            // in another round, as a rule: a file counts once.
            for _ in 0..<roundsMax {
                let names = (try? FolderListing.names(in: folder)) ?? []
                guard count.see(names.count) else {
                    use.hasTooManyOpen = true
                    return use
                }
                var missed = 0
                for name in names {
                    guard !end.isReached else {
                        use.isDone = false
                        return use
                    }
                    let path = folder + "/" + name
                    var status = stat()
                    var filesystem = statfs()
                    guard stat(path, &status) == 0 else {
                        missed += 1
                        continue
                    }
                    guard status.st_mode & S_IFMT == S_IFREG, status.st_nlink == 0,
                        statfs(path, &filesystem) == 0, Int(filesystem.f_type) == overlay,
                        seen.insert(File(device: status.st_dev, number: status.st_ino)).inserted
                    else { continue }
                    use.size = use.size + ByteCount(bytes: Int64(status.st_blocks) * blockSize)
                }
                if missed == 0 { break }
            }
        }
        return use
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

    /// - Returns: whether there are no more than there may be.
    mutating func see(_ links: Int) -> Bool {
        longest = Swift.max(longest, links)
        return sum + longest <= max
    }
}
