import Glibc
import RoostCrypto
import RoostLinux
import RoostModel
import RoostRuntime
import Testing

@testable import RoostImages

@Suite(.serialized, .timeLimit(.minutes(3)))
struct ImageStoreTests {
    @Test func anImageOfALayoutIsUnpackedOnce() async throws {
        try await ImageWorkshop.with { workshop in
            let image = "oci:" + (try await workshop.makeLayout(tag: "one", extra: "first "))
            let reference = try ImageReference(image)
            let unpacked = try await withThrowingTaskGroup(of: UnpackedImage.self) { group in
                for _ in 0..<4 {
                    // As several hosts of one computer.
                    group.addTask {
                        try await ImageWorkshop.store(in: workshop.folder).ensure(reference)
                    }
                }
                return try await group.reduce(into: Set()) { $0.insert($1) }
            }
            let found = try #require(unpacked.first)
            #expect(unpacked.count == 1)
            #expect(found.digest.hasPrefix("sha256:") && found.user == "alice" && found.workingDirectory == "/tmp")
            #expect(found.entrypoint == ["/bin/sh", "-c"] && found.stopSignal == "SIGQUIT")
            #expect(found.environment.contains("ONE=1") && found.environment.contains { $0.hasPrefix("PATH=") })
            var file = stat()
            #expect(stat(found.rootPath, &file) == 0)
            let inode = file.st_ino
            #expect(try await workshop.images.ensure(reference) == found)
            #expect(stat(found.rootPath, &file) == 0 && file.st_ino == inode)
            let names = try FolderListing.names(in: workshop.images.directory).filter { !$0.hasSuffix(".lock") }
            #expect(names == ["sha256-" + found.digest.dropFirst(7)])
        }
    }

    @Test func aTagIsLookedUpAnewEachTime() async throws {
        try await ImageWorkshop.with { workshop in
            let first = try await workshop.makeLayout(tag: "one", extra: "first")
            let reference = try ImageReference("oci:" + first)
            let before = try await workshop.images.ensure(reference)
            let second = try await workshop.makeLayout(tag: "two", extra: "second")
            try await Command("umoci", ["tag", "--image", second, "one"]).run()
            let after = try await workshop.images.ensure(reference)
            #expect(after.digest != before.digest)
            #expect(try DurableFile.read(after.rootPath + "/extra") == Array("second".utf8))
            #expect(try DurableFile.read(before.rootPath + "/extra") == Array("first".utf8))
        }
    }

    @Test func whatAKilledUnpackLeftDoesNotCount() async throws {
        try await ImageWorkshop.with { workshop in
            let image = try await workshop.makeLayout(tag: "one", extra: "whole")
            let reference = try ImageReference("oci:" + image)
            let layout = OCILayout(path: workshop.folder + "/layout")
            let hex = try ImageDigest(layout.manifest(tag: "one", for: image).digest, of: image).hex
            let half = "\(workshop.images.directory)/.unpacking-\(hex)"
            try DurableFile.makeFolder(half + "/rootfs")
            try DurableFile.write("half", to: half + "/rootfs/extra")
            let unpacked = try await workshop.images.ensure(reference)
            #expect(try DurableFile.read(unpacked.rootPath + "/extra") == Array("whole".utf8))
            #expect(access(half, F_OK) != 0)
        }
    }

    private enum Damage: CaseIterable, Sendable { case emptyRecord, cutRecord, noRecord, file, link }

    @Test("What a disk has lost part of is unpacked anew", arguments: Damage.allCases)
    private func damaged(_ damage: Damage) async throws {
        try await ImageWorkshop.with { workshop in
            let image = try ImageReference("oci:" + (try await workshop.makeLayout(tag: "one", extra: "whole")))
            func store() -> OCIImageStore { ImageWorkshop.store(in: workshop.folder, owner: "ams1") }
            let whole = try await store().ensure(image)
            let folder = String(whole.rootPath.dropLast("/rootfs".count))
            let record = folder + "/image.json"
            switch damage {
            case .emptyRecord: #expect(truncate(record, 0) == 0)
            case .cutRecord: #expect(truncate(record, 5) == 0)
            case .noRecord: #expect(unlink(record) == 0)
            case .file, .link:
                #expect(rename(folder, workshop.folder + "/lost") == 0)
                if damage == .file {
                    try DurableFile.write("nothing", to: folder)
                } else {
                    #expect(symlink("/nowhere", folder) == 0)
                }
            }
            for store in [store(), store()] {
                #expect(try await store.ensure(image) == whole, "\(damage)")
                #expect(try DurableFile.read(whole.rootPath + "/extra") == Array("whole".utf8))
            }
            let names = try FolderListing.names(in: workshop.images.directory).filter { !$0.hasSuffix(".lock") }
            #expect(names.filter { $0 != "references" } == [String(folder.split(separator: "/").last ?? "")])
        }
    }

