import CLinux
import Glibc
public import RoostModel

/// nftables' sets, and a look at what stands, in one network namespace, without starting `nft` (nfnetlink).
///
/// Whole tables are `nft`'s affair, in text that people can read; what changes while somebody waits is the elements of
/// sets. It blocks and belongs to one thread.
public final class RuleSocket {
    private let socket: NetlinkSocket

    /// Elements that fit into one message, whose attributes hold at most 64 KiB.
    static let elementsPerMessageMax = 256
    /// struct nfgenmsg: family, version, and a number in network order.
    private static let fixedSize = 4
    /// `NFPROTO_INET` of linux/netfilter.h.
    private static let familyInet: UInt8 = 1
    private static let subsystem = UInt16(NFNL_SUBSYS_NFTABLES)

    /// Of the network namespace that the calling thread is in now.
    /// - Parameter hearsChanges: for ``waitForChange(within:wake:)``. Such a socket is used for nothing else.
    public init(hearsChanges: Bool = false) throws(NetlinkError) {
        let groups = hearsChanges ? [Int32(bitPattern: NFNLGRP_NFTABLES.rawValue)] : []
        socket = try NetlinkSocket(.netfilter, groups: groups)
    }

    /// Waits until anybody has changed any rule of the namespace.
    /// - Parameter wake: a descriptor that ends the wait when it becomes readable.
    public func waitForChange(within time: Duration, wake: Int32) -> Bool {
        socket.waitForNotice(within: time, wake: wake)
    }

    /// The number of the namespace's ruleset: every transaction of anybody adds one.
    public func generation() throws(NetlinkError) -> UInt32 {
        let replies = try socket.perform(Self.message("ask for the rules' generation", NFT_MSG_GETGEN))
        guard let number = replies.first?.attributes(after: Self.fixedSize)[Int(NFTA_GEN_ID.rawValue)] else {
            throw NetlinkError("ask for the rules' generation", code: EPROTO)
        }
        return UInt32(bigEndian: number.number(at: 0))
    }

    /// Carries out all of these or none. Adding what is there is no failure, removing what is not is one (ENOENT).
    public func change(_ changes: [RuleSetChange]) throws(NetlinkError) {
        var messages: [NetlinkMessage] = []
        for change in changes {
            var rest = change.elements[...]
            while !rest.isEmpty {
                messages.append(Self.message(of: change, rest.prefix(Self.elementsPerMessageMax)))
                rest = rest.dropFirst(Self.elementsPerMessageMax)
            }
        }
        guard !messages.isEmpty else { return }
        let outcomes = try socket.attempt(
            messages, within: (Self.border(NLMSG_MIN_TYPE), Self.border(NLMSG_MIN_TYPE + 1)))
        for outcome in outcomes { if let failure = outcome.failure { throw failure } }
    }

    /// The elements of a set of an `inet` table; nil when there is no such set.
    public func elements(of set: String, in table: String) throws(NetlinkError) -> Set<RuleSetElement>? {
        var attributes = NetlinkAttributes()
        attributes.add(Int(NFTA_SET_ELEM_LIST_TABLE.rawValue), table)
        attributes.add(Int(NFTA_SET_ELEM_LIST_SET.rawValue), set)
        let replies: [NetlinkReply]
        do {
            replies = try socket.perform(
                Self.message("list set \(set)", NFT_MSG_GETSETELEM, flags: NLM_F_DUMP, attributes))
        } catch {
            if error.code == ENOENT { return nil }
            throw error
        }
        var elements: Set<RuleSetElement> = []
        for reply in replies {
            let list = reply.attributes(after: Self.fixedSize)[Int(NFTA_SET_ELEM_LIST_ELEMENTS.rawValue)] ?? []
            for (_, element) in Netlink.list(list) {
                let parts = Netlink.attributes(element)
                guard let key = Self.value(parts[Int(NFTA_SET_ELEM_KEY.rawValue)]) else { continue }
                elements.insert(RuleSetElement(key, end: Self.value(parts[Int(NFTA_SET_ELEM_KEY_END.rawValue)])))
            }
        }
        return elements
    }

    /// An `inet` table with its chains and rules as the kernel has them now, with their handles, without the elements
    /// of sets and the counts of counters: two prints are equal when nobody has touched any of it. Nil: no such table.
    public func print(of table: String) throws(NetlinkError) -> [UInt8]? {
        var attributes = NetlinkAttributes()
        attributes.add(Int(NFTA_TABLE_NAME.rawValue), table)
        var print: [UInt8] = []
        do {
            for reply in try socket.perform(Self.message("look at table \(table)", NFT_MSG_GETTABLE, attributes)) {
                // What it is called and whether it sleeps; not how many things are in it.
                print += reply.attributes(after: Self.fixedSize)[Int(NFTA_TABLE_FLAGS.rawValue)] ?? []
            }
        } catch {
            if error.code == ENOENT { return nil }
            throw error
        }
        for reply in try socket.perform(Self.message("list chains", NFT_MSG_GETCHAIN, flags: NLM_F_DUMP)) {
            let name = reply.attributes(after: Self.fixedSize)[Int(NFTA_CHAIN_TABLE.rawValue)]?.text
            if name == table { print += reply.payload[Self.fixedSize...] }
        }
        var ofTable = NetlinkAttributes()
        ofTable.add(Int(NFTA_RULE_TABLE.rawValue), table)
        for reply in try socket.perform(Self.message("list rules", NFT_MSG_GETRULE, flags: NLM_F_DUMP, ofTable)) {
            print += reply.payload[Self.fixedSize...]
        }
        return print
    }

