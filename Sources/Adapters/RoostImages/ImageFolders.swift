import Glibc
import RoostModel
import RoostRuntime

/// Which folders of this host may be images (`dir:`, `oci:`).
///
/// A machine's process 1 is the host's root, seen through a few walls: whoever may name any folder as an image may read
/// every file of the host. So the host's operator names the folders, and nothing else is looked at.
public struct ImageFolders: Sendable, Hashable {
    /// What is in one of these, or below it, may be an image.
    public var allowed: [String]
    /// Layouts that the host's own configuration names as images; each is allowed, and nothing beside it.
    public var own: [String]
    /// The host's own files. Nothing in them is an image, and no image holds them, whatever is allowed.
    public var forbidden: [String]

    public init(allowed: [String] = [], own: [String] = [], forbidden: [String] = []) {
        self.allowed = allowed
        self.own = own
        self.forbidden = forbidden
    }

    /// The folder of a reference to a layout on this host; nil for an image of a registry.
    public static func layout(of reference: String) -> String? {
        switch (try? ImageReference(reference))?.source {
        case .layout(let path, _): path
        case .directory(let path): path
        case .registry, nil: nil
        }
    }

    /// Refuses a folder that may not be an image.
    func check(_ path: String, for image: ImageReference) throws(RuntimeError) {
        if own.contains(path) { return }
        guard let top = allowed.first(where: { Self.isAtOrBelow(path, $0) }) else {
            throw refusal(
                image,
                "this host does not run images out of this folder: its operator has to name the folder in "
                    + "'images.allowed_directories' of the host's configuration")
        }
        guard let real = Self.canonical(path) else {
            switch errno {
            // Whoever looks into it will say that it is not there.
            case ENOENT, ENOTDIR: return
            case ELOOP: throw refusal(image, "\(path) leads through a link to itself: name the folder itself")
            default: throw unseen(path, image)
            }
        }
        guard real == path else {
            throw refusal(image, "\(path) leads through a link, or is not written plainly: name the folder itself")
        }
        for own in forbidden.map({ Self.canonical($0) ?? $0 })
        where Self.isAtOrBelow(path, own) || Self.isAtOrBelow(own, path) {
            throw refusal(image, "\(path) holds files of the host's own, or is among them")
        }
        try requireRootOnly(path, below: top, image)
    }

    /// Whoever could write there could make the image what the operator did not allow.
    private func requireRootOnly(_ path: String, below top: String, _ image: ImageReference) throws(RuntimeError) {
        var folder = path
        while true {
            var status = stat()
            guard lstat(folder, &status) == 0 else { throw unseen(folder, image) }
            guard status.st_mode & S_IFMT == S_IFDIR else {
                throw RuntimeError(
                    code: .imageInvalid, operation: "find the image", subject: image.description,
                    cause: "\(folder) is not a folder")
            }
            guard status.st_uid == 0, status.st_mode & (S_IWGRP | S_IWOTH) == 0 else {
                throw refusal(image, "\(folder) can be written by others than root")
            }
            guard folder != top, let slash = folder.lastIndex(of: "/"), slash != folder.startIndex else { return }
            folder = String(folder[..<slash])
        }
    }

    /// - Parameter code: of errno(3).
    private func unseen(_ path: String, _ image: ImageReference, code: Int32 = errno) -> RuntimeError {
        RuntimeError(
            code: .failed, operation: "find the image", subject: image.description,
            cause: "\(path) cannot be looked at: \(String(cString: strerror(code)))")
    }

    private func refusal(_ image: ImageReference, _ cause: String) -> RuntimeError {
        RuntimeError(code: .imageNotAllowed, operation: "find the image", subject: image.description, cause: cause)
    }

    static func isAtOrBelow(_ path: String, _ folder: String) -> Bool {
        path == folder || path.hasPrefix(folder.hasSuffix("/") ? folder : folder + "/")
    }

    private static func canonical(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}
