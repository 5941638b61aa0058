import RoostLinux
import Testing

@testable import RoostHost

@Suite("Ids that say when they were made") struct InstanceIDTests {
    @Test("The time is in it, and what is no such id has none")
    func time() throws {
        let before = WallClock.milliseconds()
        let time = try #require(InstanceID.time(of: InstanceID.make()))
        #expect((before...WallClock.milliseconds()).contains(time))
        let zeros = String(repeating: "0", count: 16)
        #expect(InstanceID.time(of: "0000000001" + zeros) == 1 && InstanceID.time(of: "0000000010" + zeros) == 32)
        for text in ["", "01J", "000000000U" + zeros, "0000000001" + zeros + "0"] {
            #expect(InstanceID.time(of: text) == nil)
        }
    }
}
