import Glibc
import RoostModel
import Testing

@testable import RoostLinux

/// What is said to the kernel, to the byte, and what the kernel says to it.
@Suite(.serialized, .timeLimit(.minutes(2))) struct NetlinkTests {
    private static func inNewNamespace<Value: Sendable>(
        _ body: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        let path = "/tmp/roost-netns-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        defer { try? NetworkNamespace.remove(path) }
        return try await BlockingCall.run { () throws(any Error) in
            try NetworkNamespace.make(boundTo: path)
            return try body()
        }
    }

    /// Little-endian as this computer's; other byte orders have other bytes.
    @Test func messagesAreExact() throws {
        let address = try IPv6Address("fdaa:0:7::2")
        let message = RouteMessage.address(address, length: 128, on: 3)
        let expected: [UInt8] = [
            72, 0, 0, 0, 20, 0, 0x05, 0x05, 9, 0, 0, 0, 0, 0, 0, 0,  // length, RTM_NEWADDR, flags, number, port
            10, 128, 0, 0, 3, 0, 0, 0,  // ifaddrmsg
            20, 0, 2, 0, 0xfd, 0xaa, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,  // IFA_LOCAL
            20, 0, 1, 0, 0xfd, 0xaa, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,  // IFA_ADDRESS
            8, 0, 8, 0, 2, 0, 0, 0,  // IFA_FLAGS: IFA_F_NODAD
        ]
        #expect(message.bytes(sequence: 9, extraFlags: 0x5) == expected)
        var attributes = NetlinkAttributes()
        attributes.add(3, "lo")
        attributes.nest(4) { $0.add(1, UInt8(7)) }
        let nested: [UInt8] = [7, 0, 3, 0, 0x6c, 0x6f, 0, 0, 12, 0, 4, 0x80, 5, 0, 1, 0, 7, 0, 0, 0]
        #expect(attributes.bytes == nested)
        let read = Netlink.attributes(attributes.bytes[...])
        #expect(read[3]?.text == "lo")
        #expect(Netlink.attributes(read[4] ?? [])[1]?.first == 7)
        // Whatever the kernel might send, reading it ends.
        for cut in 0..<attributes.bytes.count { _ = Netlink.list(attributes.bytes[cut...]) }
        #expect(Netlink.list([0, 0, 1, 0, 9]).isEmpty)
    }

    @Test func elementsAreExact() throws {
        let address = try IPv6Address("fdaa:0:7::2")
        let element = RuleSetElement(link: "m1", address: address)
        #expect(element.key.count == 32)
        #expect(Array(element.key.prefix(4)) == [0x6d, 0x31, 0, 0])
        #expect(element.link == "m1")
        #expect(element.addressAndPort?.port == nil)
        let port = RuleSetElement(address: address, port: 5432)
        #expect(port.key.suffix(4) == [0x15, 0x38, 0, 0])
        #expect(port.addressAndPort?.port == 5432)
        #expect(port.addressAndPort?.address == address)
    }

    @Test func linksAddressesAndRoutesComeAndGo() async throws {
        try await Self.inNewNamespace {
            let socket = try RouteSocket()
            #expect(try socket.links().map(\.name) == ["lo"])
            #expect(try socket.link("none") == nil)
            let here = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
            defer { close(here) }
            let pair = RouteMessage.addPair("one", group: 9, mtu: 1400, peer: "two", namespace: here)
            try socket.perform(pair)
            let one = try #require(try socket.link("one"))
            let two = try #require(try socket.link("two"))
            #expect(one.peer == two.index)
            #expect(one.group == 9)
            #expect(!one.isUp)
            let address = try IPv6Address("fdaa:0:7::1")
            let network = try IPv6Address("fdaa:0:7::")
            let other = try IPv6Address("fdaa:0:8::")
            // Twice: each of these may be repeated.
            for _ in 0..<2 {
                try socket.perform([
                    RouteMessage.setUp(one.index, group: 9, mtu: 1300, makesAddresses: false),
                    RouteMessage.setUp(two.index, makesAddresses: false),
                    RouteMessage.address(address, length: 64, on: one.index),
                    RouteMessage.route(to: other, length: 48, over: one.index, source: address, firstBurst: 64),
                ])
            }
            #expect(try socket.link("one")?.isUp == true)
            #expect(
                try socket.routes(.unicast, over: one.index).contains { $0.destination == other && $0.length == 48 })
            #expect(try socket.routes(.unicast, over: two.index).allSatisfy { $0.destination != network })
            let deadline = BootClock.now() + .seconds(5)
            while try !socket.routes(.local, over: one.index).contains(where: { $0.destination == address }) {
                try #require(BootClock.now() < deadline)
                usleep(1000)
            }
            try socket.perform(RouteMessage.deleteRoute(to: other, length: 48, over: one.index))
            #expect(try !socket.routes(.unicast).contains { $0.destination == other })
            #expect(throws: NetlinkError.self) { try socket.perform(pair) }
            try socket.perform(RouteMessage.deleteLink("one"))
            #expect(try socket.links().map(\.name) == ["lo"])
        }
    }

    /// The kernel says in words what it does not like, and after an error the socket goes on.
    @Test func refusalsHaveWords() async throws {
        try await Self.inNewNamespace {
            let socket = try RouteSocket()
            let error = #expect(throws: NetlinkError.self) {
                try socket.perform(
                    RouteMessage.route(
                        to: IPv6Address(high: 0xfdaa << 48, low: 0), length: 48, over: 1,
                        router: IPv6Address(high: 0xfe80 << 48, low: 1)))
            }
            #expect(error?.explanation?.isEmpty == false)
            print("the kernel: \(error.map { "\($0)" } ?? "")")
            let missing = #expect(throws: NetlinkError.self) {
                try socket.perform(RouteMessage.deleteLink("none"))
            }
            #expect(missing?.code == ENODEV)
            #expect(try socket.links().count == 1)
        }
    }

    @Test func setsChangeWholeOrNotAtAll() async throws {
        try await Self.inNewNamespace {
            let socket = try RuleSocket()
            #expect(try socket.elements(of: "closed", in: "t") == nil)
            #expect(try socket.print(of: "t") == nil)
            let before = try socket.generation()
            let text = """
                table inet t {
                    set closed { type ipv6_addr . inet_service; }
                    set ranges { type ifname . ipv6_addr; flags interval; }
                    chain c { type filter hook input priority filter; policy accept; \
                ip6 daddr . tcp dport @closed drop; iifname . ip6 saddr @ranges accept; }
                }

                """
            let (status, output) = try ChildProcess.run("nft", ["-f", "-"], input: text, within: .seconds(10))
            try #require(status == 0, "\(output)")
            #expect(try socket.generation() == before + 1)
            let print = try #require(try socket.print(of: "t"))
            let address = try IPv6Address("fdaa:0:7::2")
            let ports = (1...600).map { RuleSetElement(address: address, port: $0) }
            let range = RuleSetElement(
                link: "m1", from: try IPv6Address("fdaa:0:7::"), to: try IPv6Address("fdaa:0:7:ffff::"))
            for _ in 0..<2 {
                try socket.change([
                    RuleSetChange(.add, to: "closed", in: "t", ports),
                    RuleSetChange(.add, to: "ranges", in: "t", [range]),
                ])
            }
            #expect(try socket.elements(of: "closed", in: "t") == Set(ports))
            #expect(try socket.elements(of: "ranges", in: "t") == [range])
            let listed = try ChildProcess.run("nft", ["list", "table", "inet", "t"], input: "", within: .seconds(10))
            #expect(listed.output.contains("fdaa:0:7::2 . 600"))
            // One of them is not there: none goes.
            let other = RuleSetElement(address: address, port: 700)
            let error = #expect(throws: NetlinkError.self) {
                try socket.change([RuleSetChange(.remove, to: "closed", in: "t", [ports[0], other])])
            }
            #expect(error?.code == ENOENT)
            #expect(try socket.elements(of: "closed", in: "t")?.count == 600)
            try socket.change([RuleSetChange(.remove, to: "closed", in: "t", ports)])
            #expect(try socket.elements(of: "closed", in: "t") == [])
            // Elements are no part of the print; a rule is.
            #expect(try socket.print(of: "t") == print)
            _ = try ChildProcess.run(
                "nft", ["add", "rule", "inet", "t", "c", "accept"], input: "", within: .seconds(10))
            #expect(try socket.print(of: "t") != print)
        }
    }

    @Test("A thread that has been taken elsewhere comes back into the process's own namespace")
    func ownNamespace() async throws {
        let number = { @Sendable (name: String) -> ino_t in
            var status = stat()
            return stat("/proc/\(name)/ns/net", &status) == 0 ? status.st_ino : 0
        }
        let (away, back) = try await Self.inNewNamespace {
            let away = number("thread-self")
            try NetworkNamespace.enterOwn()
            return (away, number("thread-self"))
        }
        let own = number("self")
        #expect(away != own)
        #expect(back == own)
    }

    @Test func aBellWakesASleeperAndRingsOnce() throws {
        let bell = try Bell()
        #expect(!bell.wait(within: .zero))
        bell.ring()
        bell.ring()
        #expect(bell.wait(within: .seconds(5)))
        #expect(!bell.wait(within: .zero))
        try OwnThread.start("ringer") { bell.ring() }
        #expect(bell.wait(within: .seconds(5)))
    }

    @Test func unixSocketsByPath() throws {
        let path = "/tmp/roost-socket-\(getpid())"
        defer { unlink(path) }
        #expect(throws: SystemError.self) { try UnixSocket.connect(path) }
        let listener = try UnixSocket.listen(path)
        defer { close(listener) }
        var status = stat()
        let code = stat(path, &status)
        #expect(code == 0)
        #expect(status.st_mode & 0o777 == 0o600)
        for file in [try UnixSocket.connect(path), try UnixSocket.connect(path, within: .seconds(1))] { close(file) }
        #expect(throws: SystemError.self) {
            try UnixSocket.connect("/tmp/" + String(repeating: "x", count: 108))
        }
    }
}
