import RoostLinux
import RoostModel

/// A program that reads what a tenant wrote gets one device, and of the host no more than what all may read: a mistake in it
/// is then worth that tenant's own volume.
///
/// Namespaces of its own (mounts, processes, network, System V and POSIX IPC, host name), a user that nobody else has, no
/// capabilities and none to be had (capabilities(7): `no_new_privs`, an empty bounding set), one device node that is its
/// own, bounds of memory, time, files and processes. The shell stays as process 1: when `unshare` ends, by the caller's word
/// or with the caller, the kernel ends it (`--kill-child`), and with it all of the PID namespace: nobody works on the device
/// beside whoever comes after. The program itself could not be ended so: the wish for a
/// signal at the parent's death goes with a change of user (prctl(2), PR_SET_PDEATHSIG).
enum DeviceCell {
    /// Where the program finds the device: in a file system of its own that hides the host's sockets.
    static let device = "/run/volume"
    /// Places where everybody may write, and `/run`: hidden, so that nothing is left on the host.
    static let hidden = ["/tmp", "/var/tmp", "/dev/shm", "/run"]
    /// Another one each time. The kernel counts processes by user over all of the host, machines' included: with `nobody`
    /// (65534), as many images name their user, a few processes of a tenant would use ``processesMax`` up, and no volume
    /// could be checked (EAGAIN of execve(2)).
    static let users: ClosedRange<UInt32> = 0x7000_0000...0x7fff_fffe
    /// The cell could not be made. No status of e2fsck's (its are sums of 1 to 128 without 64: e2fsck(8)).
    static let unmade: Int32 = 64
    /// e2fsck keeps a few bitmaps, one bit for each block and inode: some 100 MiB for a volume of 500 GiB.
    static let memoryMax = ByteCount.gibibytes(2)
    static let filesMax = 64
    static let processesMax = 16

    private static let script = """
        for place in \(hidden.joined(separator: " ")); do
            [ ! -d $place ] || mount -n -t tmpfs -o size=64k,mode=0755,nosuid,noexec cell $place || exit \(unmade)
        done
        mknod -m 0600 "$1" b "$2" "$3" || exit \(unmade)
        chown "$4:$4" "$1" || exit \(unmade)
        shift 4
        "$@" || exit $?
        exit 0
        """

    /// - Parameter words: the program and its arguments.
    static func command(_ words: [String], for loop: LoopDevice, deadline: Duration) -> Command {
        let user = UInt32.random(in: users)
        let place = [device, "\(LoopDevice.major)", "\(loop.number)", "\(user)"]
        let bounds = [
            "prlimit", "--as=\(memoryMax.bytes)", "--cpu=\(max(deadline.components.seconds, 1))",
            "--nofile=\(filesMax)",
            "--nproc=\(processesMax)", "--core=0", "--",
        ]
        let become = [
            "setpriv", "--reuid=\(user)", "--regid=\(user)", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all",
            "--no-new-privs", "--",
        ]
        let apart = [
            "--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child", "--mount-proc", "--", "sh", "-euc",
            script, "cell",
        ]
        return Command("unshare", apart + place + bounds + become + words, deadline: deadline).bound()
    }
}
