import Foundation
import RoostModel

/// Reads what `nft -j list set` prints; only as much of it as is needed to take elements away again.
enum RuleListing {
    /// The elements of one set that belong to `link`.
    static func elements(of link: String, inSet set: String, listing: String) throws(MeshError) -> [RuleElement] {
        let decoded: Listing
        do {
            decoded = try JSONDecoder().decode(Listing.self, from: Data(listing.utf8))
        } catch {
            throw MeshError(operation: "read nftables set", subject: set, cause: "\(error)")
        }
        return decoded.nftables.compactMap(\.set).flatMap { $0.elem ?? [] }.compactMap { element in
            guard case .text(let name) = element.concat.first, name == link, element.concat.count == 2 else {
                return nil
            }
            switch element.concat[1] {
            case .text(let value): return RuleElement(set: set, link: link, value: value)
            case .prefix(let address, let length):
                return RuleElement(set: set, link: link, value: "\(address)/\(length)")
            }
        }
    }

    private struct Listing: Decodable {
        var nftables: [Entry]
    }

    private struct Entry: Decodable {
        var set: ElementSet?
    }

    private struct ElementSet: Decodable {
        var elem: [Element]?
    }

    private struct Element: Decodable {
        var concat: [Part]
    }

    private enum Part: Decodable {
        case text(String)
        case prefix(String, Int)

        init(from decoder: any Decoder) throws {
            if let text = try? decoder.singleValueContainer().decode(String.self) {
                self = .text(text)
                return
            }
            let prefix = try decoder.container(keyedBy: OuterKey.self).nestedContainer(
                keyedBy: InnerKey.self, forKey: .prefix)
            self = .prefix(
                try prefix.decode(String.self, forKey: .addr), try prefix.decode(Int.self, forKey: .len))
        }

        private enum OuterKey: String, CodingKey { case prefix }
        private enum InnerKey: String, CodingKey { case addr, len }
    }
}
