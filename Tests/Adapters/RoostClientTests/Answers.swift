import FoundationEssentials
import RoostClient
import RoostModel
import RoostWire

/// Answers of the API that several tests need.
enum Answers {
    static func cluster(
        _ status: ClusterBody.Status, epoch: UInt64 = 1, leader: String? = "m1", detail: String? = nil
    ) throws -> ClusterBody {
        let members = try [("m1", "ams1", "ams"), ("m2", "iad1", "iad")].map { name, host, region in
            MemberBody(
                name: try MemberName(name), machine: try MachineID("0123456789abcd"), volume: nil,
                host: try HostName(host), region: try RegionCode(region), address: nil,
                role: name == leader ? .primary : .standby, state: "streaming", timeline: 1,
                lagBytes: name == leader ? 0 : 8192, lagSeconds: name == leader ? 0 : 0.25, detail: nil)
        }
        return ClusterBody(
            name: try AppName("shop"), status: status, detail: detail, epoch: Epoch(epoch),
            leader: try leader.map { try MemberName($0) }, rule: "ANY 1 of 1",
            writeURL: "postgres://postgres:secret@203.0.113.1:5432/postgres",
            readURL: "postgres://postgres:secret@203.0.113.1:5433/postgres", authorityCertificate: "", members: members)
    }

    static func machine(
        _ state: MachineState, _ id: String = "0123456789abcd", named name: String = "web", on host: String = "ams1"
    ) throws -> MachineBody {
        let id = try MachineID(id)
        return MachineBody(
            id: id, name: name, state: state, region: try RegionCode("ams"), instanceID: "1",
            privateIP: MeshAddress.machine(id, in: NetworkNumber(1)), config: MachineConfig(image: "/image"),
            imageRef: .init(registry: "", repository: "", tag: "", digest: ""), events: [],
            createdAt: "2026-01-01T00:00:00Z", updatedAt: "2026-01-01T00:00:00Z", hostStatus: "ok",
            host: try HostName(host), app: try AppName("shop"))
    }

    static func operation(
        _ id: String, _ kind: String, _ state: String, steps: [String] = [], result: String? = nil
    ) -> String {
        let told = steps.map { #"{"name":"\#($0)","at":"2026-01-01T00:00:00Z"}"# }.joined(separator: ",")
        let result = result.map { #","result":"\#($0)""# } ?? ""
        return #"{"id":"\#(id)","kind":"\#(kind)","object":"shop","state":"\#(state)","#
            + #""started_at":"2026-01-01T00:00:00Z","steps":[\#(told)]\#(result)}"#
    }

    static func json(_ value: some Encodable) throws -> String {
        String(decoding: try RoostJSON.encode(value), as: UTF8.self)
    }
}
