import Logging
import RoostLinux
import RoostModel
import RoostRuntime

extension OCIImageStore {
    /// What a registry's tag last meant, so that a machine can start when the registry does not answer.
    struct Resolution: Codable {
        var reference: String
        /// Hash of what the registry serves under the name (for several architectures: of their index).
        var remote: String
        /// The manifest for this computer.
        var manifest: String
    }

    func fromRegistry(_ name: String, _ image: ImageReference) async throws(RuntimeError) -> UnpackedImage {
        let key = Self.hash(name)
        let path = "\(directory)/references/\(key).json"
        let known = try Self.read(Resolution.self, from: path)
        if let known, name.contains("@sha256:"), let ready = try ready(ImageDigest(known.manifest, of: name)) {
            return ready
        }
        let remote: String
        do { remote = try await remoteDigest(name, image) } catch {
            guard let known, let ready = try ready(ImageDigest(known.manifest, of: name)) else { throw error }
            logger.warning(
                "the registry does not answer: using what the name last meant",
                metadata: ["image": "\(image)", "digest": "\(known.manifest)", "error": "\(error)"])
            return ready
        }
        if let known, known.remote == remote, let ready = try ready(ImageDigest(known.manifest, of: name)) {
            return ready
        }
        return try await locked("pull-\(key)", image) { () throws(RuntimeError) in
            let layout = OCILayout(path: "\(directory)/.pulling-\(key)")
            try await removeFolder(layout.path, image)
            let copy = ["copy", "--quiet", "--src-tls-verify=\(verifiesTLS)", "docker://\(name)"]
            try await command(
                "pull", image, .imageNotFound,
                Command("skopeo", copy + ["oci:\(layout.path):image"], deadline: Self.pullDeadline))
            let manifest = try layout.manifest(tag: "image", for: image.description)
            let unpacked = try await unpacked(manifest, of: layout, image)
            try await removeFolder(layout.path, image)
            do throws(SystemError) { try DurableFile.makeFolder(directory + "/references") } catch {
                throw RuntimeError(
                    code: .failed, operation: "pull", subject: image.description, cause: error.description)
            }
            try Self.write(
                Resolution(reference: name, remote: remote, manifest: manifest.digest), to: path)
            return unpacked
        }
    }

    private func remoteDigest(_ name: String, _ image: ImageReference) async throws(RuntimeError) -> String {
        let command = Command(
            "skopeo", ["inspect", "--raw", "--tls-verify=\(verifiesTLS)", "docker://\(name)"],
            deadline: Self.inspectDeadline)
        do { return Self.hash(try await command.run().standardOutput) } catch {
            throw RuntimeError(
                code: .imageNotFound, operation: "ask the registry", subject: image.description,
                cause: "\(error); check the name, whether the registry can be reached, and 'skopeo login'")
        }
    }
}
