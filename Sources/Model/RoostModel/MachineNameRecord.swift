/// A name that a machine has, or is about to have, in its app: no other machine of the app on the whole planet may have
/// it. Written before a host is asked to make the machine.
public struct MachineNameRecord: Hashable, Sendable, Codable {
    /// Whose name it is.
    public var machine: MachineID
    /// The host that has the machine, or was asked last to make it. It knows whether there is one.
    public var host: HostName
    /// The wall clock, in milliseconds, of the host that reserved the name.
    public var reservedAt: Int64

    /// A reservation.
    public init(machine: MachineID, host: HostName, reservedAt: Int64) {
        self.machine = machine
        self.host = host
        self.reservedAt = reservedAt
    }

    enum CodingKeys: String, CodingKey {
        case machine, host
        case reservedAt = "reserved_at"
    }
}