    private static func value(_ data: ArraySlice<UInt8>?) -> [UInt8]? {
        data.flatMap { Netlink.attributes($0)[Int(NFTA_DATA_VALUE.rawValue)] }.map(Array.init)
    }

    private static func message(
        of change: RuleSetChange, _ elements: ArraySlice<RuleSetElement>
    ) -> NetlinkMessage {
        var attributes = NetlinkAttributes()
        attributes.add(Int(NFTA_SET_ELEM_LIST_TABLE.rawValue), change.table)
        attributes.add(Int(NFTA_SET_ELEM_LIST_SET.rawValue), change.set)
        attributes.nest(Int(NFTA_SET_ELEM_LIST_ELEMENTS.rawValue)) { list in
            for element in elements {
                list.nest(Int(NFTA_LIST_ELEM.rawValue)) { parts in
                    parts.nest(Int(NFTA_SET_ELEM_KEY.rawValue)) { $0.add(Int(NFTA_DATA_VALUE.rawValue), element.key) }
                    guard let end = element.end else { return }
                    parts.nest(Int(NFTA_SET_ELEM_KEY_END.rawValue)) { $0.add(Int(NFTA_DATA_VALUE.rawValue), end) }
                }
            }
        }
        switch change.action {
        case .add:
            return message("add to set \(change.set)", NFT_MSG_NEWSETELEM, flags: NLM_F_CREATE, attributes)
        case .remove:
            return message("remove from set \(change.set)", NFT_MSG_DELSETELEM, attributes)
        }
    }

    private static func message(
        _ operation: String, _ type: nf_tables_msg_types, flags: Int32 = 0, _ attributes: NetlinkAttributes = .init()
    ) -> NetlinkMessage {
        NetlinkMessage(
            operation, type: subsystem << 8 | UInt16(type.rawValue), flags: flags, fixed: [familyInet, 0, 0, 0],
            attributes: attributes)
    }

    /// The begin or the end of a transaction (`NFNL_MSG_BATCH_BEGIN`, `NFNL_MSG_BATCH_END` of linux/nfnetlink.h).
    private static func border(_ type: Int32) -> NetlinkMessage {
        NetlinkMessage(
            "begin or end a transaction", type: UInt16(type),
            fixed: [0, 0, UInt8(subsystem >> 8), UInt8(subsystem & 0xff)])
    }
}

/// Elements that come into a set of an `inet` table, or leave it.
public struct RuleSetChange: Hashable, Sendable {
    /// Which way.
    public enum Action: Hashable, Sendable {
        /// They come.
        case add
        /// They leave, and must be there.
        case remove
    }

    /// The table's name.
    public var table: String
    /// The set's name.
    public var set: String
    /// Which way.
    public var action: Action
    /// Any number.
    public var elements: [RuleSetElement]

    /// A change of one set.
    public init(_ action: Action, to set: String, in table: String, _ elements: [RuleSetElement]) {
        self.table = table
        self.set = set
        self.action = action
        self.elements = elements
    }
}

/// One element of a set, in the kernel's form: each part of a concatenation padded to four bytes.
public struct RuleSetElement: Hashable, Sendable {
    /// The value, or the least of a range.
    public let key: [UInt8]
    /// The greatest of a range; nil in sets that know no ranges.
    public let end: [UInt8]?

    init(_ key: [UInt8], end: [UInt8]?) {
        self.key = key
        self.end = end
    }

    /// `ifname . ipv6_addr`. A link's name fills 16 bytes.
    public init(link: String, address: IPv6Address) {
        self.init(Self.name(link) + address.networkBytes, end: nil)
    }

    /// `ifname . ipv6_addr` in a set with ranges: the addresses from the first to the last.
    public init(link: String, from first: IPv6Address, to last: IPv6Address) {
        let name = Self.name(link)
        self.init(name + first.networkBytes, end: name + last.networkBytes)
    }

    /// `ipv6_addr . inet_service`.
    public init(address: IPv6Address, port: UInt16) {
        self.init(address.networkBytes + [UInt8(port >> 8), UInt8(port & 0xff), 0, 0], end: nil)
    }

    /// The link's name in an element that begins with one.
    public var link: String { key[...].text }

    /// The address and port of an element that is made of them; nil for another.
    public var addressAndPort: (address: IPv6Address, port: UInt16)? {
        guard key.count == 20 else { return nil }
        return (IPv6Address(networkBytes: key[0..<16]), UInt16(key[16]) << 8 | UInt16(key[17]))
    }

    private static func name(_ link: String) -> [UInt8] {
        let bytes = Array(link.utf8.prefix(Int(IFNAMSIZ) - 1))
        return bytes + [UInt8](repeating: 0, count: Int(IFNAMSIZ) - bytes.count)
    }
}
