public import Foundation
public import RoostModel

/// A row of the ledger that this version cannot read: of a newer version, or damaged. It is never written over.
public struct UnreadableRow: Hashable, Sendable {
    public var table: String
    public var id: String
    public var reason: String
    /// Whose it is; nil where not even that can be made out.
    public let app: AppName?
    /// It says that nothing is left of what it stands for.
    public let isOfDestroyed: Bool
    /// What can be made out of a machine's row all the same.
    let glimpse: Glimpse?

    static let reasonCharactersMax = 500

    /// - Parameter row: as the ledger has it.
    public init(table: String, id: String, reason: String, row: Data) {
        self.table = table
        self.id = id
        self.reason = String(reason.prefix(Self.reasonCharactersMax))
        let decoder = JSONDecoder()
        let belonging = try? decoder.decode(Belonging.self, from: row)
        app = belonging?.app
        isOfDestroyed = belonging?.state == MachineState.destroyed.rawValue
        glimpse = try? decoder.decode(Glimpse.self, from: row)
    }

    /// Of a machine's row or a volume's. Its state is the same word in both.
    private struct Belonging: Decodable {
        var app: AppName?
        var state: String?

        init(from decoder: any Decoder) throws {
            let row = try decoder.container(keyedBy: RowKeys.self)
            let record =
                row.contains(.record)
                ? try row.nestedContainer(keyedBy: RecordKeys.self, forKey: .record)
                : try decoder.container(keyedBy: RecordKeys.self)
            app = try? record.decode(AppName.self, forKey: .app)
            state = try? record.decode(String.self, forKey: .state)
        }
    }

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

        private enum ConfigKeys: String, CodingKey { case guest }
    }

    private enum RowKeys: String, CodingKey { case record }
    private enum RecordKeys: String, CodingKey { case address, owner, config, app, state }
}
