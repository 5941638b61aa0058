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
        let written = ByteCount.gibibytes(5)
        shortages.note("one", written: written, at: begun)
        #expect(shortages.isPausing("one", room: .zero - .gibibytes(1), at: begun + .seconds(30)))
        #expect(shortages.isPausing("one", room: written + .mebibytes(255), at: begun + .seconds(30)))
        #expect(!shortages.isPausing("one", room: written + .mebibytes(256), at: begun + .seconds(30)))
        #expect(!shortages.isPausing("two", room: .zero, at: begun + .seconds(30)))
        #expect(!shortages.isPausing("one", room: written, at: begun + ImageShortages.pause))
    }

    @Test("A small work that was ended beside a large one is begun again when the large one has made room")
    func innocent() {
        var shortages = ImageShortages()
        let begun = Moment.zero + .seconds(1000)
        // A gibibyte of room when both began, and again when both were cleared away.
        let room = ByteCount.gibibytes(1)
        shortages.note("small", written: .mebibytes(100), at: begun)
        shortages.note("large", written: room - .mebibytes(100), at: begun)
        #expect(!shortages.isPausing("small", room: room, at: begun + .seconds(30)))
        #expect(shortages.isPausing("large", room: room, at: begun + .seconds(30)))
    }

    @Test("What a work has written is what is below its folder, whatever the disk has lost meanwhile")
    func written() async throws {
        try await ImageWorkshop.with { workshop in
            var limits = ImageLimits()
            limits.diskReserve = .gibibytes(1 << 20)
            let store = ImageWorkshop.store(in: workshop.folder, limits: limits)
            try DurableFile.makeFolder(workshop.folder + "/images")
            let image = try ImageReference("oci:\(workshop.folder)/layout:one")
            let half = workshop.folder + "/half"
            try DurableFile.makeFolder(half)
            try DurableFile.write([UInt8](repeating: 7, count: 8 << 20), to: half + "/layer")
            let error = await refusal {
                _ = try await store.work("unpack", image, content: "sha256:1", into: half, .imageInvalid) {
                    Command("sleep", ["60"], deadline: .seconds(60))
                }
            }
            #expect(error?.code == .noSpace)
            let margin = ImageShortages.margin
            let (less, more) = store.shortages.withLock { shortages in
                let now = BootClock.now()
                return (
                    shortages.isPausing("sha256:1", room: margin + .mebibytes(7), at: now),
                    shortages.isPausing("sha256:1", room: margin + .mebibytes(10), at: now)
                )
            }
            #expect(less && !more)
        }
    }

    @Test("No more shortages are remembered than there may be, the oldest goes first")
    func bounded() {
        var shortages = ImageShortages()
        for number in 0...ImageShortages.countMax {
            shortages.note("\(number)", written: .zero, at: Moment.zero + .milliseconds(number))
        }
        let now = Moment.zero + .seconds(10)
        #expect(!shortages.isPausing("0", room: .zero, at: now))
        #expect(shortages.isPausing("1", room: .zero, at: now))
        #expect(shortages.isPausing("\(ImageShortages.countMax)", room: .zero, at: now))
    }

    @Test("Work that was ended for a full disk is not begun again, by whatever name somebody asks")
    func notBegunAgain() async throws {
        try await ImageWorkshop.with { workshop in
            var limits = ImageLimits()
            limits.diskReserve = .gibibytes(1 << 20)
            let store = ImageWorkshop.store(in: workshop.folder, limits: limits)
            try DurableFile.makeFolder(workshop.folder + "/images")
            let marks = workshop.folder + "/marks"
            let work = { (tag: String, content: String) async throws -> RuntimeError? in
                let image = try ImageReference("oci:\(workshop.folder)/layout:\(tag)")
                return await refusal {
                    _ = try await store.work(
                        "unpack", image, content: content, into: workshop.folder + "/half", .imageInvalid
                    ) {
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