    @Test("What unpacks an image has its lock too, and keeps it when the host's process is gone")
    func lentLock() async throws {
        try await ImageWorkshop.with { workshop in
            // Unpacked in more than a moment.
            try DurableFile.write([UInt8](repeating: 0, count: 64 << 20), to: workshop.root + "/large")
            let image = try await workshop.makeLayout(tag: "one", extra: "")
            let layout = OCILayout(path: workshop.folder + "/layout")
            let hex = try ImageDigest(layout.manifest(tag: "one", for: image).digest, of: image).hex
            let half = "\(workshop.images.directory)/.unpacking-\(hex)"
            async let unpacked = workshop.images.ensure(try ImageReference("oci:" + image))
            let input = try await poll(for: .seconds(60), every: .milliseconds(1)) {
                try Self.input(ofProgramWith: half + "/rootfs")
            }
            #expect(input == "\(workshop.images.directory)/.sha256-\(hex).lock")
            _ = try await unpacked
        }
    }

    /// Where the standard input of the program leads that has this among its arguments.
    private static func input(ofProgramWith argument: String) throws -> String? {
        for name in try FolderListing.names(in: "/proc") where Int32(name) != nil {
            guard let line = try? DurableFile.read("/proc/\(name)/cmdline"),
                line.split(separator: 0).contains(where: { $0.elementsEqual(argument.utf8) })
            else { continue }
            var target = [UInt8](repeating: 0, count: 4096)
            let count = readlink("/proc/\(name)/fd/0", &target, target.count)
            if count > 0 { return String(decoding: target[..<count], as: UTF8.self) }
        }
        return nil
    }

    @Test("What cannot be looked at is not taken for removed")
    func unseenLeftovers() async throws {
        try await ImageWorkshop.with { workshop in
            let image = try ImageReference("oci:\(workshop.folder)/layout:one")
            let place = workshop.folder + "/half"
            let lock = try #require(try FileLock.attempt(workshop.folder + "/lock"))
            try await workshop.images.removeFolder(place, image, lock)
            // A link to itself: ELOOP stands for whatever is lacking.
            #expect(symlink(place, place) == 0)
            #expect(await refusal { try await workshop.images.removeFolder(place, image, lock) }?.code == .failed)
            unlink(place)
            try DurableFile.makeFolder(place + "/below")
            try await workshop.images.removeFolder(place, image, lock)
            #expect(try !DurableFile.exists(place))
        }
    }

