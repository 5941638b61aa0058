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
