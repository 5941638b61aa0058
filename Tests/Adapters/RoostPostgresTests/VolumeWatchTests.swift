import Foundation
import Glibc
import RoostLinux
import Testing

@testable import RoostPostgres

@Suite struct VolumeWatchTests {
    @Test("A volume that has turned read-only is noticed, and one that takes writes is not taken for it")
    func turned() async throws {
        let folder = NSTemporaryDirectory() + "roost-volume-watch-\(getpid())"
        try DurableFile.makeFolder(folder)
        defer {
            umount2(folder, Int32(MNT_DETACH))
            rmdir(folder)
        }
        let watch = VolumeWatch(layout: PostgresLayout(volume: folder))
        // Nothing is mounted there: where the data is a plain folder nobody can mount it anew.
        #expect(watch.fault() == nil)
        try #require(mount("tmpfs", folder, "tmpfs", UInt(MS_NOATIME), "size=64k") == 0)
        #expect(watch.fault() == nil)
        let fault = try await withThrowingTaskGroup(of: String?.self) { group in
            group.addTask { await watch.untilFault(every: .milliseconds(5)) }
            group.addTask {
                try await Task.sleep(for: .seconds(10))
                return nil
            }
            defer { group.cancelAll() }
            // Not while the watch has its trial's file open for writing.
            let isReadOnly = try await poll(for: .seconds(5), every: .milliseconds(1)) { () -> Bool? in
                mount("tmpfs", folder, "tmpfs", UInt(MS_REMOUNT | MS_RDONLY), nil) == 0 ? true : nil
            }
            #expect(isReadOnly == true)
            return try await group.next() ?? nil
        }
        #expect(fault?.contains("takes no writes") == true)
        #expect(mount("tmpfs", folder, "tmpfs", UInt(MS_REMOUNT), nil) == 0)
        #expect(watch.fault() == nil)
    }

    @Test("A volume that is called writable and takes no writes is noticed, and a full one is not taken for it")
    func refusesWrites() async throws {
        let folder = NSTemporaryDirectory() + "roost-volume-trial-\(getpid())"
        try DurableFile.makeFolder(folder)
        defer {
            umount2(folder, Int32(MNT_DETACH))
            rmdir(folder)
        }
        try #require(mount("tmpfs", folder, "tmpfs", UInt(MS_NOATIME), "size=64k,mode=755") == 0)
        #expect(VolumeTrial.failure(in: folder) == nil)
        // What somebody has put in its place is neither waited for nor written to.
        #expect(symlink(folder + "/aim", folder + "/roost-trial") == 0)
        #expect(VolumeTrial.failure(in: folder) == nil)
        #expect(mkfifo(folder + "/roost-trial", 0o600) == 0)
        #expect(VolumeTrial.failure(in: folder) == nil)
        #expect(try FolderListing.names(in: folder).isEmpty)
        let watch = VolumeWatch(layout: PostgresLayout(volume: folder))
        let filler = open(folder + "/filler", O_WRONLY | O_CREAT, 0o600)
        let chunk = [UInt8](repeating: 1, count: 4096)
        while write(filler, chunk, chunk.count) > 0 {}
        close(filler)
        #expect(VolumeTrial.failure(in: folder)?.code == ENOSPC)
        #expect(try await fault(of: watch, within: .milliseconds(200)) == nil)
        // This mount alone takes no writes: the file system behind it is writable, and so it is called.
        #expect(unlink(folder + "/filler") == 0)
        // Also when the trial's file is still there: writes ended before it was removed.
        close(open(folder + "/roost-trial", O_WRONLY | O_CREAT, 0o600))
        #expect(mount(nil, folder, nil, UInt(MS_REMOUNT | MS_BIND | MS_RDONLY), nil) == 0)
        #expect(VolumeTrial.failure(in: folder)?.code == EROFS)
        #expect(watch.fault() == nil)
        #expect(try await fault(of: watch, within: .seconds(10))?.contains("takes no writes") == true)
    }

    private func fault(of watch: VolumeWatch, within time: Duration) async throws -> String? {
        try await withThrowingTaskGroup(of: String?.self) { group in
            group.addTask { await watch.untilFault(every: .milliseconds(5), trying: { .milliseconds(20) }) }
            group.addTask {
                try await Task.sleep(for: time)
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }

    @Test(
        "The words of the kernel for a file system that takes no writes",
        arguments: [
            ("rw,relatime", false), ("ro,relatime", true), ("rw,emergency_ro", true), ("rw,shutdown", true),
            ("rw,errors=remount-ro", false),
        ])
    func options(_ options: String, isReadOnly: Bool) {
        let line = "36 35 7:1 / /data rw,noatime - ext4 /dev/loop1 \(options)"
        #expect(MountTable(mountinfo: line).at("/data")?.isReadOnly == isReadOnly)
    }
}
