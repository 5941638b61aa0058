import Foundation
import RoostControl
import RoostHost
import RoostModel
import RoostWire

extension MachineBody {
    /// Events that come with a machine.
    static let eventsShown = 20

    init(_ row: MachineRow, on host: HostName) { self.init(row.record, events: row.events, on: host) }

    /// - Parameter events: nil: this host does not know them.
    init(_ record: MachineRecord, events: [MachineEvent]?, on host: HostName, isReachable: Bool = true) {
        self.init(
            id: record.id, name: record.name, state: record.state, region: record.region,
            instanceID: record.instance, privateIP: record.address, config: record.config,
            imageRef: ImageRefBody(reference: record.config.image),
            events: events.map { Array($0.prefix(Self.eventsShown)) },
            createdAt: TimeText.of(record.createdAt), updatedAt: TimeText.of(record.updatedAt),
            hostStatus: isReachable ? "ok" : "unreachable", host: host, app: record.app)
    }
}

extension MachineSummaryBody {
    init(_ machine: MachineBody) {
        self.init(
            id: machine.id, name: machine.name, state: machine.state, region: machine.region,
            instanceID: machine.instanceID, privateIP: machine.privateIP, imageRef: machine.imageRef,
            createdAt: machine.createdAt, updatedAt: machine.updatedAt, hostStatus: machine.hostStatus,
            host: machine.host, app: machine.app)
    }
}

extension ImageRefBody {
    /// The parts of an image's name, as far as it has them. A folder of the host is all repository, with its `dir:` or
    /// `oci:`; what follows a layout's path is the tag.
    init(reference text: String) {
        switch (try? ImageReference(text))?.source {
        case .registry(let name): self.init(name: name)
        case .layout(let path, let tag): self.init(registry: "", repository: "oci:" + path, tag: tag, digest: "")
        case .directory(let path): self.init(registry: "", repository: "dir:" + path, tag: "", digest: "")
        // One that no host would take, of another version perhaps.
        case nil: self.init(name: text)
        }
    }

    private init(name reference: String) {
        let digestParts = reference.split(separator: "@", maxSplits: 1).map(String.init)
        let path = digestParts.first ?? reference
        let digest = digestParts.count == 2 ? digestParts[1] : ""
        let slash = path.lastIndex(of: "/") ?? path.startIndex
        let colon = path[slash...].lastIndex(of: ":")
        let name = colon.map { String(path[..<$0]) } ?? path
        let tag = colon.map { String(path[path.index(after: $0)...]) } ?? ""
        let parts = name.split(separator: "/", maxSplits: 1).map(String.init)
        let hasRegistry = parts.count == 2 && parts[0].contains(where: { $0 == "." || $0 == ":" })
        self.init(
            registry: hasRegistry ? parts[0] : "", repository: hasRegistry ? parts[1] : name, tag: tag, digest: digest)
    }
}
