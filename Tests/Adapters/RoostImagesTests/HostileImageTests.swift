import Glibc
import RoostLinux
import RoostModel
import RoostRuntime
import Testing

@testable import RoostImages

/// Images of people who are not the host's friends.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct HostileImageTests {
    @Test func aFolderIsAnImageOnlyWhereTheOperatorSaidSo() async throws {
        try await ImageWorkshop.with { workshop in
            let top = workshop.folder + "/allowed"
            let state = top + "/state"
            for folder in ["/root/etc", "/open/root", "/state/images"] { try DurableFile.makeFolder(top + folder) }
            #expect(chmod(top + "/open", 0o777) == 0)
            #expect(symlink(workshop.root, top + "/link") == 0)
            let store = OCIImageStore(
                directory: state + "/images",
                folders: ImageFolders(
                    allowed: [top], own: [workshop.folder + "/own"], forbidden: [state, workshop.folder + "/run"]))
            let refused = { (text: String) in
                await refusal { _ = try await store.ensure(try ImageReference(text)) }?.code
            }
            #expect(try await store.ensure(try ImageReference("dir:\(top)/root")).rootPath == top + "/root")
            for path in [
                "/etc", "/", workshop.root, "/var/lib", top + "/../rootfs", top + "/link", top + "/root/../state",
                state,
                state + "/images", top, top + "/open/root", top + "x",
            ] {
                #expect(await refused("dir:\(path)") == .imageNotAllowed, "\(path)")
                #expect(await refused("oci:\(path):one") == .imageNotAllowed, "\(path)")
                #expect(
                    await refusal { try await store.check(try ImageReference("dir:\(path)")) }?.isPermanent == true)
            }
            // The layout that the host itself names needs no leave; it is only not there yet.
            #expect(await refused("oci:\(workshop.folder)/own:17") == .imageNotFound)
            #expect(await refused("oci:\(workshop.folder)/own/x:17") == .imageNotAllowed)
            // And without a word of the operator nothing is.
            let closed = OCIImageStore(directory: workshop.folder + "/images")
            #expect(
                await refusal { _ = try await closed.ensure(try ImageReference("dir:\(workshop.root)")) }?.code
                    == .imageNotAllowed)
        }
    }

    @Test func specialFilesAreLeftOut() async throws {
        try await ImageWorkshop.with { workshop in
            #expect(mkfifo(workshop.root + "/etc/pipe", 0o644) == 0)
            // The hardware watchdog and a disk.
            #expect(mknod(workshop.root + "/dev/watchdog", S_IFCHR | 0o600, dev_t(10 << 8 | 130)) == 0)
            #expect(mknod(workshop.root + "/disk", S_IFBLK | 0o600, dev_t(8 << 8)) == 0)
            let image = try await workshop.makeLayout(tag: "one", extra: "kept")
            let unpacked = try await workshop.images.ensure(try ImageReference("oci:" + image))
            #expect(try DurableFile.read(unpacked.rootPath + "/extra") == Array("kept".utf8))
            for path in ["/etc/pipe", "/dev/watchdog", "/disk"] {
                var file = stat()
                #expect(lstat(unpacked.rootPath + path, &file) != 0, "\(path) is there")
            }
            #expect(access(unpacked.rootPath + "/etc/passwd", F_OK) == 0)
            var folder = stat()
            #expect(stat(workshop.images.directory, &folder) == 0 && folder.st_mode & 0o777 == 0o700)
        }
    }

    @Test func aLayoutWithAPipeForAnIndexHoldsNobodyUp() async throws {
        try await ImageWorkshop.with { workshop in
            let layout = workshop.folder + "/odd"
            try DurableFile.makeFolder(layout + "/blobs/sha256")
            #expect(mkfifo(layout + "/index.json", 0o644) == 0)
            let began = BootClock.now()
            let error = await refusal { _ = try await workshop.images.ensure(try ImageReference("oci:\(layout):x")) }
            #expect(error?.code == .imageInvalid)
            #expect(BootClock.now() - began < .seconds(10))
        }
    }

    @Test func layersPackedWithZstdAreUnpackedToo() async throws {
        try await ImageWorkshop.with { workshop in
            let image = try await workshop.makeLayout(tag: "one", extra: "packed")
            let packed = "\(workshop.folder)/zstd:one"
            try await Command(
                "skopeo", ["copy", "--quiet", "--dest-compress-format", "zstd", "oci:" + image, "oci:" + packed]
            ).run()
            let layout = OCILayout(path: workshop.folder + "/zstd")
            let manifest = try layout.manifest(try layout.manifest(tag: "one", for: packed), for: packed)
            #expect(manifest.layers?.contains { $0.mediaType?.hasSuffix("+zstd") == true } == true)
            let unpacked = try await workshop.images.ensure(try ImageReference("oci:" + packed))
            #expect(try DurableFile.read(unpacked.rootPath + "/extra") == Array("packed".utf8))
        }
    }

    @Test func aLayerOfAnUnknownKindIsRefusedByName() throws {
        let reference = try ImageReference("shop/web:one")
        let store = OCIImageStore(directory: "/nowhere")
        let manifest = { (type: String) in
            let layer = OCILayout.Descriptor(mediaType: type, digest: "sha256:0", size: 1)
            return OCILayout.Manifest(config: layer, layers: [layer])
        }
        #expect(try !store.needsRepacking(manifest("application/vnd.oci.image.layer.v1.tar+gzip"), reference))
        #expect(try store.needsRepacking(manifest("application/vnd.oci.image.layer.v1.tar+zstd"), reference))
        let error = #expect(throws: RuntimeError.self) {
            try store.needsRepacking(manifest("application/vnd.cncf.helm.chart"), reference)
        }
        #expect(error?.isPermanent == true && error?.cause.contains("helm.chart") == true)
    }

    @Test func whatIsTooLargeIsRefusedAndLeavesNothing() async throws {
        try await ImageWorkshop.with { workshop in
            let reference = try ImageReference("oci:" + (try await workshop.makeLayout(tag: "one", extra: "large")))
            var packed = ImageLimits()
            packed.layersMax = .init(bytes: 1000)
            var unpacked = ImageLimits()
            unpacked.unpackedMax = .init(bytes: 10_000)
            var files = ImageLimits()
            files.filesMax = 3
            var disk = ImageLimits()
            disk.diskReserve = .gibibytes(1 << 20)
            for (limits, code) in [
                (packed, .imageInvalid), (unpacked, .imageInvalid), (files, .imageInvalid), (disk, .noSpace),
            ] as [(ImageLimits, RuntimeError.Code)] {
                let store = ImageWorkshop.store(in: workshop.folder, limits: limits)
                #expect(await refusal { _ = try await store.ensure(reference) }?.code == code)
            }
            let left = try FolderListing.names(in: workshop.images.directory).filter { !$0.hasSuffix(".lock") }
            #expect(left.isEmpty)
            _ = try await workshop.images.ensure(reference)
        }
    }

    @Test func manyMachinesOfOneNewImagePullItOnce() async throws {
        try await ImageWorkshop.with { workshop in
            let image = try await workshop.makeLayout(tag: "one", extra: "pulled")
            let layout = OCILayout(path: workshop.folder + "/layout")
            let descriptor = try layout.manifest(tag: "one", for: image)
            let blobs = 1 + (try layout.manifest(descriptor, for: image).layers?.count ?? 0)
            let registry = try SmallRegistry(layout: layout.path, manifests: ["one": descriptor.digest])
            defer { registry.stop() }
            let reference = try ImageReference("127.0.0.1:\(registry.port)/shop/web:one")
            try await withThrowingTaskGroup(of: UnpackedImage.self) { group in
                for _ in 0..<6 {
                    group.addTask { try await ImageWorkshop.store(in: workshop.folder).ensure(reference) }
                }
                for try await unpacked in group { #expect(unpacked.digest == descriptor.digest) }
            }
            // skopeo may look at the config twice.
            #expect(registry.blobsServed >= blobs && registry.blobsServed <= blobs + 1)
        }
    }

    @Test func whatARegistrySaysIsPutIntoWordsWithoutTheHostsOwn() async throws {
        try await ImageWorkshop.with { workshop in
            let error = await refusal {
                _ = try await workshop.images.ensure(try ImageReference("127.0.0.1:9/no/such:image"))
            }
            #expect(error?.cause.contains("skopeo") == false && error?.cause.contains("dial") == false)
        }
        #expect(RegistryFault.words("… reading manifest x: manifest unknown").contains("no such image"))
        #expect(RegistryFault.words("unauthorized: authentication required").contains("login"))
        #expect(RegistryFault.words("panic: /var/lib/secret").contains("secret") == false)
        #expect(OCIImageStore.repository(of: "host:5000/a/b:tag@sha256:0") == "host:5000/a/b")
        #expect(OCIImageStore.repository(of: "host:5000/a/b") == "host:5000/a/b")
    }
}
