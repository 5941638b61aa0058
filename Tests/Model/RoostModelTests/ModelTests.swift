import Foundation
import RoostModel
import Testing

@Suite struct AddressTests {
    @Test(arguments: [
        ("::", "::"), ("fdaa:0:0:1::2", "fdaa:0:0:1::2"), ("FDAA:0:0:0:0:0:0:1", "fdaa::1"),
        ("1:0:0:2:0:0:0:3", "1:0:0:2::3"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
        ("1:0:3:4:5:6:7:8", "1:0:3:4:5:6:7:8"),
    ])
    func ipv6TextIsCanonical(text: String, canonical: String) throws {
        #expect(try IPv6Address(text).description == canonical)
    }

    @Test(arguments: ["", ":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "g::", "12345::", "::1%eth0"])
    func wrongIPv6IsRefused(text: String) {
        #expect(throws: InvalidValue.self) { try IPv6Address(text) }
    }

    @Test(arguments: ["1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "a.b.c.d", "", "1..2.3"])
    func wrongIPv4IsRefused(text: String) {
        #expect(throws: InvalidValue.self) { try IPv4Address(text) }
    }

    @Test func prefixesHoldTheirAddresses() throws {
        let prefix = try IPv4Prefix("203.0.113.0/29")
        #expect(prefix.contains(try IPv4Address("203.0.113.7")))
        #expect(!prefix.contains(try IPv4Address("203.0.113.8")))
        #expect(prefix.serviceAddresses.map(\.description) == (1...6).map { "203.0.113.\($0)" })
        #expect(try IPv4Prefix("203.0.113.7/32") == IPv4Prefix(of: try IPv4Address("203.0.113.7")))
    }

    @Test(
        "A text that says two things is no prefix, and the words name the network that was meant",
        arguments: [
            ("203.0.113.7/24", "203.0.113.0/24"), ("1.2.3.4/032", "for example"), ("1.2.3.4/+32", "for example"),
            ("0.0.0.0/0", "8 to 32 bits"), ("1.2.3.4/33", "8 to 32 bits"), ("1.2.3.4", "for example"),
            ("1.2.3.4/", "for example"), ("1.2.3/24", "IPv4 address"),
        ])
    func wrongPrefixes(text: String, words: String) {
        let error = #expect(throws: InvalidValue.self) { try IPv4Prefix(text) }
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }

    @Test func aMachineAddressIsAFunctionOfNetworkAndMachineOnly() throws {
        let machine = try MachineID("ab123456789cde")
        let address = MeshAddress.machine(machine, in: NetworkNumber(0x0001_0002))
        #expect(address.description == "fdaa:1:2:ab:1234:5678:9cde:2")
        #expect(MeshAddress.host(try HostName("ams1")) != MeshAddress.host(try HostName("ams2")))
        // In network 0: fdaa:0:0::/48.
        #expect(MeshAddress.host(try HostName("ams1")).high >> 16 == 0xfdaa_0000_0000)
    }
}

@Suite struct ValueTests {
    @Test(arguments: ["", "-a", "a-", "A", "1a", "a_b", String(repeating: "a", count: 64), "ä"])
    func wrongNamesAreRefused(text: String) {
        #expect(throws: InvalidValue.self) { try AppName(text) }
    }

    @Test func aRefusalShowsNoMoreThanIsNeededToRecogniseTheValue() {
        let refusal = InvalidValue(kind: "name", value: String(repeating: "a", count: 70_000), rule: "be short")
        #expect(refusal.description.utf8.count < 200)
        #expect(InvalidValue(kind: "name", value: "A", rule: "r").description == "'A' is not a valid name: r")
    }

    @Test func aDurationFitsIntoTheMillisecondsOfRecords() {
        #expect(throws: InvalidValue.self) { try DurationText(String(repeating: "999999999h", count: 100_000)) }
        #expect(throws: InvalidValue.self) { try DurationText("999999999h") }
    }

    @Test(arguments: [(0, "0 processes"), (1, "1 process"), (2, "2 processes")])
    func oneIsNotMany(number: Int, words: String) {
        #expect(counted(number, "process", plural: "processes") == words)
        #expect(counted(number, "volume") == "\(number) volume" + (number == 1 ? "" : "s"))
    }

    @Test func idsAreMadeValid() throws {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<100 {
            let machine = MachineID.random(using: &random)
            #expect(try MachineID(machine.text) == machine)
            let volume = VolumeID.random(using: &random)
            #expect(try VolumeID(volume.text) == volume)
        }
    }

    @Test(arguments: [("5s", 5000), ("1m30s", 90_000), ("300ms", 300), ("2h", 7_200_000)])
    func durationsAreGoText(text: String, milliseconds: Int64) throws {
        #expect(try DurationText(text).duration.milliseconds == milliseconds)
    }

    @Test(
        "A duration is written back as the time that it was",
        arguments: ["500us", "1us", "7ns", "1500ms", "1500500us", "3s20us", "0s", "1m30s", "1000000000s"])
    func durationsSurvive(text: String) throws {
        let duration = try DurationText(text)
        let written = String(decoding: try JSONEncoder().encode([duration]), as: UTF8.self)
        #expect(try JSONDecoder().decode([DurationText].self, from: Data(written.utf8)) == [duration], "\(written)")
        #expect(try DurationText("\(duration)") == duration)
    }

    @Test(
        "A number is nanoseconds, within the same bounds as a text",
        arguments: [
            (0, true), (1_500_000_000, true), (1_000_000_000_000_000_000, true), (1_000_000_000_000_000_001, false),
            (Int64.max, false), (-1, false),
        ] as [(Int64, Bool)])
    func nanosecondsAreBounded(number: Int64, isRight: Bool) {
        let read = try? JSONDecoder().decode([DurationText].self, from: Data("[\(number)]".utf8))
        #expect(read == (isRight ? [DurationText(.nanoseconds(number))] : nil))
    }

    @Test(arguments: ["", "5", "s", "-5s", "5x", "1.5s", "99999999999s"])
    func wrongDurationsAreRefused(text: String) {
        #expect(throws: InvalidValue.self) { try DurationText(text) }
    }

    @Test func positionsOrderByEpochFirst() {
        let old = Position(epoch: Epoch(1), end: LSN(1000))
        let new = Position(epoch: Epoch(2), end: LSN(10))
        #expect(old < new)
        #expect(LSN(text: "1/2A")?.description == "1/2A")
        #expect(LSN(text: "nonsense") == nil)
    }

    @Test(
        "What a version does not know is found by its path; what is not set is not missed",
        arguments: [
            (#"{"a":1,"b":{"c":"x"}}"#, nil), (#"{"a":1,"services":[{"port":80}]}"#, "services"),
            (#"{"b":{"c":"x","d":1}}"#, "b.d"), (#"{"l":[{"e":1},{"f":2}]}"#, "l.1.f"),
            (#"{"a":2,"z":false,"y":null,"x":[],"w":{"v":0}}"#, nil),
        ] as [(String, String?)])
    func unknownMembers(text: String, path: String?) throws {
        let known = #"{"a":1,"b":{"c":"y"},"l":[{"e":1},{"e":1}]}"#
        func tree(_ text: String) throws -> JSONTree { try JSONDecoder().decode(JSONTree.self, from: Data(text.utf8)) }
        #expect(try tree(text).firstMember(notIn: tree(known)) == path)
    }

    @Test(
        "A name that an object has twice is found, however it is written; in two objects it may be",
        arguments: [
            (#"{"allow":[],"allow":["10.0.0.0/8"]}"#, "allow"), (#"{"a":1,"b":{"c":1,"d":"c","c":2}}"#, "c"),
            (#"{"a":"x","\u0061":1}"#, "a"), (#"{"a\"b":1,"a\u0022b":2}"#, "a\"b"),
            (#"{"\ud83d\ude00":1,"😀":2}"#, "😀"), (#"[{"a":1},{"b":[{"e":1,"e":2}]}]"#, "e"),
            (#"{"":1,"":2}"#, ""), (#"{"a":{"a":{"a":["a","a",{"a":1}]}},"b":"{\"b\":1,"}"#, nil),
            (#"[{"a":1},{"a":2}]"#, nil), (#"["a","a"]"#, nil), (#""a""#, nil), (#"{"\\":1,"\\\\":2}"#, nil),
            (#"{"a": [1, 2], "b": "a", "c": "a"}"#, nil), ("{}", nil), ("", nil), (#"{"\ud83d":1,"x"#, nil),
        ] as [(String, String?)])
    func namesTwice(text: String, name: String?) {
        #expect(JSONKeys.repeated(in: Array(text.utf8)) == name)
        let wide = text.utf16.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
        #expect(JSONKeys.repeated(in: wide) == nil)
    }

    @Test func aConfigSurvivesItsJSON() throws {
        let json = """
            {"image":"oci:/x:1","guest":{"cpus":2,"memory_mb":512},"env":{"A":"b"},"restart":{"policy":"always"},
             "mounts":[{"volume":"vol_0123456789abcdef","path":"/data"}],"stop_config":{"timeout":"15s"}}
            """
        let config = try JSONDecoder().decode(MachineConfig.self, from: Data(json.utf8))
        #expect(config.guest == MachineGuest(cpus: 2, memoryMebibytes: 512))
        #expect(config.stop.effectiveTimeout == .seconds(15))
        let again = try JSONDecoder().decode(MachineConfig.self, from: JSONEncoder().encode(config))
        #expect(again == config)
    }

    @Test func typedIdsAreDictionaryKeys() throws {
        let table = [try AppName("a"): 1]
        let json = String(decoding: try JSONEncoder().encode(table), as: UTF8.self)
        #expect(json == #"{"a":1}"#)
    }

    /// Whatever a clock has measured, it is words.
    @Test func aDurationInWordsHasNoMoreDigitsThanAnybodyReads() {
        for (nanoseconds, words) in [
            (873_978_936, "0.9 s"), (899_798_712, "0.9 s"), (900_000_000, "0.9 s"), (15_400_000, "15 ms"), (0, "0 s"),
            (1_000_000_000, "1 s"), (2_500_000_000, "2.5 s"), (9_960_000_000, "10 s"), (65_049_000_000, "65 s"),
            (120_000_000_000, "120 s"), (-1_500_000_000, "-1.5 s"),
        ] as [(Int64, String)] {
            #expect(Duration.nanoseconds(nanoseconds).words == words)
        }
    }
}
