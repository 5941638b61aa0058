import Foundation
import RoostModel
import Testing

@Suite struct OwnershipTests {
    func decode<Record: Decodable>(_ type: Record.Type, _ text: String) throws -> Record {
        try JSONDecoder().decode(type, from: Data(text.utf8))
    }

    func members(of value: some Encodable) throws -> [String: Any] {
        let object = try JSONSerialization.jsonObject(with: try JSONEncoder().encode(value))
        return try #require(object as? [String: Any])
    }

    let machine = """
        {"id":"148ed127c44389","name":"pg1","app":"shop","region":"ams","state":"started","instance":"01","config":{"image":"x"},
        "network":7,"address":"fdaa:0:7:148e:d127:c443:8900:2","created_at":1,"updated_at":2,OWNER}
        """

    @Test("A member of the first version is a machine with an owner") func former() throws {
        let record = try decode(
            MachineRecord.self, machine.replacing("OWNER", with: "\"member\":\"pg1\""))
        #expect(
            record.owner
                == MachineOwner(kind: .postgres, name: try AppName("shop"), role: try MemberName("pg1")))
    }

    @Test("An owner is written so that the first version leaves the machine alone, too") func both() throws {
        let text = machine.replacing(
            "OWNER", with: #""owner":{"kind":"redis","name":"cache","role":"r1"}"#)
        let record = try decode(MachineRecord.self, text)
        #expect(record.owner?.kind == .unknown("redis"))
        let written = try members(of: record)
        #expect(written["member"] as? String == "r1")
        #expect((written["owner"] as? [String: Any])?["kind"] as? String == "redis")
    }

    @Test("An app of a feature is owned in both versions' words") func apps() throws {
        let former = try decode(
            AppRecord.self,
            #"{"name":"shop","network":7,"network_name":"shop","created_at":1,"is_postgres":true}"#)
        #expect(former.owner == .postgres)
        let plain = try decode(
            AppRecord.self,
            #"{"name":"shop","network":7,"network_name":"shop","created_at":1,"is_postgres":false}"#)
        #expect(plain.owner == nil)
        let newer = try decode(
            AppRecord.self,
            #"{"name":"shop","network":7,"network_name":"shop","created_at":1,"is_postgres":true,"owner":"redis"}"#)
        #expect(newer.owner == .unknown("redis"))
        #expect(try members(of: newer)["is_postgres"] as? Bool == true)
        #expect(try members(of: newer)["owner"] as? String == "redis")
    }

    @Test("A word longer than its bound is not read") func words() {
        let word = String(repeating: "x", count: openEnumWordMax + 1)
        #expect(throws: DecodingError.self) { try decode([OwnerKind].self, "[\"\(word)\"]") }
    }
}