    @Test func whatIsMissingOrBrokenIsSaid() async throws {
        try await ImageWorkshop.with { workshop in
            let image = try await workshop.makeLayout(tag: "one", extra: "")
            let refused = { (text: String) in
                await refusal { _ = try await workshop.images.ensure(try ImageReference(text)) }
            }
            let noTag = await refused("oci:\(workshop.folder)/layout:three")
            #expect(noTag?.code == .imageNotFound && noTag?.cause.contains("it has: one") == true)
            let noLayout = await refused("oci:\(workshop.folder)/nowhere:one")
            #expect(noLayout?.code == .imageNotFound && noLayout?.cause.contains("skopeo copy") == true)
            #expect(await refused("dir:\(workshop.folder)/nowhere")?.code == .imageNotFound)
            #expect(await refused("dir:/")?.code == .imageNotAllowed)
            #expect(await refused("dir:\(workshop.root)/bin/sh")?.code == .imageInvalid)
            let noRegistry = await refused("127.0.0.1:9/no/such:image")
            #expect(noRegistry?.code == .imageNotFound && noRegistry?.cause.contains("cannot be reached") == true)

            // A layer that is not what the manifest says.
            let blobs = workshop.folder + "/layout/blobs/sha256"
            let layer = try #require(
                try FolderListing.names(in: blobs).max { left, right in
                    var sizes = (stat(), stat())
                    stat("\(blobs)/\(left)", &sizes.0)
                    stat("\(blobs)/\(right)", &sizes.1)
                    return sizes.0.st_size < sizes.1.st_size
                })
            try DurableFile.write("nonsense", to: "\(blobs)/\(layer)")
            #expect(await refused("oci:\(image)")?.code == .imageInvalid)
            let left = try FolderListing.names(in: workshop.images.directory).filter { !$0.hasSuffix(".lock") }
            #expect(left.isEmpty)
        }
    }

    @Test func anImageOfARegistryIsPulledOnceAndKeptForWhenTheRegistryIsAway() async throws {
        try await ImageWorkshop.with { workshop in
            let image = try await workshop.makeLayout(tag: "one", extra: "pulled")
            let layout = workshop.folder + "/layout"
            let digest = try OCILayout(path: layout).manifest(tag: "one", for: image).digest
            let registry = try SmallRegistry(layout: layout, manifests: ["one": digest])
            let store = OCIImageStore(directory: workshop.images.directory, verifiesRegistryTLS: false)
            let reference = try ImageReference("127.0.0.1:\(registry.port)/shop/web:one")
            let missing = try ImageReference("127.0.0.1:\(registry.port)/shop/web:two")
            #expect(await refusal { _ = try await store.ensure(missing) }?.code == .imageNotFound)
            let unpacked = try await store.ensure(reference)
            #expect(unpacked.digest == digest && unpacked.user == "alice")
            #expect(try DurableFile.read(unpacked.rootPath + "/extra") == Array("pulled".utf8))
            #expect(try await store.ensure(reference) == unpacked)
            registry.stop()
            #expect(try await store.ensure(reference) == unpacked)
            let names = try FolderListing.names(in: store.directory).filter { !$0.hasSuffix(".lock") }
            #expect(names == ["references", "sha256-" + digest.dropFirst(7)])
        }
    }

    @Test("A pull that failed leaves nothing, and what an earlier one has left is not in the way of the next")
    func failedPull() async throws {
        try await ImageWorkshop.with { workshop in
            let image = try await workshop.makeLayout(tag: "one", extra: "pulled")
            let layout = OCILayout(path: workshop.folder + "/layout")
            let descriptor = try layout.manifest(tag: "one", for: image)
            let manifest = try layout.manifest(descriptor, for: image)
            let registry = try SmallRegistry(layout: layout.path, manifests: ["one": descriptor.digest])
            defer { registry.stop() }
            let name = "127.0.0.1:\(registry.port)/shop/web:one"
            let reference = try ImageReference(name)
            let pulling = "\(workshop.images.directory)/.pulling-\(Digest.text(of: name))"
            // Its last layer is not there, so that it fails when others have come.
            let last = try #require(manifest.layers?.last)
            let blob = "\(layout.path)/blobs/sha256/\(try ImageDigest(last.digest, of: image).hex)"
            #expect(rename(blob, workshop.folder + "/aside") == 0)
            #expect(await refusal { _ = try await workshop.images.ensure(reference) }?.code == .imageNotFound)
            #expect(try !DurableFile.exists(pulling))
            // Of one that died: nothing of it may count when it is looked whether there is room.
            try DurableFile.makeFolder(pulling)
            var limits = ImageLimits()
            limits.diskReserve = .gibibytes(1 << 20)
            let full = ImageWorkshop.store(in: workshop.folder, limits: limits)
            #expect(await refusal { _ = try await full.ensure(reference) }?.code == .noSpace)
            #expect(try !DurableFile.exists(pulling))
            #expect(rename(workshop.folder + "/aside", blob) == 0)
            #expect(try await workshop.images.ensure(reference).digest == descriptor.digest)
        }
    }

    @Test func aFolderIsUsedAsItIs() async throws {
        try await ImageWorkshop.with { workshop in
            let reference = try ImageReference("dir:\(workshop.root)")
            let image = try await workshop.images.ensure(reference)
            #expect(image.rootPath == workshop.root)
            #expect(try await workshop.images.ensure(reference).digest == image.digest)
            try DurableFile.makeFolder(workshop.root + "/changed")
            #expect(try await workshop.images.ensure(reference).digest != image.digest)
        }
    }
}
