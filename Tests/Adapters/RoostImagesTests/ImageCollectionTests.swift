import Glibc
import RoostLinux
import RoostModel
import RoostRuntime
import Synchronization
import Testing

@testable import RoostImages

@Suite(.serialized, .timeLimit(.minutes(3)))
struct ImageCollectionTests {
    private static let day = ImageRetention(time: .seconds(24 * 3600), freeWanted: .zero)
    /// Nothing is ever young enough, and there is never enough room.
    private static let greedy = ImageRetention(time: .zero, freeWanted: ByteCount(bytes: .max))

    private static func owned(_ workshop: ImageWorkshop, by owner: String = "ams1") -> OCIImageStore {
        ImageWorkshop.store(in: workshop.folder, owner: owner)
    }

    private static func use(_ store: OCIImageStore, _ image: ImageReference) async throws -> UnpackedImage {
        try await store.withImage(image) { (image) async throws(RuntimeError) in image }
    }

    /// As if it had been used last so long ago.
    private static func age(_ image: UnpackedImage, seconds: Int) {
        var times = [timespec(), timespec()]
        clock_gettime(CLOCK_REALTIME, &times[0])
        times[0].tv_sec -= seconds
        times[1] = times[0]
        utimensat(AT_FDCWD, image.rootPath.dropLast("rootfs".count) + "image.json", times, 0)
    }

    private static func isThere(_ image: UnpackedImage) -> Bool { access(image.rootPath + "/extra", F_OK) == 0 }

    @Test("An image goes when its time is over and nothing uses it, and comes back for the next start")
    func byTime() async throws {
        try await ImageWorkshop.with { workshop in
            let reference = try ImageReference("oci:" + (try await workshop.makeLayout(tag: "one", extra: "first")))
            let store = Self.owned(workshop)
            // There is not even a folder yet.
            #expect(try await store.collect(Self.greedy) { [] }.isEmpty)
            let image = try await Self.use(store, reference)
            #expect(try await store.digest(of: reference) == image.digest)
            #expect(try await store.collect(Self.day) { [] }.isEmpty)
            Self.age(image, seconds: 25 * 3600)
            #expect(try await store.collect(Self.day) { [image.digest] }.isEmpty)
            // It was in use until now.
            #expect(try await store.collect(Self.day) { [] }.isEmpty)
            Self.age(image, seconds: 25 * 3600)
            #expect(try await store.collect(Self.day) { [] } == [image.digest])
            let left = try FolderListing.names(in: store.directory).filter { !$0.hasSuffix(".lock") }
            #expect(left == ["owners"])
            #expect(try await Self.use(store, reference) == image)
            #expect(Self.isThere(image))
        }
    }

    @Test("With the disk short an image goes before its time, but not within minutes of its last use")
    func byRoom() async throws {
        try await ImageWorkshop.with { workshop in
            let reference = try ImageReference("oci:" + (try await workshop.makeLayout(tag: "one", extra: "first")))
            let store = Self.owned(workshop)
            let image = try await Self.use(store, reference)
            let short = ImageRetention(time: Self.day.time, freeWanted: ByteCount(bytes: .max))
            #expect(try await store.collect(short) { [] }.isEmpty)
            Self.age(image, seconds: Int(ImageRetention.timeMin.components.seconds) + 1)
            #expect(try await store.collect(short) { [] } == [image.digest])
        }
    }

