import Glibc
import RoostClient
import RoostDemo
import RoostLab
import RoostLinux
import RoostModel
import RoostWire

/// Roost's cluster, as the demo makes it.
struct RoostSubject: GapSubject {
    let demo: Demo

    /// Of a machine's output, to find its last lines in.
    private static let logBytesMax = 128 << 10

    static let name = "Roost"
    var name: String { Self.name }
    var rows: NumberedRows { demo.rows }

    func writeURL() async throws -> String { try await demo.ensure().writeURL }

    func whole() async throws -> LabHost {
        let body = try await demo.wait(for: Demo.recoverMax, "is whole") { $0.status == .ready }
        return try demo.planet.host(demo.host(ofLeader: body))
    }

    func primary(seenFromOutside region: String) async throws -> LabHost? {
        let planet = demo.planet
        for host in planet.plan.hosts where host.region.text != region && planet.state(of: host) == .running {
            guard let body = try? await planet.api(of: host.name).cluster(demo.cluster) else { continue }
            return body.isServing ? try planet.host(demo.host(ofLeader: body)) : nil
        }
        return nil
    }

    func crash(on host: LabHost) async throws {
        let found = try demo.planet.processes(named: "postgres", on: host.name.text)
        // A machine's root is its own. (A peer's is a folder of the host.)
        for process in found where ProcessRoot.of(process) == "/" { kill(process, SIGKILL) }
    }

    func switchOver() async throws { _ = try await demo.ask { try await $0.switchover(demo.cluster) } }

    func hostIsBack(_ host: LabHost) async throws {}

    /// Of all members: a host that has just thawed may name the leader that it knew before, whose last steps are of another
    /// fault.
    func stepLog() async -> String? {
        guard let body = try? await demo.ask({ try await $0.cluster(demo.cluster) }) else { return nil }
        var logs = ""
        for machine in body.members.compactMap(\.machine) {
            let log = try? await demo.ask { try await $0.logs(of: machine, in: demo.cluster, bytes: Self.logBytesMax) }
            logs += log ?? ""
        }
        return logs
    }
}

/// Which folder a process takes for `/`.
enum ProcessRoot {
    static func of(_ process: pid_t) -> String? {
        var path = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/\(process)/root", &path, path.count)
        return count > 0 ? String(decoding: path.prefix(count), as: UTF8.self) : nil
    }
}
