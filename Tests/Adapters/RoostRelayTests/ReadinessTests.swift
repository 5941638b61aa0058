import Glibc
import RoostLinux
import RoostModel
import Testing

@testable import RoostRelay

@Suite("The wait of a relay") struct ReadinessTests {
    @Test("A hang-up that nobody can take now wakes it once, not again and again")
    func hangUp() throws {
        let (ours, theirs) = try UnixSocket.pair()
        let link = Link(ours)
        link.isReading = false
        close(theirs)
        let end = BootClock.now() + .milliseconds(300)
        var turns = 0
        while BootClock.now() < end {
            Readiness.wait(for: [link], until: end)
            turns += 1
        }
        #expect(turns <= 3)
        // It is still to be read once there is room.
        link.isReading = true
        Readiness.wait(for: [link], until: BootClock.now() + .seconds(5))
        #expect(link.isReadable)
    }
}
