import RoostModel

/// One thing that is broken, and mended again.
struct PlannedFault: Sendable, Hashable, CustomStringConvertible {
    /// Where the primary is, is known only when it happens.
    enum Target: Sendable, Hashable, CustomStringConvertible {
        case primary
        case host(HostName)

        var description: String {
            switch self {
            case .primary: "the primary's host"
            case .host(let name): name.text
            }
        }
    }

    /// What every host has of its own, or its machine.
    enum Program: String, Sendable, Hashable, CaseIterable {
        case postgres, roostd, etcd
        case member = "roost-pg"
    }

    enum Kind: Sendable, Hashable {
        case killHost(Target)
        case freezeHost(Target)
        case killProcess(Program, Target)
        case freezeProcess(Program, Target)
        case stopEdge(HostName)
        case cut(String, String, isOneWay: Bool)
        case loss(String, String, percent: Double, isOneWay: Bool)
        case delay(String, String, milliseconds: Double, isOneWay: Bool)
    }

    var kind: Kind
    /// Since the clients began.
    var at: Duration
    /// How long it stays; zero for what is over at once.
    var length: Duration

    /// Two faults of the same thing do not stand together: mending one would mend, or hinder, the other.
    var things: Set<String> {
        switch kind {
        case .killHost(let target), .freezeHost(let target), .killProcess(_, let target), .freezeProcess(_, let target):
            [target == .primary ? "primary" : "\(target)"]
        case .stopEdge(let host): [host.text]
        case .cut(let a, let b, _), .loss(let a, let b, _, _), .delay(let a, let b, _, _): ["\(a) \(b)", "\(b) \(a)"]
        }
    }

    /// Whether something goes on without its clock, or without who looks after it: what it says when it goes on is of
    /// before.
    var isFreeze: Bool {
        switch kind {
        case .freezeHost, .freezeProcess: true
        case .killHost, .killProcess, .stopEdge, .cut, .loss, .delay: false
        }
    }

    var what: String {
        let way = { (isOneWay: Bool) in isOneWay ? "->" : "<->" }
        return switch kind {
        case .killHost(let target): "\(target) killed"
        case .freezeHost(let target): "\(target) frozen"
        case .killProcess(let program, let target): "\(program.rawValue) on \(target) killed"
        case .freezeProcess(let program, let target): "\(program.rawValue) on \(target) frozen"
        case .stopEdge(let host): "edge \(host) stopped"
        case .cut(let a, let b, let isOneWay): "cut \(a) \(way(isOneWay)) \(b)"
        case .loss(let a, let b, let percent, let isOneWay): "loss \(a) \(way(isOneWay)) \(b) \(Int(percent))%"
        case .delay(let a, let b, let delay, let isOneWay): "delay \(a) \(way(isOneWay)) \(b) \(Int(delay))ms"
        }
    }

    var description: String {
        let time = { (duration: Duration) in
            let tenths = duration.milliseconds / 100
            return "\(tenths / 10).\(tenths % 10) s"
        }
        return "\(time(at)) \(what)" + (length > .zero ? " for \(time(length))" : "")
    }
}
