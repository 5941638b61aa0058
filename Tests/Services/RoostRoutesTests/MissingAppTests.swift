import Foundation
import Testing

/// What is named as the thing that there is not, or that is no name.
@Suite struct MissingAppTests {
    @Test(
        "Of an app that there is not, the app is missing, and not what was looked for in it",
        arguments: ["ams1", "iad1"])
    func appIsMissing(asked: String) async throws {
        try await PlanetUnderTest.run(["ams1", "iad1"], apps: ["shop"]) { planet in
            let host = try planet[asked]
            let made = try await planet["ams1"].call(
                "POST /v1/apps/shop/volumes", #"{"name": "data", "region": "ams"}"#)
            #expect(made.status == 200, "\(made.text)")
            for volume in [made.string("id"), "vol_0123456789abcdef"] {
                for verb in ["GET", "DELETE"] {
                    let told = try await host.call("\(verb) /v1/apps/nope/volumes/\(volume)")
                    #expect(told.status == 404 && told.string("error") == "app nope not found", "\(told.text)")
                }
            }
            for call in ["GET", "DELETE"].map({ "\($0) /v1/apps/nope/machines/0123456789abcd" }) {
                let told = try await host.call(call)
                #expect(told.status == 404 && told.string("error") == "app nope not found", "\(told.text)")
            }
            let other = try await host.call("DELETE /v1/apps/shop/volumes/vol_0123456789abcdef")
            #expect(other.string("error") == "volume vol_0123456789abcdef not found", "\(other.text)")
        }
    }

    @Test("What is of another app is not found in this one, and whose it is is said", arguments: ["ams1", "iad1"])
    func ofAnotherApp(asked: String) async throws {
        try await PlanetUnderTest.run(["ams1", "iad1"], apps: ["shop", "blog"]) { planet in
            let host = try planet[asked]
            let volume = try await planet["ams1"].call(
                "POST /v1/apps/shop/volumes", #"{"name": "data", "region": "ams"}"#)
            let machine = try await planet["ams1"].call(
                "POST /v1/apps/shop/machines", #"{"region": "ams", "config": {"image": "redis:7"}}"#)
            #expect(volume.status == 200 && machine.status == 200, "\(volume.text) \(machine.text)")
            let (volumeID, machineID) = (volume.string("id"), machine.string("id"))
            let mounts = #"[{"volume": "\#(volumeID)", "path": "/data"}]"#
            for (line, body, thing) in [
                ("GET /v1/apps/blog/volumes/\(volumeID)", nil, "volume \(volumeID)"),
                ("DELETE /v1/apps/blog/volumes/\(volumeID)", nil, "volume \(volumeID)"),
                ("GET /v1/apps/blog/machines/\(machineID)", nil, "machine \(machineID)"),
                ("POST /v1/apps/blog/machines/\(machineID)/stop", nil, "machine \(machineID)"),
                (
                    "POST /v1/apps/blog/machines", #"{"config": {"image": "redis:7", "mounts": \#(mounts)}}"#,
                    "volume \(volumeID)"
                ),
            ] as [(String, String?, String)] {
                let told = try await host.call(line, body)
                #expect(told.status == 404, "\(line): \(told.text)")
                let words = "\(thing) not found in app blog: it belongs to app shop"
                #expect(told.string("error") == words, "\(line): \(told.text)")
            }
        }
    }

    @Test("A wrong name of a machine is not called one of an app")
    func machineName() async throws {
        try await PlanetUnderTest.run(apps: ["shop"]) { planet in
            let told = try await planet["ams1"].call(
                "POST /v1/apps/shop/machines", #"{"name": "T3", "config": {"image": "docker.example/web:1"}}"#)
            #expect(
                told.status == 400 && told.string("error").hasPrefix("'T3' is not a valid machine name: "),
                "\(told.text)")
        }
    }
}
