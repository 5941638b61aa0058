import RoostModel
import RoostRuntime
import Testing

@testable import RoostImages

@Suite struct ImageShelfTests {
    private static let hour: Int64 = 3_600_000
    private let retention = ImageRetention(time: .seconds(24 * 3600), freeWanted: .gibibytes(4))
    private let now: Int64 = 1_000 * hour

    private func shelf(inUse: Set<String> = []) -> ImageShelf {
        ImageShelf(
            [
                .init(hex: "young", lastUse: now - Self.hour), .init(hex: "oldest", lastUse: now - 50 * Self.hour),
                .init(hex: "old", lastUse: now - 24 * Self.hour), .init(hex: "now", lastUse: now - 1000),
            ], inUse: inUse)
    }

    @Test("With room enough those go whose time is over, the oldest first")
    func byTime() {
        var shelf = shelf()
        #expect(shelf.takeNext(by: retention, free: .gibibytes(4), now: now)?.hex == "oldest")
        #expect(shelf.takeNext(by: retention, free: .gibibytes(4), now: now)?.hex == "old")
        #expect(shelf.takeNext(by: retention, free: .gibibytes(4), now: now) == nil)
    }

    @Test("When the disk is short, more go until there is room, but not what was used just now")
    func byRoom() {
        var shelf = shelf()
        let short = ByteCount(bytes: ByteCount.gibibytes(4).bytes - 1)
        for name in ["oldest", "old", "young"] {
            #expect(shelf.takeNext(by: retention, free: short, now: now)?.hex == name)
        }
        #expect(shelf.takeNext(by: retention, free: .zero, now: now) == nil)
        var other = self.shelf(inUse: ["sha256:oldest", "sha256:old"])
        #expect(other.takeNext(by: retention, free: .gibibytes(4), now: now) == nil)
        #expect(other.takeNext(by: retention, free: short, now: now)?.hex == "young")
    }
}
