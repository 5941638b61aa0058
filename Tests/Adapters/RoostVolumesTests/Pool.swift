import Glibc
import RoostLinux
import RoostModel
import RoostVolumes
import Testing

/// A pool of its own for one test, on the real disk, with everything taken down at the end.
struct Pool: Sendable {
    let folder: String
    let volumes: LoopVolumes

    var image: (VolumeID) -> String { { "\(folder)/pool/\($0).img" } }

    static func with(_ body: (Pool) async throws -> Void) async throws {
        var generator = SystemRandomNumberGenerator()
        let name = String(UInt32.random(in: .min ... .max, using: &generator), radix: 36)
        let folder = "/var/tmp/roost-volumes-test-\(getpid())-\(name)"
        let pool = Pool(folder: folder, volumes: LoopVolumes(pool: folder + "/pool", mountRoot: folder + "/mounts"))
        var failure: (any Error)?
        do { try await body(pool) } catch { failure = error }
        for volume in (try? await pool.volumes.list()) ?? [] { try await pool.volumes.destroy(volume) }
        try await Command("rm", ["-rf", "--one-file-system", folder]).run()
        if let failure { throw failure }
    }

    static func newID() -> VolumeID {
        var generator = SystemRandomNumberGenerator()
        return VolumeID.random(using: &generator)
    }

    /// The loop devices that hold the volume, by the kernel's own list.
    func loops(of volume: VolumeID) async throws -> [String] {
        try await Command("losetup", ["--noheadings", "-O", "NAME,DIO,AUTOCLEAR,LOG-SEC", "-j", image(volume)]).run()
            .standardOutput.split(separator: "\n").map {
                $0.split(separator: " ").joined(separator: " ")
            }
    }
}

/// The error of a call that has to fail.
func refusal(_ body: () async throws -> Void, sourceLocation: SourceLocation = #_sourceLocation) async -> VolumeError? {
    do {
        try await body()
        Issue.record("nothing was refused", sourceLocation: sourceLocation)
        return nil
    } catch let error as VolumeError {
        return error
    } catch {
        Issue.record(error, sourceLocation: sourceLocation)
        return nil
    }
}

extension LoopVolumes {
    /// Mounts it, and says where: what is in it is looked at from the host.
    func mountedFolder(_ volume: VolumeID) async throws(VolumeError) -> String {
        switch try await mount(volume) {
        case .folder(let path): path
        }
    }
}
