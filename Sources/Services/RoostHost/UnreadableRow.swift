import RoostModel

/// A row of the ledger that this version cannot read: of a newer version, or damaged. It is never written over.
public struct UnreadableRow: Hashable, Sendable {
    public var table: String
    public var id: String
    public var reason: String
    /// What can be made out of a machine's row all the same.
    var glimpse: Glimpse?

    static let reasonCharactersMax = 500

    /// So much that what the machine takes stays taken, and its gates stay closed.
    struct Glimpse: Hashable, Sendable, Decodable {
        var guest: MachineGuest
        var address: IPv6Address
        var owner: MachineOwner?

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: RowKeys.self)
                .nestedContainer(keyedBy: RecordKeys.self, forKey: .record)
            address = try container.decode(IPv6Address.self, forKey: .address)
            owner = try? container.decodeIfPresent(MachineOwner.self, forKey: .owner)
            guest = try container.nestedContainer(keyedBy: ConfigKeys.self, forKey: .config)
                .decode(MachineGuest.self, forKey: .guest)
        }

        private enum RowKeys: String, CodingKey { case record }
        private enum RecordKeys: String, CodingKey { case address, owner, config }
        private enum ConfigKeys: String, CodingKey { case guest }
    }
}
