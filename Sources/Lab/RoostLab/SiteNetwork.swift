/// The addresses and routes inside a site's network namespace, as lines for `ip -batch`.
enum SiteNetwork {
    /// Packets that may wait for `roost-wan` to get the processor.
    private static let deviceQueuePackets = 4000

    static func lines(_ host: LabHost) -> String {
        var text = customer(address: "\(host.underlay)", host.uplinks)
        for (index, uplink) in host.uplinks.enumerated() {
            // Routes that BGP brings have a lower metric; these are for when there are none.
            text += "route add default via \(uplink.neighbor) dev \(uplink.interface) metric \(1000 * (index + 1))\n"
        }
        return text
    }

    static func lines(_ client: LabClient) -> String {
        customer(address: "\(client.address)", [client.uplink])
            + "route add default via \(client.uplink.neighbor) dev \(client.uplink.interface)\n"
    }

    /// The one address on lo is where connections come from: addresses of links have the scope of the link, so the
    /// kernel takes them for neighbours on it and for nobody else.
    private static func customer(address: String, _ uplinks: [LabUplink]) -> String {
        var text = "link set lo up\naddr add \(address)/32 dev lo scope global\n"
        for uplink in uplinks {
            text += "addr add \(uplink.local)/30 dev \(uplink.interface) scope link\n" + up(uplink.interface)
        }
        return text
    }

    static func lines(_ pop: LabPop) -> String {
        var text = "link set lo up\naddr add \(pop.router)/32 dev lo scope global\n"
        for customer in pop.customers {
            text += "addr add \(customer.local)/30 dev \(customer.interface)\n" + up(customer.interface)
        }
        for neighbor in pop.neighbors {
            text += "addr add \(neighbor.local)/30 dev \(neighbor.interface)\n" + up(neighbor.interface)
        }
        return text
    }

    private static func up(_ device: String) -> String {
        "link set \(device) addrgenmode none\nlink set \(device) txqueuelen \(deviceQueuePackets) up\n"
    }
}
