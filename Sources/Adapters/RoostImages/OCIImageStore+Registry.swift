import Logging
import RoostCrypto
import RoostLinux
import RoostModel
import RoostRuntime

extension OCIImageStore {
    /// What a registry's tag last meant, so that a machine can start when the registry does not answer.
    struct Resolution: Codable, Sendable {
        var reference: String
        /// Hash of what the registry serves under the name (for several architectures: of their index).
        var remote: String
        /// The manifest for this computer.
        var manifest: String
    }

    func fromRegistry(_ name: String, _ image: ImageReference) async throws(RuntimeError) -> UnpackedImage {
        let key = Digest.text(of: name)
        let path = "\(directory)/references/\(key).json"
        let known = try await read(Resolution.self, from: path, image)
        if let known, name.contains("@sha256:"), let ready = try await ready(known, image) { return ready }
        let remote: String
        do { remote = try await served(name, image) } catch {
            guard let known, let ready = try await ready(known, image) else { throw error }
            logger.warning(
                "the registry does not answer: using what the name last meant",
                metadata: ["image": "\(image)", "digest": "\(known.manifest)", "error": "\(error)"])
            return ready
        }
        let hash = Digest.text(of: remote)
        if let known, known.remote == hash, let ready = try await ready(known, image) { return ready }
        return try await locked("pull-\(key)", image) { (lock) throws(RuntimeError) in
            // Whoever held the lock before us has most likely fetched what we want.
            if let fresh = try await read(Resolution.self, from: path, image), fresh.remote == hash {
                if let ready = try await ready(fresh, image) { return ready }
                try await requirePlace(of: ImageDigest(fresh.manifest, of: image.description), image)
            }
            return try await pull(name, served: remote, notedAt: path, image, lock)
        }
    }

    private func ready(_ known: Resolution, _ image: ImageReference) async throws(RuntimeError) -> UnpackedImage? {
        try await ready(ImageDigest(known.manifest, of: image.description), image)
    }

    private func pull(
        _ name: String, served remote: String, notedAt path: String, _ image: ImageReference,
        _ lock: FileLock
    ) async throws(RuntimeError) -> UnpackedImage {
        let layout = OCILayout(path: "\(directory)/.pulling-\(Digest.text(of: name))")
        // What an earlier pull has left is not to be in the way of its own repetition.
        try await removeFolder(layout.path, image, lock)
        try await requireSpace(try await announcedSize(name, served: remote, image), image)
        let unpacked: UnpackedImage
        do throws(RuntimeError) {
            unpacked = try await fetch(name, served: remote, to: layout, image, lock)
        } catch {
            try? await removeFolder(layout.path, image, lock)
            throw error
        }
        try await removeFolder(layout.path, image, lock)
        shortages.withLock { $0.forget(Digest.text(of: remote)) }
        try await report("pull", image) { () throws(SystemError) in
            try DurableFile.makeFolder(directory + "/references")
        }
        let resolution = Resolution(reference: name, remote: Digest.text(of: remote), manifest: unpacked.digest)
        try await write(resolution, to: path, image)
        return unpacked
    }

    private func fetch(
        _ name: String, served remote: String, to layout: OCILayout, _ image: ImageReference, _ lock: FileLock
    ) async throws(RuntimeError) -> UnpackedImage {
        let verifiesTLS = verifiesTLS
        try await work("pull", image, content: Digest.text(of: remote), into: layout.path, .imageNotFound) {
            // Layers packed with zstd are packed anew; all others stay as they are.
            let options = ["copy", "--quiet", "--src-tls-verify=\(verifiesTLS)", "--dest-compress-format", "gzip"]
            return Command(
                "skopeo", options + ["docker://\(name)", "oci:\(layout.path):image"], deadline: Self.pullDeadline
            ).bound(to: lock)
        }
        let manifest = try await BlockingCall.run { () throws(RuntimeError) in
            try layout.manifest(tag: "image", for: image.description)
        }
        return try await unpacked(manifest, of: layout, image)
    }

    /// What the layers will take, by the manifest that the registry serves: so that what is too large is not even
    /// begun. Zero where the registry serves a form that only `skopeo` reads; then it is judged once it is here.
    private func announcedSize(_ name: String, served remote: String, _ image: ImageReference)
        async throws(RuntimeError) -> ByteCount
    {
        var text = remote
        if let index = try? JSONFile.decode(OCILayout.Index.self, from: text),
            let fitting = index.manifests.first(where: {
                $0.platform?.os == "linux" && $0.platform?.architecture == OCILayout.architecture
            })
        {
            let digest = try ImageDigest(fitting.digest, of: image.description)
            text = try await served("\(Self.repository(of: name))@\(digest.text)", image)
        }
        guard let manifest = try? JSONFile.decode(OCILayout.Manifest.self, from: text) else { return .zero }
        return try size(of: manifest, image)
    }

    /// A name without its tag and digest: `host:port/path`.
    static func repository(of name: String) -> String {
        let plain = name.prefix { $0 != "@" }
        guard let colon = plain.lastIndex(of: ":"), !plain[colon...].contains("/") else { return String(plain) }
        return String(plain[..<colon])
    }

    private func served(_ name: String, _ image: ImageReference) async throws(RuntimeError) -> String {
        try await command(
            "ask the registry", image, .imageNotFound,
            Command(
                "skopeo", ["inspect", "--raw", "--tls-verify=\(verifiesTLS)", "docker://\(name)"],
                deadline: Self.inspectDeadline)
        ).standardOutput
    }
}
