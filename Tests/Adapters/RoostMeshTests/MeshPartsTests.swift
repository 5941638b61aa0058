import Foundation
import RoostCrypto
import RoostLinux
import RoostModel
import RoostPeers
import Testing

@testable import RoostMesh

struct MeshPartsTests {
    @Test(arguments: ["198.18.1.11:51820", "[2001:db8::1]:51820"]) func endpointReadsBack(text: String) throws {
        let endpoint = try UnderlayEndpoint(text)
        #expect(endpoint.description == text)
        let back = endpoint.withSocketAddress { address, length in
            var storage = sockaddr_storage()
            withUnsafeMutableBytes(of: &storage) {
                $0.copyMemory(from: UnsafeRawBufferPointer(start: address, count: Int(length)))
            }
            return UnderlayEndpoint(storage: storage)
        }
        #expect(back == endpoint)
    }

    @Test(arguments: [
        "", "198.18.1.11", "198.18.1.11:", "198.18.1.11:0", "198.18.1.11:70000", "2001:db8::1:51820", "host:51820",
        "[2001:db8::1]", "[198.18.1.11]:51820",
    ])
    func wrongEndpointIsRefused(text: String) {
        #expect(throws: InvalidValue.self) { try UnderlayEndpoint(text) }
    }

    @Test func keyIsMadeOnceAndIsWireGuards() async throws {
        let folder = "/tmp/roost-mesh-key-\(getpid())"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let key = try MeshKey.ensure(stateDirectory: folder)
        #expect(try MeshKey.ensure(stateDirectory: folder) == key)
        let path = folder + "/mesh.key"
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? NSNumber
        #expect(mode?.intValue == 0o600)
        let secret = String(decoding: try #require(try DurableFile.read(path)), as: UTF8.self)
        let said = try await Command("wg", ["pubkey"], input: secret).run().standardOutput
        #expect(said.trimmingCharacters(in: .whitespacesAndNewlines) == key)
        try DurableFile.write("not a key\n", to: path)
        #expect(throws: MeshError.self) { try MeshKey.ensure(stateDirectory: folder) }
    }

    @Test func probePacketReadsBackAndNothingElseIsOne() {
        let packet = ProbePacket(kind: .probe, number: 0xdead_beef, sentNanoseconds: 0x0123_4567_89ab_cdef)
        let bytes = packet.bytes
        #expect(bytes.withUnsafeBytes { ProbePacket($0) } == packet)
        var held = packet
        held.heldMicroseconds = 40_000
        #expect(held.bytes.withUnsafeBytes { ProbePacket($0) } == held)
        #expect(Array(held.bytes[..<12]) == Array(bytes[..<12]) && Array(held.bytes[16...]) == Array(bytes[16...]))
        for index in [0, 3, 4, 5] {
            var wrong = bytes
            wrong[index] ^= 0xff
            #expect(wrong.withUnsafeBytes { ProbePacket($0) } == nil)
        }
        for wrong in [[], Array(bytes.dropLast()), bytes + [0]] {
            #expect(wrong.withUnsafeBytes { ProbePacket($0) } == nil)
        }
    }

    @Test func onlyPeersAreAnsweredAndOnlyRealAnswersCount() throws {
        let here = AgreementKey()
        let there = AgreementKey()
        func text(_ key: AgreementKey) -> String { key.publicText }
        let seal = try #require(ProbeSeal(own: here, peer: text(there)))
        let theirs = try #require(ProbeSeal(own: there, peer: text(here)))
        let stranger = try #require(ProbeSeal(own: AgreementKey(), peer: text(here)))
        let peer = try UnderlayEndpoint("198.18.1.2:51821")
        let elsewhere = try UnderlayEndpoint("198.18.1.3:51821")
        var table = ProbeTable(datagramBytes: 1452)
        table.setTargets(
            [ProbeTarget(host: try HostName("host1"), endpoint: peer, publicKey: text(there), seal: seal)], now: .zero)
        let sent = try #require(table.takeDue(now: .zero).first)
        #expect(sent.destination == peer)
        let now = Moment.zero + .milliseconds(3)
        // What we have sent ourselves, and what somebody else says under the peer's address.
        let probe = try #require(theirs.opened(sent.bytes))
        #expect(table.receive(sent.bytes, from: peer, arrival: now, now: now) == nil)
        #expect(table.receive(stranger.sealed(probe), from: peer, arrival: now, now: now) == nil)
        #expect(table.receive(probe.bytes, from: peer, arrival: now, now: now) == nil)
        #expect(table.receive(theirs.sealed(probe), from: elsewhere, arrival: now, now: now) == nil)
        let reply = table.receive(theirs.sealed(probe), from: peer, arrival: now, now: now)
        #expect(reply.flatMap { theirs.opened($0.bytes) }?.kind == .answer)
        var answer = probe
        answer.kind = .answer
        var forged = answer
        forged.sentNanoseconds += 1
        #expect(table.receive(theirs.sealed(forged), from: peer, arrival: now, now: now) == nil)
        var changed = theirs.sealed(answer)
        for index in changed.indices {
            changed[index] ^= 1
            #expect(table.receive(changed, from: peer, arrival: now, now: now) == nil)
            changed[index] ^= 1
        }
        #expect(table.receive(stranger.sealed(answer), from: peer, arrival: now, now: now) == nil)
        #expect(table.measurements(now: now).first?.probesAnswered == 0)
        #expect(table.receive(changed, from: peer, arrival: now, now: now) == nil)
        #expect(table.measurements(now: now).first?.roundTripMicroseconds == 3000)
    }

    /// Two hosts that look at their packets now and then measure the path and not each other's rounds.
    @Test func whatAProbeIsHeldIsNoPartOfThePath() throws {
        let keys = (0..<2).map { _ in AgreementKey() }
        func text(_ key: AgreementKey) -> String { key.publicText }
        let endpoints = try [UnderlayEndpoint("198.18.1.1:51821"), UnderlayEndpoint("198.18.1.2:51821")]
        let names = try [HostName("host1"), HostName("host2")]
        var tables = [ProbeTable(datagramBytes: 1452), ProbeTable(datagramBytes: 1452)]
        for own in 0..<2 {
            let peer = 1 - own
            let seal = try #require(ProbeSeal(own: keys[own], peer: text(keys[peer])))
            tables[own].setTargets(
                [
                    ProbeTarget(
                        host: names[peer], endpoint: endpoints[peer], publicKey: text(keys[peer]), seal: seal)
                ], now: .zero)
        }
        for round in 0..<50 {
            let sent = Moment.zero + .milliseconds(100) * round
            for probe in tables[0].takeDue(now: sent) {
                let there = sent + .milliseconds(10)
                let looked = there + .milliseconds(round % 40)
                let answer = tables[1].receive(probe.bytes, from: endpoints[0], arrival: there, now: looked)
                // It looks when it looks; the kernel's stamp says when the answer came.
                _ = tables[0].receive(
                    try #require(answer).bytes, from: endpoints[1], arrival: looked + .milliseconds(10),
                    now: looked + .milliseconds(45))
            }
        }
        let measured = try #require(tables[0].measurements(now: Moment.zero + .seconds(5)).first)
        #expect(measured.roundTripMicroseconds == 20_000)
        #expect(measured.isAnswering && measured.lossPercent == 0)
    }

    @Test func aPathThatCarriesSmallPacketsOnlyIsSaidToDoSo() throws {
        let here = AgreementKey()
        let there = AgreementKey()
        func text(_ key: AgreementKey) -> String { key.publicText }
        let theirs = try #require(ProbeSeal(own: there, peer: text(here)))
        let peer = try UnderlayEndpoint("198.18.1.2:51821")
        let seal = try #require(ProbeSeal(own: here, peer: text(there)))
        let host = try HostName("host1")
        var table = ProbeTable(datagramBytes: 1452)
        let target = ProbeTarget(host: host, endpoint: peer, publicKey: text(there), seal: seal)
        table.setTargets([target], now: .zero)
        var turns: [Bool] = []
        var largest = 0
        // A minute with everything, a minute with small ones only, a minute with everything.
        for tenth in 0..<1800 {
            let now = Moment.zero + .milliseconds(100) * tenth
            for sent in table.takeDue(now: now) {
                largest = max(largest, sent.bytes.count)
                let packet = try #require(theirs.opened(sent.bytes))
                if sent.bytes.count > 1000, (600..<1200).contains(tenth) { continue }
                var answer = packet
                answer.kind = .answer
                _ = table.receive(
                    theirs.sealed(answer), from: peer, arrival: now + .milliseconds(3), now: now + .milliseconds(3))
                // A padding that was never sent counts for nothing.
                answer.padding += 1
                _ = table.receive(
                    theirs.sealed(answer), from: peer, arrival: now + .milliseconds(3), now: now + .milliseconds(3))
            }
            turns += table.takeTurns(now: now).map(\.carriesSmallPacketsOnly)
            let measured = try #require(table.measurements(now: now).first)
            #expect(measured.lossPercent == 0)
            if tenth == 590 { #expect(measured.fullSizeLossPercent == 0) }
            if tenth == 1190 { #expect(measured.fullSizeLossPercent == 100) }
            if tenth == 1790 { #expect(measured.fullSizeLossPercent == 0) }
            if tenth == 300 { table.setTargets([target], now: now) }
        }
        #expect(turns == [true, false])
        #expect(largest == 1452, "as WireGuard sends a packet of 1420 bytes: 16 of header, 16 of tag")
    }

    /// A host that was away for a while, by whatever it was, is behind the path that it was behind before.
    @Test(arguments: [3, 12, 25, 60, 600]) func anOutageSaysNothingOfSizes(seconds: Int) throws {
        let (here, there) = (AgreementKey(), AgreementKey())
        let theirs = try #require(ProbeSeal(own: there, peer: here.publicText))
        let seal = try #require(ProbeSeal(own: here, peer: there.publicText))
        let peer = try UnderlayEndpoint("198.18.1.2:51821")
        var table = ProbeTable(datagramBytes: 1452)
        table.setTargets(
            [ProbeTarget(host: try HostName("host1"), endpoint: peer, publicKey: there.publicText, seal: seal)],
            now: .zero)
        let outage = 600..<600 + seconds * 10
        for tenth in 0..<outage.upperBound + 600 {
            let now = Moment.zero + .milliseconds(100) * tenth
            for sent in table.takeDue(now: now) where !outage.contains(tenth) {
                var answer = try #require(theirs.opened(sent.bytes))
                answer.kind = .answer
                let arrival = now + .milliseconds(3)
                _ = table.receive(theirs.sealed(answer), from: peer, arrival: arrival, now: arrival)
            }
            #expect(table.takeTurns(now: now).isEmpty, "\(tenth)")
        }
    }

    @Test func changesTouchOnlyWhatDiffers() throws {
        func peer(_ host: String, key: String, endpoint: String, machines: [String]) throws -> MeshPeer {
            MeshPeer(
                host: try HostName(host),
                identity: MeshIdentity(
                    publicKey: key, endpoint: endpoint, probePort: 51821,
                    address: MeshAddress.host(try HostName(host))),
                machines: try machines.map { try IPv6Address($0) })
        }
        let one = try peer("host1", key: "K1=", endpoint: "198.18.1.1:51820", machines: ["fdaa:0:7::2"])
        let two = try peer("host2", key: "K2=", endpoint: "198.18.1.2:51820", machines: [])
        let dump = """
            P=\tO=\t51820\toff
            K1=\t(none)\t198.18.1.1:51820\t\(one.identity.address)/128,fdaa:0:7::2/128\t1700000000\t1\t2\t25
            K9=\t(none)\t(none)\t(none)\t0\t0\t0\toff
            """
        let state = try WireGuardState(dump: dump)
        #expect(PeerChanges(from: state, to: [one], told: [:]).arguments == [["peer", "K9=", "remove"]])
        let changes = PeerChanges(from: state, to: [one, two], told: [:]).arguments
        #expect(
            changes == [
                ["peer", "K9=", "remove"],
                [
                    "peer", "K2=", "endpoint", "198.18.1.2:51820", "persistent-keepalive", "25", "allowed-ips",
                    "\(two.identity.address)/128",
                ],
            ])
        // A peer that is heard from another address keeps it, until the store has a new word.
        let roamed = try WireGuardState(dump: dump.replacingOccurrences(of: "198.18.1.1:", with: "198.18.7.7:"))
        #expect(PeerChanges(from: roamed, to: [one], told: ["K1=": "198.18.1.1:51820"]).arguments.count == 1)
        #expect(PeerChanges(from: roamed, to: [one], told: [:]).arguments.count == 2)
    }

    @Test func wrongConfigurationIsRefused() async throws {
        var configuration = MeshConfiguration(
            host: try HostName("host1"), endpoint: try UnderlayEndpoint("198.18.1.1:51820"),
            stateDirectory: "/tmp/roost-mesh-none-\(getpid())", runDirectory: "/tmp/roost-mesh-none-\(getpid())")
        for interface in ["", "sixteen-letters-", "a b", "a\"b", "../x"] {
            configuration.interface = interface
            let mesh = WireGuardMesh(configuration: configuration)
            await #expect(throws: MeshError.self) { try await mesh.start() }
        }
        configuration.interface = "roost0"
        configuration.mtu = 1500
        let mesh = WireGuardMesh(configuration: configuration)
        await #expect(throws: MeshError.self) { try await mesh.start() }
    }
}
