import CLinux
import Glibc
import RoostLinux
import RoostModel
import RoostWire

/// The guard's BIRD: started so that it dies with the guard, and talked to over its control socket.
struct BirdProcess: Sendable {
    let configuration: EdgeGuard.Configuration
    let child: ChildProcess
    let startedAt: Moment

    /// A local socket and a program that does one thing at a time: more than this means that it is stuck.
    static let answerPatience = Duration.milliseconds(250)
    /// For a BIRD of another life to be gone after it was killed.
    private static let takeoverPatience = Duration.seconds(2)

    /// Ends what is left of an earlier BIRD of this folder, then starts ours.
    /// To be called on a thread that lives as long as BIRD is to: its end is BIRD's end.
    init(_ configuration: EdgeGuard.Configuration) throws(AnycastError) {
        self.configuration = configuration
        try Self.endPredecessor(configuration)
        // What another user's BIRD has left could not be written by ours.
        unlink(configuration.controlPath)
        unlink(configuration.pidPath)
        let enter = configuration.networkNamespace.map { ["nsenter", "--net=" + $0, "--"] } ?? []
        let recover = configuration.recoversRoutes ? ["-R"] : []
        let words =
            enter + [
                "setpriv"
            ] + configuration.userWords + [
                "--pdeathsig", "KILL", "--", "bird", "-f", "-c", configuration.birdPath, "-s",
                configuration.controlPath, "-P", configuration.pidPath,
            ] + recover
        do throws(SystemError) {
            child = try ChildProcess(words[0], arguments: Array(words.dropFirst()))
        } catch {
            throw AnycastError(operation: "start", subject: "BIRD", cause: error.description)
        }
        startedAt = BootClock.now()
    }

    /// Enables first, then disables: between the two states the prefix stays announced.
    func announce(_ health: EdgeHealth) throws(AnycastError) {
        var control = try BirdControl(path: configuration.controlPath, within: Self.answerPatience)
        switch health {
        case .healthy:
            _ = try control.run("enable \(BirdText.up)")
            _ = try control.run("disable \(BirdText.drain)")
        case .draining:
            _ = try control.run("enable \(BirdText.drain)")
            _ = try control.run("disable \(BirdText.up)")
        case .down:
            _ = try control.run("disable \(BirdText.up)")
            _ = try control.run("disable \(BirdText.drain)")
        }
    }

    /// Its configuration is another; sessions that are in both go on, and what is announced stays.
    func configure() throws(AnycastError) {
        let path = configuration.birdPath(announcing: try status().announced)
        var control = try BirdControl(path: configuration.controlPath, within: Self.answerPatience)
        _ = try control.run("configure \"\(path)\"")
    }

    func status() throws(AnycastError) -> AnnouncementStatus {
        var control = try BirdControl(path: configuration.controlPath, within: Self.answerPatience)
        return ProtocolListing(lines: try control.run("show protocols").lines).status
    }

    private static func endPredecessor(_ configuration: EdgeGuard.Configuration) throws(AnycastError) {
        guard let stored = try? DurableFile.read(configuration.pidPath, bytesMax: 64),
            let pid = pid_t(String(decoding: stored, as: UTF8.self).prefix { $0.isNumber }), pid > 1
        else { return }
        // A number alone proves nothing: it may long be somebody else's.
        guard isBird(pid, of: configuration) else { return }
        kill(pid, SIGKILL)
        let deadline = BootClock.now() + takeoverPatience
        while isBird(pid, of: configuration) {
            guard BootClock.now() < deadline else {
                throw AnycastError(
                    operation: "end an earlier BIRD", subject: "\(pid)",
                    cause: "it does not die; see what holds it, /proc/\(pid)/stack")
            }
            usleep(10_000)
        }
    }

    private static func isBird(_ pid: pid_t, of configuration: EdgeGuard.Configuration) -> Bool {
        guard let bytes = try? DurableFile.read("/proc/\(pid)/cmdline", bytesMax: 4096) else { return false }
        let words = bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        return words.first == "bird" && words.contains(configuration.controlPath)
    }
}
