import RoostLinux
import RoostModel
import RoostRuntime
import Testing

@testable import RoostImages

@Suite(.timeLimit(.minutes(2))) struct ImageShortagesTests {
    @Test("An image ends before its disk is so full that a machine would")
    func roomForWhatIsStopped() {
        let reserve = ByteCount.gibibytes(3)
        #expect(ImageLimits(above: reserve).diskReserve == .gibibytes(6))
    }

    @Test("What did not fit waits for time or for room, and nothing else waits with it")
    func pausing() {
        var shortages = ImageShortages()
        let begun = Moment.zero + .seconds(1000)
        let free = ByteCount.gibibytes(5)
        shortages.note("one", begunWith: free, at: begun)
        #expect(shortages.isPausing("one", free: free, at: begun + .seconds(30)))
        #expect(shortages.isPausing("one", free: free + .mebibytes(255), at: begun + .seconds(30)))
        #expect(!shortages.isPausing("one", free: free + .mebibytes(256), at: begun + .seconds(30)))
        #expect(!shortages.isPausing("two", free: free, at: begun + .seconds(30)))
        #expect(!shortages.isPausing("one", free: free, at: begun + ImageShortages.pause))
    }

    @Test("No more shortages are remembered than there may be, the oldest goes first")
    func bounded() {
        var shortages = ImageShortages()
        for number in 0...ImageShortages.countMax {
            shortages.note("\(number)", begunWith: .zero, at: Moment.zero + .milliseconds(number))
        }
        let now = Moment.zero + .seconds(10)
        #expect(!shortages.isPausing("0", free: .zero, at: now))
        #expect(shortages.isPausing("1", free: .zero, at: now))
        #expect(shortages.isPausing("\(ImageShortages.countMax)", free: .zero, at: now))
    }

    @Test("Work that was ended for a full disk is not begun again, by whatever name somebody asks")
    func notBegunAgain() async throws {
        try await ImageWorkshop.with { workshop in
            var limits = ImageLimits()
            limits.diskReserve = .gibibytes(1 << 20)
            let store = ImageWorkshop.store(in: workshop.folder, limits: limits)
            let marks = workshop.folder + "/marks"
            let work = { (tag: String, content: String) async throws -> RuntimeError? in
                let image = try ImageReference("oci:\(workshop.folder)/layout:\(tag)")
                return await refusal {
                    _ = try await store.work("unpack", image, content: content, .imageInvalid) {
                        Command("sh", ["-c", "echo x >> \(marks); exec sleep 60"], deadline: .seconds(60))
                    }
                }
            }
            let first = try await work("one", "sha256:1")
            #expect(first?.code == .noSpace)
            let marked = try DurableFile.read(marks) ?? []
            let second = try await work("two", "sha256:1")
            #expect(second?.code == .noSpace && second?.cause != first?.cause)
            #expect(try DurableFile.read(marks) ?? [] == marked)
            let other = try await work("two", "sha256:2")
            #expect(other?.cause == first?.cause)
        }
    }
}
