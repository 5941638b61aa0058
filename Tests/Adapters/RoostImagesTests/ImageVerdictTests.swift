import FoundationEssentials
import Glibc
import RoostLinux
import RoostModel
import RoostRuntime
import Testing

@testable import RoostImages

/// Only what was judged is for ever.
@Suite(.serialized, .timeLimit(.minutes(2)))
struct ImageVerdictTests {
    private func code(_ cause: CommandError.Cause, judging code: RuntimeError.Code = .imageInvalid) -> RuntimeError.Code
    {
        ImageVerdict.of(CommandError(command: "umoci raw unpack", cause: cause), judging: code).code
    }

    @Test("A program that lacked something has not judged the image")
    func lacks() {
        #expect(code(.exited(1, "unpack layer: flate: corrupt input before offset 5")) == .imageInvalid)
        #expect(code(.exited(1, "short write: write r/f: no space left on device")) == .noSpace)
        for complaint in ["open r/f: too many open files", "read x: input/output error"] {
            #expect(code(.exited(1, complaint)) == .failed)
        }
        // Go has no memory; setpriv cannot start it; the kernel ends it.
        for status: Int32 in [2, 126, 127, 128 + SIGKILL] { #expect(code(.exited(status, "")) == .failed) }
        #expect(code(.notStarted("EAGAIN")) == .failed)
        #expect(code(.deadlineExceeded(.seconds(900))) == .deadlineExceeded)
        #expect(code(.cancelled) == .failed)
    }

    @Test("What a registry says is what it was, whatever it complains of")
    func registries() {
        #expect(code(.exited(1, "500: too many open files"), judging: .imageNotFound) == .imageNotFound)
        #expect(code(.exited(2, "manifest unknown"), judging: .imageNotFound) == .imageNotFound)
    }

    @Test("Of a registry that says nothing it is asked whether the host reaches it, and of nothing else")
    func silentRegistry() {
        let words = { (command: String) in
            let error = CommandError(command: command, cause: .deadlineExceeded(.seconds(20)))
            return ImageVerdict.of(error, judging: .imageNotFound).words
        }
        let asked = words("skopeo inspect --raw docker://redis:7")
        #expect(asked.hasSuffix("20 s: does this host reach the registry?"), "\(asked)")
        #expect(words("skopeo copy oci:/srv/image oci:/tmp/image").hasSuffix("did not end within 20 s"))
    }

    @Test("A program that is killed while it unpacks is no verdict")
    func killed() async throws {
        try await ImageWorkshop.with { workshop in
            let image = try ImageReference("oci:\(workshop.folder)/layout:one")
            try DurableFile.makeFolder(workshop.folder + "/images")
            let ended = { (script: String) in
                await refusal {
                    _ = try await workshop.images.work(
                        "unpack", image, content: "sha256:1", into: workshop.folder + "/half", .imageInvalid
                    ) { Command("sh", ["-c", script]) }
                }
            }
            #expect(await ended("kill -KILL $$")?.code == .failed)
            #expect(await ended("echo 'no space left on device' >&2; exit 1")?.code == .noSpace)
            #expect(await ended("exit 1")?.code == .imageInvalid)
        }
    }

    @Test("What the host lacks while it reads is no fault of what it reads")
    func unread() {
        let layout = OCILayout(path: "/nowhere")
        for code in [EMFILE, ENFILE, ENOMEM, EIO, EAGAIN] {
            #expect(layout.failure(SystemError("open", "index.json", code: code), "shop").isPermanent == false)
        }
        for code in [EINVAL, EFBIG, ELOOP] {
            #expect(layout.failure(SystemError("read", "index.json", code: code), "shop").isPermanent)
        }
    }

    private struct Descriptor: Decodable {
        var digest: String
        var annotations: [String: String]?

        var name: String { String(digest.dropFirst("sha256:".count)) }
    }

    /// The files of the one image with this tag.
    private static func parts(of tag: String, in layout: String) throws -> [String] {
        struct Index: Decodable { var manifests: [Descriptor] }
        struct Manifest: Decodable {
            var config: Descriptor
            var layers: [Descriptor]
        }
        func read<Part: Decodable>(_ type: Part.Type, _ name: String) throws -> Part {
            try JSONDecoder().decode(type, from: Data(try #require(try DurableFile.read("\(layout)/\(name)"))))
        }
        let manifests = try read(Index.self, "index.json").manifests
        let named = manifests.first { $0.annotations?["org.opencontainers.image.ref.name"] == tag }
        let top = try #require(named)
        let manifest = try read(Manifest.self, "blobs/sha256/\(top.name)")
        return ([top, manifest.config] + manifest.layers).map(\.name)
    }

    @Test("A part that is not there yet, or an index that is being written, may be whole another time")
    func changingLayout() async throws {
        try await ImageWorkshop.with { workshop in
            let image = "oci:" + (try await workshop.makeLayout(tag: "one", extra: "whole"))
            let reference = try ImageReference(image)
            let refused = { await refusal { _ = try await workshop.images.ensure(reference) } }
            let layout = workshop.folder + "/layout"
            let blobs = layout + "/blobs/sha256"
            for name in try Self.parts(of: "one", in: layout) {
                #expect(rename("\(blobs)/\(name)", workshop.folder + "/aside") == 0)
                #expect(await refused()?.code == .imageNotFound)
                #expect(rename(workshop.folder + "/aside", "\(blobs)/\(name)") == 0)
            }
            let index = try #require(try DurableFile.read(layout + "/index.json"))
            try DurableFile.write(index.prefix(index.count / 2), to: layout + "/index.json", mode: 0o644)
            #expect(await refused()?.code == .imageNotFound)
            try DurableFile.write(index, to: layout + "/index.json", mode: 0o644)
            let unpacked = try await workshop.images.ensure(reference)
            #expect(try DurableFile.read(unpacked.rootPath + "/extra") == Array("whole".utf8))
        }
    }

    @Test("What others write while an image is unpacked does not make it too large for ever")
    func writtenByOthers() async throws {
        try await ImageWorkshop.with { workshop in
            var limits = ImageLimits()
            limits.unpackedMax = .mebibytes(16)
            limits.diskReserve = .zero
            let store = ImageWorkshop.store(in: workshop.folder, limits: limits)
            let half = workshop.folder + "/half"
            for folder in [half, workshop.folder + "/images"] { try DurableFile.makeFolder(folder) }
            let image = try ImageReference("oci:\(workshop.folder)/layout:one")
            let ended = { (path: String, content: String) in
                await refusal {
                    _ = try await store.work("unpack", image, content: content, into: half, .imageInvalid) {
                        Command("sh", ["-c", "fallocate -l 512M \(path); exec sleep 60"], deadline: .seconds(60))
                    }
                }
            }
            let others = await ended(workshop.folder + "/other", "sha256:1")
            #expect(others?.code == .noSpace && others?.isPermanent == false)
            unlink(workshop.folder + "/other")
            #expect(await ended(half + "/large", "sha256:2")?.code == .imageInvalid)
        }
    }
}
