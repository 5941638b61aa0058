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
        #expect(shortages.begin("one", room: .zero - .gibibytes(1), at: begun + .seconds(30)) == .refused)
        #expect(shortages.begin("one", room: written + .mebibytes(255), at: begun + .seconds(30)) == .refused)
        #expect(shortages.begin("one", room: written + .mebibytes(256), at: begun + .seconds(30)) == .turn)
        #expect(shortages.begin("two", room: .zero, at: begun + .seconds(30)) == .free)
        #expect(shortages.begin("one", room: written, at: begun + ImageShortages.pause) == .turn)
        #expect(shortages.begin("one", room: .zero, at: begun + ImageShortages.memory) == .free)
    }

    @Test("A small work that was ended beside a large one is begun again when the large one has made room")
    func innocent() {
        var shortages = ImageShortages()
        let begun = Moment.zero + .seconds(1000)
        // A gibibyte of room when both began, and again when both were cleared away.
        let room = ByteCount.gibibytes(1)
        shortages.note("small", written: .mebibytes(100), at: begun)
        shortages.note("large", written: room - .mebibytes(100), at: begun)
        #expect(shortages.begin("large", room: room, at: begun + .seconds(30)) == .refused)
        #expect(shortages.begin("small", room: room, at: begun + .seconds(30)) == .turn)
    }

    @Test("Of works that were ended together one at a time is begun again, also when their pauses are over")
    func inTurn() {
        // Each fits alone, both do not.
        var shortages = ImageShortages()
        let begun = Moment.zero + .seconds(1000)
        let room = ByteCount.mebibytes(1200)
        for name in ["one", "two"] { shortages.note(name, written: .mebibytes(600), at: begun) }
        for now in [begun + .seconds(1), begun + ImageShortages.pause] {
            #expect(shortages.begin("one", room: room, at: now) == .turn)
            #expect(shortages.begin("two", room: room, at: now) == .refused)
            // The same image by another name, which may be through earlier.
            #expect(shortages.begin("one", room: room, at: now) == .turn)
            #expect(shortages.begin("new", room: room, at: now) == .free)
            shortages.end("one")
            #expect(shortages.begin("two", room: room, at: now) == .refused)
            shortages.end("one")
            #expect(shortages.begin("two", room: room, at: now) == .turn)
            shortages.end("two")
        }
        shortages.forget("one")
        #expect(shortages.begin("one", room: room, at: begun + .seconds(1)) == .free)
        #expect(shortages.begin("two", room: room, at: begun + .seconds(1)) == .turn)
    }

    @Test("A turn ends with its work, however that ends")
    func turnsEnd() async throws {
        try await ImageWorkshop.with { workshop in
            var limits = ImageLimits()
            limits.diskReserve = .zero
            let store = ImageWorkshop.store(in: workshop.folder, limits: limits)
            try DurableFile.makeFolder(workshop.folder + "/images")
            let image = try ImageReference("oci:\(workshop.folder)/layout:one")
            let work: @Sendable (String, String) async throws -> Void = { content, script in
                _ = try await store.work(
                    "unpack", image, content: content, into: workshop.folder + "/half", .imageInvalid
                ) { Command("sh", ["-c", script]) }
            }
            store.shortages.withLock { shortages in
                for name in ["one", "two"] { shortages.note(name, written: .zero, at: BootClock.now()) }
            }
            #expect(await refusal { try await work("one", "exit 1") }?.code == .imageInvalid)
            try await work("two", "exit 0")
            let (go, marks) = (workshop.folder + "/go", workshop.folder + "/marks")
            async let first: Void = work("one", "touch \(marks); until [ -e \(go) ]; do sleep 0.02; done")
            let isAtWork = try await poll(for: .seconds(30), every: .milliseconds(10)) {
                try DurableFile.exists(marks) ? true : nil
            }
            #expect(isAtWork == true)
            #expect(await refusal { try await work("two", "exit 0") }?.code == .noSpace)
            try DurableFile.write("", to: go)
            try await first
            try await work("two", "exit 0")
        }
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
                    shortages.begin("sha256:1", room: margin + .mebibytes(7), at: now),
                    shortages.begin("sha256:1", room: margin + .mebibytes(10), at: now)
                )
            }
            #expect(less == .refused && more == .turn)
        }
    }

    @Test("No more shortages are remembered than there may be, the oldest goes first")
    func bounded() {
        var shortages = ImageShortages()
        for number in 0...ImageShortages.countMax {
            shortages.note("\(number)", written: .zero, at: Moment.zero + .milliseconds(number))
        }
        let now = Moment.zero + .seconds(10)
        #expect(shortages.begin("0", room: .zero, at: now) == .free)
        #expect(shortages.begin("1", room: .zero, at: now) == .refused)
        #expect(shortages.begin("\(ImageShortages.countMax)", room: .zero, at: now) == .refused)
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
