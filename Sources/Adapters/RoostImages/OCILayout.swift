import Glibc
import RoostLinux
import RoostRuntime

/// A folder in the OCI image layout (https://github.com/opencontainers/image-spec/blob/main/image-layout.md).
struct OCILayout: Sendable {
    let path: String

    struct Descriptor: Codable, Sendable {
        var mediaType: String?
        var digest: String
        var size: Int64
        var annotations: [String: String]?
        var platform: Platform?

        struct Platform: Codable, Sendable {
            var architecture: String
            var os: String
        }
    }

    struct Index: Codable {
        var schemaVersion = 2
        var manifests: [Descriptor]
    }

    struct Manifest: Decodable, Sendable {
        var config: Descriptor
        var layers: [Descriptor]?
    }

    struct ImageFile: Decodable, Sendable {
        var config: Settings?

        struct Settings: Decodable, Sendable {
            var user: String?
            var environment: [String]?
            var entrypoint: [String]?
            var command: [String]?
            var workingDirectory: String?
            var stopSignal: String?

            enum CodingKeys: String, CodingKey {
                case user = "User"
                case environment = "Env"
                case entrypoint = "Entrypoint"
                case command = "Cmd"
                case workingDirectory = "WorkingDir"
                case stopSignal = "StopSignal"
            }
        }
    }

    static let tagAnnotation = "org.opencontainers.image.ref.name"
    static let indexTypes: Set<String> = [
        "application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json",
    ]
    /// What `umoci` unpacks (https://github.com/opencontainers/image-spec/blob/main/layer.md).
    static let layerTypes: Set<String> = {
        let plain = ["layer.v1.tar", "layer.nondistributable.v1.tar"].map { "application/vnd.oci.image." + $0 }
        return Set(plain + plain.map { $0 + "+gzip" })
    }()
    /// What `skopeo` can pack anew so that `umoci` unpacks it.
    static let repackableTypes: Set<String> = Set(layerTypes.filter { !$0.hasSuffix("+gzip") }.map { $0 + "+zstd" })
        .union(["application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.docker.image.rootfs.diff.tar"])
    private static let indexFile = "/index.json"
    static let documentBytesMax = 4 << 20
    /// An index may name an index, but not for ever.
    static let indexDepthMax = 3

    #if arch(x86_64)
        static let architecture = "amd64"
    #elseif arch(arm64)
        static let architecture = "arm64"
    #endif

    /// The manifest that a tag names at this moment, for this computer's architecture.
    func manifest(tag: String, for image: String) throws(RuntimeError) -> Descriptor {
        guard let index = try read(Index.self, Self.indexFile, for: image) else {
            throw RuntimeError(
                code: .imageNotFound, operation: "find the image", subject: image,
                cause: "there is no OCI layout at \(path) on this host: build the image, or copy one there with "
                    + "'skopeo copy docker://NAME oci:\(path):\(tag)'")
        }
        guard let named = index.manifests.first(where: { $0.annotations?[Self.tagAnnotation] == tag }) else {
            let tags = index.manifests.compactMap { $0.annotations?[Self.tagAnnotation] }.sorted()
            throw RuntimeError(
                code: .imageNotFound, operation: "find the image", subject: image,
                cause: "the layout \(path) has no tag '\(tag)'; it has: "
                    + (tags.isEmpty ? "none" : tags.prefix(20).joined(separator: ", ")))
        }
        return try narrow(named, for: image)
    }

    private func narrow(_ named: Descriptor, for image: String) throws(RuntimeError) -> Descriptor {
        var descriptor = named
        for _ in 0..<Self.indexDepthMax {
            guard let type = descriptor.mediaType, Self.indexTypes.contains(type) else { return descriptor }
            let index = try document(Index.self, descriptor, for: image)
            guard
                let fitting = index.manifests.first(where: {
                    $0.platform?.os == "linux" && $0.platform?.architecture == Self.architecture
                })
            else {
                throw RuntimeError(
                    code: .imageNotFound, operation: "find the image", subject: image,
                    cause: "it exists, but not for linux/\(Self.architecture)")
            }
            descriptor = fitting
        }
        throw RuntimeError(
            code: .imageInvalid, operation: "find the image", subject: image,
            cause: "its index is nested more than \(Self.indexDepthMax) deep")
    }

    func manifest(_ descriptor: Descriptor, for image: String) throws(RuntimeError) -> Manifest {
        try document(Manifest.self, descriptor, for: image)
    }

    func settings(of manifest: Manifest, for image: String) throws(RuntimeError) -> ImageFile.Settings? {
        try document(ImageFile.self, manifest.config, for: image).config
    }

    private func document<Value: Decodable>(
        _ type: Value.Type, _ descriptor: Descriptor, for image: String
    ) throws(RuntimeError) -> Value {
        let digest = try ImageDigest(descriptor.digest, of: image)
        guard let value = try read(type, blob(digest), for: image) else {
            throw missing(digest, image)
        }
        return value
    }

    /// Throws where a part of the image is not there: then nothing can be said of the image. On a thread that may wait.
    func requireParts(of manifest: Manifest, for image: String) throws(RuntimeError) {
        for part in [manifest.config] + (manifest.layers ?? []) {
            let digest = try ImageDigest(part.digest, of: image)
            let isThere: Bool
            do throws(SystemError) { isThere = try ForeignFile.exists(blob(digest), in: path) } catch {
                throw failure(error, image)
            }
            guard isThere else { throw missing(digest, image) }
        }
    }

    private func blob(_ digest: ImageDigest) -> String { "/blobs/sha256/\(digest.hex)" }

    /// Not for ever: whoever builds or copies may be at it, or have cleared away what a tag named before.
    private func missing(_ digest: ImageDigest, _ image: String) -> RuntimeError {
        RuntimeError(
            code: .imageNotFound, operation: "read", subject: image,
            cause: "its part \(digest.text) is missing: build or copy the image anew")
    }

    func failure(_ error: SystemError, _ image: String) -> RuntimeError {
        RuntimeError(
            code: ForeignFile.isDoomed(error) ? .imageInvalid : .failed, operation: "read", subject: image,
            cause: "\(error.operation) \(error.subject): \(String(cString: strerror(error.code)))")
    }

    /// Whoever made the layout need not be the host's friend.
    private func read<Value: Decodable>(_ type: Value.Type, _ file: String, for image: String) throws(RuntimeError)
        -> Value?
    {
        do {
            guard let bytes = try ForeignFile.read(file, in: path, bytesMax: Self.documentBytesMax) else { return nil }
            return try JSONFile.decode(type, from: bytes)
        } catch let error as SystemError {
            throw failure(error, image)
        } catch {
            // The index is written anew whenever a tag moves, and not by everybody in one go; a part never changes.
            throw RuntimeError(
                code: file == Self.indexFile ? .imageNotFound : .imageInvalid, operation: "read", subject: image,
                cause: "its \(file.dropFirst()) is malformed")
        }
    }
}

/// `sha256:` and 64 hexadecimal digits. It becomes a file name, so nothing else gets through.
struct ImageDigest: Hashable, Sendable {
    let hex: String
    var text: String { "sha256:" + hex }

    init(_ text: String, of image: String) throws(RuntimeError) {
        let hex = text.dropFirst(7)
        let isHex = hex.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
        guard text.hasPrefix("sha256:"), hex.utf8.count == 64, isHex else {
            throw RuntimeError(
                code: .imageInvalid, operation: "read", subject: image,
                cause: "'\(text.prefix(100))' is not a sha256 digest")
        }
        self.hex = String(hex)
    }
}
