import RoostModel
import RoostWire

extension MachineState {
    var style: Terminal.Style {
        switch self {
        case .started: .good
        case .created, .starting, .stopping, .restarting, .destroying: .warning
        case .failed: .bad
        case .stopped, .destroyed: .plain
        case .unknown: .warning
        }
    }
}

extension MachineBody {
    var facts: Facts {
        var facts = Facts([
            ("ID", id.text), ("Name", name), ("State", Terminal.paint(state.rawValue, state.style)),
            ("Region", region.text), ("Host", hostStatus == "ok" ? host.text : "\(host) (\(hostStatus))"),
            ("Address", privateIP.description), ("Image", config.image),
            (
                "Guest",
                counted(config.guest.cpus, "\(config.guest.cpuKind.rawValue) CPU")
                    + ", \(config.guest.memoryMebibytes) MiB"
            ),
            ("Restart", config.restart.policy.rawValue), ("Instance", instanceID), ("Created", createdAt),
            ("Updated", updatedAt),
        ])
        for mount in config.mounts { facts.facts.append(("Volume", "\(mount.volume) at \(mount.path)")) }
        for (name, value) in config.environment.sorted(by: { $0.key < $1.key }) {
            facts.facts.append(("Env", "\(name)=\(value)"))
        }
        return facts
    }
}

extension MachineEvent {
    /// How it ended and why, in a few words.
    var detail: String {
        guard let request else { return "" }
        var words: [String] = []
        if let exit = request.exitEvent {
            words.append(exit.signal.map { "signal \($0)" } ?? "exit code \(exit.exitCode)")
            if exit.oomKilled { words.append("out of memory") }
            if exit.requestedStop { words.append("as ordered") }
            if exit.restarting { words.append("restarting") }
        }
        if let message = request.message { words.append(message) }
        return words.joined(separator: ", ")
    }
}
