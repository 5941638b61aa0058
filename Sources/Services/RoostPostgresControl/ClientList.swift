import RoostModel

/// The networks that clients of a cluster may log in from, as an operator sends them. Empty: from everywhere.
struct ClientList: Hashable, Sendable {
    let networks: [IPv4Prefix]

    static let everywhere = ClientList(networks: [])

    private init(networks: [IPv4Prefix]) { self.networks = networks }

    /// - Throws: for more than ``ClusterSpec/allowedClientsMax``, for a text that is no network or all of them, and for a
    ///   network that is named twice: such a list is another one than its writer thinks.
    init(_ texts: [String]) throws(Refusal) {
        guard texts.count <= ClusterSpec.allowedClientsMax else {
            throw Refusal(
                .invalid, "a cluster's list has at most \(ClusterSpec.allowedClientsMax) networks, not \(texts.count)")
        }
        var networks: [IPv4Prefix] = []
        for text in texts {
            let network: IPv4Prefix
            do { network = try IPv4Prefix(text) } catch {
                throw Refusal(.invalid, "\(error); an empty list is everywhere")
            }
            guard !networks.contains(network) else { throw Refusal(.invalid, "network \(network) is named twice") }
            networks.append(network)
        }
        self.networks = networks
    }

    /// As it stands in the record.
    var texts: [String] { networks.map(\.description) }

    /// As people are told: nil for everywhere.
    var shown: [String]? { networks.isEmpty ? nil : texts }

    /// Who is kept out by one edge would come in by another that knows no lists.
    func obstacle(among hosts: [HostRecord]) -> Refusal? {
        guard !networks.isEmpty else { return nil }
        let old = hosts.filter { $0.isEdge && !$0.capabilities.contains(.clientLists) }.map(\.host.text).sorted()
        guard !old.isEmpty else { return nil }
        return Refusal(
            .failedPrecondition,
            "edges that have not said that they keep such lists let everybody in: upgrade \(old.joined(separator: ", "))"
                + " first, or wait until the edge there runs and has said so")
    }
}
