import RoostModel
import RoostRuntime
import Testing

struct StandardEnvironmentTests {
    @Test func everyMachineIsToldWhoItIs() throws {
        let machine = MachineRecord(
            id: try MachineID("0123456789abcd"), name: "n", app: try AppName("shop"), region: try RegionCode("ams"),
            state: .started, instance: "01X", config: MachineConfig(image: "dir:/image"), network: NetworkNumber(1),
            createdAt: 0, updatedAt: 0)
        let environment = StandardEnvironment.make(for: machine)
        for (name, value) in [
            "APP_NAME": "shop", "MACHINE_ID": "0123456789abcd", "ALLOC_ID": "0123456789abcd", "REGION": "ams",
            "MACHINE_VERSION": "01X", "IMAGE_REF": "dir:/image", "PROCESS_GROUP": "app", "VM_MEMORY_MB": "256",
            "PRIVATE_IP": "\(machine.address)",
        ] {
            #expect(environment["FLY_" + name] == value && environment["ROOST_" + name] == value)
        }
        #expect(environment["PRIMARY_REGION"] == nil)
        let other = StandardEnvironment.make(for: machine, primaryRegion: try RegionCode("iad"))
        #expect(other["PRIMARY_REGION"] == "iad")
    }
}