    @Test("An image that is being used stays, and so does one that was used between two looks")
    func inUse() async throws {
        try await ImageWorkshop.with { workshop in
            let reference = try ImageReference("oci:" + (try await workshop.makeLayout(tag: "one", extra: "first")))
            let store = Self.owned(workshop)
            let image = try await store.withImage(reference) { (image) async throws(RuntimeError) in
                Self.age(image, seconds: 1000)
                // Also for another process, whose locks are others.
                let removed = try await Self.owned(workshop).collect(Self.greedy) { [] }
                #expect(removed.isEmpty && Self.isThere(image))
                return image
            }
            Self.age(image, seconds: 1000)
            let looks = Mutex(0)
            let removed = try await store.collect(Self.greedy) {
                looks.withLock { $0 += 1 }
                return looks.withLock { $0 } == 1 ? [] : [image.digest]
            }
            #expect(removed.isEmpty && Self.isThere(image) && looks.withLock { $0 } == 2)
            await #expect(throws: RuntimeError.self) {
                _ = try await store.collect(Self.greedy) { () throws(RuntimeError) in
                    throw RuntimeError(code: .failed, operation: "look", subject: "it", cause: "no answer")
                }
            }
            #expect(Self.isThere(image))
        }
    }

    @Test("Starts and collections in any order: whoever has an image has all of it")
    func together() async throws {
        try await ImageWorkshop.with { workshop in
            let reference = try ImageReference("oci:" + (try await workshop.makeLayout(tag: "one", extra: "first")))
            let launches = Launches()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for start in 0..<3 {
                    group.addTask {
                        for round in 0..<4 {
                            try await launches.start(start * 10 + round, Self.owned(workshop), reference)
                        }
                    }
                }
                group.addTask { try await launches.collect(in: Self.owned(workshop)) }
                for _ in 0..<3 { _ = try await group.next() }
                group.cancelAll()
                for try await _ in group {}
            }
            // Ended in the middle of a removal, perhaps: what follows goes on with it.
            _ = try await Self.owned(workshop).collect(Self.greedy) { [] }
            let left = try FolderListing.names(in: workshop.folder + "/images").filter { !$0.hasSuffix(".lock") }
            #expect(left == ["owners"])
        }
    }

    /// As a host has them: written down before the image is let go.
    private final class Launches: Sendable {
        private let launched = Mutex<[Int: String]>([:])

        var digests: Set<String> { launched.withLock { Set($0.values) } }

        func start(_ number: Int, _ store: OCIImageStore, _ reference: ImageReference) async throws {
            let image = try await store.withImage(reference) { (image) async throws(RuntimeError) in
                #expect(isThere(image))
                launched.withLock { $0[number] = image.digest }
                return image
            }
            for _ in 0..<10 {
                #expect(isThere(image))
                try await Task.sleep(for: .milliseconds(2))
            }
            launched.withLock { $0[number] = nil }
        }

        /// Again and again until it is cancelled, which may cut a removal off.
        func collect(in store: OCIImageStore) async throws {
            while !Task.isCancelled {
                do { _ = try await store.collect(greedy) { self.digests } } catch {
                    guard Task.isCancelled else { throw error }
                }
                try? await Task.sleep(for: .milliseconds(20))
            }
        }
    }
    @Test("What died half way is cleared away, what somebody works on is not")
    func leftovers() async throws {
        try await ImageWorkshop.with { workshop in
            let store = Self.owned(workshop)
            let folder = store.directory
            let hex = String(repeating: "ab", count: 32)
            for name in [".removing-\(hex)", ".unpacking-\(hex)", ".pulling-\(hex)"] {
                try DurableFile.makeFolder("\(folder)/\(name)/rootfs")
            }
            let lock = try #require(try FileLock.attempt("\(folder)/.sha256-\(hex).lock"))
            let names = {
                try FolderListing.names(in: folder).filter { !$0.hasSuffix(".lock") && $0 != "owners" }
            }
            #expect(try await store.collect(Self.day) { [] }.isEmpty)
            #expect(try names() == [".unpacking-\(hex)"])
            lock.release()
            _ = try await store.collect(Self.day) { [] }
            #expect(try names().isEmpty)
        }
    }

    @Test("One left-over image that cannot be cleared away keeps no other one")
    func stuckLeftover() async throws {
        try await ImageWorkshop.with { workshop in
            let reference = try ImageReference("oci:" + (try await workshop.makeLayout(tag: "one", extra: "first")))
            let store = Self.owned(workshop)
            let image = try await Self.use(store, reference)
            let stuck = "\(store.directory)/.removing-\(String(repeating: "ab", count: 32))"
            // Nothing is removed from below a mount.
            try DurableFile.makeFolder(stuck + "/rootfs")
            #expect(mount("none", stuck + "/rootfs", "tmpfs", 0, "size=64k") == 0)
            defer { umount2(stuck + "/rootfs", Int32(MNT_DETACH)) }
            Self.age(image, seconds: 1000)
            #expect(try await store.collect(Self.greedy) { [] } == [image.digest])
            #expect(access(stuck, F_OK) == 0 && !Self.isThere(image))
        }
    }

    @Test("A lock stays while somebody has it or its image is there, and no longer")
    func locks() async throws {
        try await ImageWorkshop.with { workshop in
            let reference = try ImageReference("oci:" + (try await workshop.makeLayout(tag: "one", extra: "first")))
            let store = Self.owned(workshop)
            let image = try await Self.use(store, reference)
            var limits = ImageLimits()
            limits.filesMax = 3
            let layout = OCILayout(path: workshop.folder + "/layout")
            // It is never unpacked whole.
            let other = try ImageReference("oci:" + (try await workshop.makeLayout(tag: "two", extra: "second")))
            let hex = try layout.manifest(tag: "two", for: "it").digest.dropFirst("sha256:".count)
            let small = ImageWorkshop.store(in: workshop.folder, limits: limits)
            #expect(await refusal { _ = try await small.ensure(other) }?.code == .imageInvalid)
            let held = ".pull-" + String(repeating: "cd", count: 32) + ".lock"
            let lock = try #require(try FileLock.attempt("\(store.directory)/\(held)"))
            let locks = {
                try FolderListing.names(in: store.directory).filter { $0.hasSuffix(".lock") && !$0.hasPrefix(".work-") }
            }
            #expect(try locks().contains(".use-\(hex).lock") && locks().contains(".sha256-\(hex).lock"))
            #expect(try await store.collect(Self.day) { [] }.isEmpty)
            let use = ".use-\(image.digest.dropFirst("sha256:".count)).lock"
            #expect(try locks() == [".collect.lock", held, use])
            lock.release()
            // Nothing is collected where there is another owner, and no lock is kept for that.
            _ = try await ImageWorkshop.store(in: workshop.folder).collect(Self.day) { [] }
            #expect(try locks() == [".collect.lock", use])
            #expect(try await Self.use(store, reference) == image)
        }
    }

    @Test("Where another host has used the folder, nothing is collected")
    func othersFolder() async throws {
        try await ImageWorkshop.with { workshop in
            let reference = try ImageReference("oci:" + (try await workshop.makeLayout(tag: "one", extra: "first")))
            let store = Self.owned(workshop)
            let other = Self.owned(workshop, by: "fra1")
            let image = try await Self.use(store, reference)
            _ = try await Self.use(other, reference)
            Self.age(image, seconds: 1000)
            // What is left of work that died is nobody's.
            let left = "\(store.directory)/.unpacking-\(String(repeating: "ab", count: 32))"
            try DurableFile.makeFolder(left)
            #expect(try await store.collect(Self.greedy) { [] }.isEmpty)
            #expect(try !DurableFile.exists(left))
            #expect(try await store.collect(Self.greedy) { [] }.isEmpty)
            #expect(try await ImageWorkshop.store(in: workshop.folder).collect(Self.greedy) { [] }.isEmpty)
            #expect(Self.isThere(image))
        }
    }

    @Test(
        "Where another host has used the folder, nothing makes way there for what is damaged: its machines are not seen"
    )
    func othersDamage() async throws {
        try await ImageWorkshop.with { workshop in
            let reference = try ImageReference("oci:" + (try await workshop.makeLayout(tag: "one", extra: "first")))
            let store = Self.owned(workshop)
            let image = try await Self.use(store, reference)
            _ = try await Self.use(Self.owned(workshop, by: "fra1"), reference)
            let folder = String(image.rootPath.dropLast("/rootfs".count))
            // What is empty is nobody's.
            #expect(rename(folder, folder + "-aside") == 0 && mkdir(folder, 0o700) == 0)
            #expect(try await store.ensure(reference) == image)
            #expect(truncate(folder + "/image.json", 0) == 0)
            // It is said before anything is fetched: nothing of it is here any more.
            let layout = try #require(reference.description.split(separator: ":").dropFirst().first)
            for name in try FolderListing.names(in: "\(layout)/blobs/sha256") {
                var facts = stat()
                let path = "\(layout)/blobs/sha256/\(name)"
                if stat(path, &facts) == 0, facts.st_size > 2048 { #expect(unlink(path) == 0) }
            }
            for store in [store, ImageWorkshop.store(in: workshop.folder)] {
                let error = await refusal { _ = try await store.ensure(reference) }
                #expect(error?.cause.contains("another host") == true, "\(String(describing: error))")
                #expect(try DurableFile.read(image.rootPath + "/extra") == Array("first".utf8))
            }
        }
    }

    @Test("What a registry's name meant is forgotten with the image")
    func names() async throws {
        try await ImageWorkshop.with { workshop in
            let image = try await workshop.makeLayout(tag: "one", extra: "pulled")
            let layout = workshop.folder + "/layout"
            let digest = try OCILayout(path: layout).manifest(tag: "one", for: image).digest
            let registry = try SmallRegistry(layout: layout, manifests: ["one": digest])
            let store = Self.owned(workshop)
            let reference = try ImageReference("127.0.0.1:\(registry.port)/shop/web:one")
            let unpacked = try await Self.use(store, reference)
            #expect(try await store.digest(of: reference) == digest)
            Self.age(unpacked, seconds: 1000)
            #expect(try await store.collect(Self.greedy) { [] } == [digest])
            #expect(try await store.digest(of: reference) == nil)
            #expect(try FolderListing.names(in: store.directory + "/references").isEmpty)
            #expect(try await Self.use(store, reference) == unpacked)
            registry.stop()
            #expect(try await Self.use(store, reference) == unpacked)
        }
    }
}
