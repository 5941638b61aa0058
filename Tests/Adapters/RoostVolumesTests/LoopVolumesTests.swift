import Foundation
import Glibc
import Logging
import RoostLinux
import RoostModel
import Testing

@testable import RoostVolumes

@Suite(.serialized, .timeLimit(.minutes(3)))
struct LoopVolumesTests {
    let size = ByteCount.mebibytes(64)

    @Test func aVolumeIsMadeMountedFilledAndKeepsItsData() async throws {
        try await Pool.with { pool in
            let id = Pool.newID()
            try await pool.volumes.create(id, size: size)
            try await pool.volumes.create(id, size: size)
            #expect(try await pool.volumes.list() == [id])
            #expect(try await pool.volumes.usage(of: id) == nil)

            let folder = try await pool.volumes.mountedFolder(id)
            #expect(try await pool.volumes.mountedFolder(id) == folder)
            let loops = try await pool.loops(of: id)
            #expect(loops.count == 1 && loops[0].hasSuffix(" 1 1 4096"))
            try DurableFile.write("kept", to: folder + "/data")

            // A later process finds the mount of an earlier one.
            let successor = LoopVolumes(pool: pool.volumes.pool, mountRoot: pool.volumes.mountRoot)
            #expect(try await successor.mountedFolder(id) == folder)
            let usage = try #require(try await successor.usage(of: id))
            #expect(usage.blockSize * usage.blocks <= size.bytes && usage.blockSize * usage.blocks > size.bytes / 2)

            try await successor.unmount(id)
            try await successor.unmount(id)
            #expect(try await poll(for: .seconds(5)) { try await pool.loops(of: id).isEmpty ? true : nil } == true)
            #expect(try await pool.volumes.mountedFolder(id) == folder)
            #expect(try DurableFile.read(folder + "/data") == Array("kept".utf8))

            try await pool.volumes.destroy(id)
            try await pool.volumes.destroy(id)
            #expect(try await pool.volumes.list().isEmpty)
            #expect(try FolderListing.names(in: pool.folder + "/pool").isEmpty)
            #expect(try FolderListing.names(in: pool.folder + "/mounts").isEmpty)
        }
    }

    @Test("A volume that cannot be looked at is neither gone nor destroyed")
    func unseen() async throws {
        try await Pool.with { pool in
            let id = Pool.newID()
            try await pool.volumes.create(id, size: size)
            let (image, aside) = (pool.image(id), pool.folder + "/aside")
            // A file that points to itself stands for one that cannot be looked at (ELOOP for EIO).
            #expect(rename(image, aside) == 0 && symlink(image, image) == 0)
            #expect(await refusal { try await pool.volumes.destroy(id) }?.code == .failed)
            #expect(await refusal { _ = try await pool.volumes.mount(id) }?.code == .failed)
            #expect(await refusal { try await pool.volumes.create(id, size: size) }?.code == .failed)
            #expect(rename(aside, image) == 0)
            try await pool.volumes.destroy(id)
            #expect(try await pool.volumes.list().isEmpty)
        }
    }

    @Test func allSpaceIsReservedAndTheSizeIsAHardLimit() async throws {
        try await Pool.with { pool in
            let id = Pool.newID()
            try await pool.volumes.create(id, size: size)
            var file = stat()
            #expect(stat(pool.image(id), &file) == 0)
            #expect(Int64(file.st_size) == size.bytes && Int64(file.st_blocks) * 512 >= size.bytes)

            let folder = try await pool.volumes.mountedFolder(id)
            let fill = try await Command("dd", ["if=/dev/zero", "of=\(folder)/full", "bs=1M", "count=200"]).outcome()
            #expect(fill.status != 0 && fill.standardError.contains("No space left on device"))
            #expect(stat(pool.image(id), &file) == 0)
            #expect(Int64(file.st_size) == size.bytes)
            let usage = try #require(try await pool.volumes.usage(of: id))
            // ext4 keeps a little back for itself.
            #expect(usage.blocksAvailable < 1024)
        }
    }

    @Test func wrongSizesAreRefused() async throws {
        try await Pool.with { pool in
            let id = Pool.newID()
            for wrong in [ByteCount.zero, .mebibytes(1), ByteCount(bytes: (64 << 20) + 1), .gibibytes(1 << 20)] {
                #expect(await refusal { try await pool.volumes.create(id, size: wrong) }?.code == .invalid)
            }
            try await pool.volumes.create(id, size: size)
            #expect(await refusal { try await pool.volumes.create(id, size: .mebibytes(32)) }?.code == .invalid)
            #expect(await refusal { _ = try await pool.volumes.mount(Pool.newID()) }?.code == .notFound)
        }
    }

    @Test func aFullPoolRefusesAndKeepsNothing() async throws {
        try await Pool.with { outer in
            // A small disk: a volume of its own.
            let disk = Pool.newID()
            try await outer.volumes.create(disk, size: .mebibytes(160))
            let folder = try await outer.volumes.mountedFolder(disk)
            let inner = LoopVolumes(pool: folder + "/pool", mountRoot: outer.folder + "/inner")
            let first = Pool.newID()
            try await inner.create(first, size: .mebibytes(32))
            let free = try await inner.freeSpace()
            #expect(free < .mebibytes(64))

            let error = await refusal { try await inner.create(Pool.newID(), size: .mebibytes(100)) }
            #expect(error?.code == .noSpace)
            #expect(try await inner.list() == [first])
            // Also when the disk turns out to be full only while the space is reserved.
            let path = folder + "/pool/.late"
            do throws(VolumeFileError) {
                try await VolumeFile.make(path, as: path, size: .mebibytes(200), writtenOnce: .zero)
                Issue.record("200 MiB fitted on a disk of 160 MiB")
            } catch { #expect(error.isNoSpace) }
            #expect(access(path, F_OK) != 0)
            try await inner.destroy(first)
        }
    }

    @Test func whatAKilledCreateLeftIsRemovedAndWhatIsBeingMadeIsNot() async throws {
        try await Pool.with { pool in
            let kept = Pool.newID()
            try await pool.volumes.create(kept, size: size)
            let left = pool.folder + "/pool/.\(Pool.newID()).img.new"
            let busy = pool.folder + "/pool/.\(Pool.newID()).img.new"
            try DurableFile.write("half", to: left)
            let file = open(busy, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
            #expect(flock(file, LOCK_EX | LOCK_NB) == 0)
            #expect(try await pool.volumes.list() == [kept])
            #expect(access(left, F_OK) != 0)
            #expect(access(busy, F_OK) == 0)
            close(file)
            #expect(try await pool.volumes.list() == [kept])
            #expect(access(busy, F_OK) != 0)
        }
    }

    @Test("The lock of a volume that is not there goes with the next look, and that of one in the making stays")
    func locksOfNothing() async throws {
        try await Pool.with { pool in
            let (kept, destroyed, inWork) = (Pool.newID(), Pool.newID(), Pool.newID())
            func lock(_ id: VolumeID) -> String { pool.folder + "/pool/.\(id).lock" }
            for id in [kept, destroyed] { try await pool.volumes.create(id, size: size) }
            // As far as a destroy gets that is killed before its last step; and then it is asked for again.
            unlink(pool.image(destroyed))
            try await pool.volumes.destroy(destroyed)
            #expect(await refusal { _ = try await pool.volumes.mount(Pool.newID()) }?.code == .notFound)
            let held = try #require(try FileLock.attempt(lock(inWork)))
            #expect(try await pool.volumes.list() == [kept])
            let left = try FolderListing.names(in: pool.folder + "/pool").filter { $0.hasSuffix(".lock") }
            #expect(Set(left) == [".\(kept).lock", ".\(inWork).lock"])
            held.release()
            #expect(try await pool.volumes.list() == [kept])
            #expect(access(lock(inWork), F_OK) != 0 && access(lock(kept), F_OK) == 0)
            try await pool.volumes.create(inWork, size: size)
            #expect(try await Set(pool.volumes.list()) == [kept, inWork])
        }
    }

    @Test func aVolumeThatIsMountedElsewhereIsRefusedUntilItsHolderIsGone() async throws {
        try await Pool.with { pool in
            let id = Pool.newID()
            try await pool.volumes.create(id, size: size)
            let image = pool.image(id)
            let point = pool.folder + "/elsewhere"
            try DurableFile.makeFolder(point)
            try await withThrowingTaskGroup(of: Void.self) { group in
                // Another host: a mount namespace that lives as long as its process.
                group.addTask {
                    let script = "mount -o loop \(image) \(point) && touch \(point)/held && exec sleep 60"
                    _ = try? await Command(
                        "unshare", ["--mount", "--propagation", "private", "sh", "-c", script], deadline: .seconds(90)
                    ).outcome()
                }
                let held = try await poll(for: .seconds(10)) {
                    try await pool.loops(of: id).isEmpty ? nil : true
                }
                #expect(held == true)
                // Attached is not yet mounted: an idle device would be taken over.
                let claimed = try await poll(for: .seconds(10)) {
                    isClaimed(try await pool.loops(of: id)) ? true : nil
                }
                #expect(claimed == true)
                let error = await refusal { _ = try await pool.volumes.mount(id) }
                #expect(error?.code == .busy)
                #expect(await refusal { try await pool.volumes.destroy(id) }?.code == .busy)
                group.cancelAll()
            }
            let folder = try await pool.volumes.mountedFolder(id)
            #expect(access(folder + "/held", F_OK) == 0)
        }
    }

    /// A mounted block device cannot be opened exclusively.
    private func isClaimed(_ loops: [String]) -> Bool {
        guard let name = loops.first?.split(separator: " ").first else { return false }
        let file = open(String(name), O_RDONLY | O_EXCL | O_CLOEXEC)
        guard file >= 0 else { return errno == EBUSY }
        close(file)
        return false
    }

    @Test func anUncleanFilesystemIsRepairedBeforeItIsMounted() async throws {
        try await Pool.with { pool in
            let id = Pool.newID()
            try await pool.volumes.create(id, size: size)
            #expect(try FilesystemCheck.verdict(of: pool.image(id)) == .clean)
            try await Command("debugfs", ["-w", "-R", "set_super_value state 2", pool.image(id)]).run()
            #expect(try FilesystemCheck.verdict(of: pool.image(id)) == .needsCheck)
            _ = try await pool.volumes.mount(id)
            try await pool.volumes.unmount(id)
            #expect(try await poll(for: .seconds(5)) { try await pool.loops(of: id).isEmpty ? true : nil } == true)
            #expect(try FilesystemCheck.verdict(of: pool.image(id)) == .clean)
        }
    }

    @Test func whatIsNoFilesystemIsNotMounted() async throws {
        try await Pool.with { pool in
            let id = Pool.newID()
            try await pool.volumes.create(id, size: size)
            try await Command("dd", ["if=/dev/zero", "of=\(pool.image(id))", "bs=1M", "count=1", "conv=notrunc"]).run()
            #expect(await refusal { _ = try await pool.volumes.mount(id) }?.code == .failed)
            #expect(try await poll(for: .seconds(5)) { try await pool.loops(of: id).isEmpty ? true : nil } == true)
        }
    }

    @Test func somethingElseInTheFilesPlaceIsNotAttached() async throws {
        try await Pool.with { pool in
            let id = Pool.newID()
            try await pool.volumes.create(id, size: size)
            #expect(rename(pool.image(id), pool.image(id) + ".aside") == 0 && mkdir(pool.image(id), 0o700) == 0)
            let error = await refusal { _ = try await pool.volumes.mount(id) }
            #expect(error?.cause.contains("put that back") == true, "\(String(describing: error))")
            #expect(rmdir(pool.image(id)) == 0 && rename(pool.image(id) + ".aside", pool.image(id)) == 0)
            _ = try await pool.volumes.mount(id)
        }
    }

    @Test(
        "A volume whose file has lost its end is not written to, and says so", arguments: [0, 512, 4095, 4096, 1 << 20])
    func cutOff(left: Int) async throws {
        try await Pool.with { pool in
            let id = Pool.newID()
            try await pool.volumes.create(id, size: size)
            // Also where it was not unmounted cleanly: no check is to mend what is left.
            try await Command("debugfs", ["-w", "-R", "set_super_value state 2", pool.image(id)]).run()
            try await Command("cp", ["--sparse=always", pool.image(id), pool.image(id) + ".whole"]).run()
            #expect(truncate(pool.image(id), off_t(left)) == 0)
            let before = try Data(contentsOf: URL(fileURLWithPath: pool.image(id)))
            let error = await refusal { _ = try await pool.volumes.mount(id) }
            #expect(error?.code == .failed && error?.cause.contains("shorter") == true, "\(String(describing: error))")
            #expect(try Data(contentsOf: URL(fileURLWithPath: pool.image(id))) == before)
            // Whoever finds the rest has all again.
            #expect(rename(pool.image(id) + ".whole", pool.image(id)) == 0)
            _ = try await pool.volumes.mount(id)
        }
    }

    @Test func aFreshVolumeIsEmptyAndTellsItsRoom() async throws {
        try await Pool.with { pool in
            let id = Pool.newID()
            try await pool.volumes.create(id, size: size)
            let folder = try await pool.volumes.mountedFolder(id)
            #expect(try FolderListing.names(in: folder).isEmpty)
            let usage = try #require(try await pool.volumes.usage(of: id))
            #expect(usage.inodes > 1000 && usage.inodesFree < usage.inodes && !usage.isReadOnly)
        }
    }

    @Test func aVolumeThatTurnedReadOnlyIsCheckedAndMountedAnew() async throws {
        try await Pool.with { pool in
            let id = Pool.newID()
            try await pool.volumes.create(id, size: size)
            let folder = try await pool.volumes.mountedFolder(id)
            try DurableFile.write("kept", to: folder + "/data")
            let device = try #require(try await pool.loops(of: id).first?.split(separator: " ").first)
            try await Command(
                "sh", ["-c", "echo tried > /sys/fs/ext4/\(device.dropFirst(5))/trigger_fs_error"]
            ).run()
            #expect(throws: SystemError.self) { try DurableFile.write("lost", to: folder + "/more") }
            #expect(try await pool.volumes.usage(of: id)?.isReadOnly == true)
            #expect(try await pool.volumes.mountedFolder(id) == folder)
            try DurableFile.write("more", to: folder + "/more")
            #expect(try DurableFile.read(folder + "/data") == Array("kept".utf8))
            #expect(try await pool.volumes.usage(of: id)?.isReadOnly == false)
        }
    }

    /// As on a kernel that goes on calling it writable: here ext4's own count is a folder of the test's.
    @Test func aVolumeWhoseErrorsWereCountedIsCheckedAndMountedAnew() async throws {
        try await Pool.with { pool in
            let id = Pool.newID()
            let counts = pool.folder + "/counts"
            let volumes = LoopVolumes(
                pool: pool.volumes.pool, mountRoot: pool.volumes.mountRoot,
                writtenOnce: LoopVolumes.writtenOnceDefault, counts: counts, logger: Logger(label: "test"))
            try await volumes.create(id, size: size)
            let disk = try await volumes.mount(id)
            let folder =
                switch disk {
                case .folder(let path): path
                }
            let device = try #require(try await pool.loops(of: id).first?.split(separator: " ").first?.dropFirst(5))
            // A mount takes it away.
            let mark = folder + "/lost+found"
            for (count, isMountedAnew) in [(nil, false), ("0\n", false), ("2\n", true)] as [(String?, Bool)] {
                if let count {
                    try DurableFile.makeFolder("\(counts)/\(device)")
                    try DurableFile.write(count, to: "\(counts)/\(device)/errors_count")
                }
                try DurableFile.makeFolder(mark)
                #expect(try await volumes.mount(id) == disk)
                #expect((access(mark, F_OK) != 0) == isMountedAnew)
            }
        }
    }

    @Test func aVolumeThatIsBeingMadeIsNotTakenForALeftOver() async throws {
        try await Pool.with { pool in
            // A file that has just been made and is not locked yet.
            let fresh = pool.folder + "/pool/.\(Pool.newID()).img.new.1\(VolumeFile.unlockedEnding)"
            try DurableFile.makeFolder(pool.folder + "/pool")
            try DurableFile.write("", to: fresh)
            #expect(try await pool.volumes.list().isEmpty)
            #expect(access(fresh, F_OK) == 0)
            var long = [timespec(tv_sec: 1000, tv_nsec: 0), timespec(tv_sec: 1000, tv_nsec: 0)]
            #expect(utimensat(AT_FDCWD, fresh, &long, 0) == 0)
            #expect(try await pool.volumes.list().isEmpty)
            #expect(access(fresh, F_OK) != 0)
            // Lists and creates side by side never disturb each other.
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<6 {
                    group.addTask { try await pool.volumes.create(Pool.newID(), size: .mebibytes(16)) }
                    group.addTask { for _ in 0..<50 { _ = try await pool.volumes.list() } }
                }
                try await group.waitForAll()
            }
            #expect(try await pool.volumes.list().count == 6)
        }
    }

    @Test("A sweep that opened a file before its maker went on removes nothing of it, and locks no new one")
    func aSweepThatWasOvertakenByTheMaker() async throws {
        try await Pool.with { pool in
            let folder = pool.folder + "/pool"
            try DurableFile.makeFolder(folder)
            let path = folder + "/.\(Pool.newID()).img.new"
            func opened(_ path: String) throws -> Int32 {
                try DurableFile.write("half", to: path)
                return open(path, O_RDWR | O_CLOEXEC)
            }
            // It has its name by now.
            let whole = try opened(path)
            defer { close(whole) }
            #expect(rename(path, folder + "/whole") == 0)
            #expect(try !VolumeFile.removeIfLeftOver(path, openedAs: whole))
            #expect(access(folder + "/whole", F_OK) == 0)
            // Another sweep has removed it, and its name is another file's.
            let old = try opened(path)
            defer { close(old) }
            unlink(path)
            let new = try opened(path)
            defer { close(new) }
            #expect(try !VolumeFile.removeIfLeftOver(path, openedAs: old))
            #expect(access(path, F_OK) == 0)
            #expect(try VolumeFile.removeIfLeftOver(path, openedAs: new))
            // The maker of one that has just been made finds it as it was.
            let fresh = path + VolumeFile.unlockedEnding
            let sweeps = try opened(fresh)
            defer { close(sweeps) }
            let makers = open(fresh, O_RDWR | O_CLOEXEC)
            defer { close(makers) }
            #expect(try !VolumeFile.removeIfLeftOver(fresh, openedAs: sweeps))
            #expect(FileLock.hold(makers))
        }
    }

    @Test func whatIsLeftOfOneAttemptIsNotInTheWayOfTheNext() async throws {
        try await Pool.with { pool in
            let id = Pool.newID()
            try DurableFile.makeFolder(pool.folder + "/pool")
            // Somebody is about to remove it.
            let left = pool.folder + "/pool/.\(id).img.new"
            try DurableFile.write("half", to: left)
            let file = open(left, O_RDWR | O_CLOEXEC)
            defer { close(file) }
            #expect(FileLock.hold(file))
            try await pool.volumes.create(id, size: size)
            #expect(FileLock.isNamed(file, left))
            #expect(try await pool.volumes.list() == [id])
            let one = VolumeFile.unfinished(id, in: "/pool")
            #expect(one.hasPrefix("/pool/.vol_") && one != VolumeFile.unfinished(id, in: "/pool"))
        }
    }

    @Test func severalCallersMakeOneVolume() async throws {
        try await Pool.with { pool in
            let id = Pool.newID()
            try await withThrowingTaskGroup(of: String.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        try await pool.volumes.create(id, size: size)
                        return try await pool.volumes.mountedFolder(id)
                    }
                }
                for try await folder in group { #expect(folder == pool.folder + "/mounts/\(id)") }
            }
            #expect(try await pool.loops(of: id).count == 1)
            #expect(try MountTable.current().mounts.filter { $0.point == pool.folder + "/mounts/\(id)" }.count == 1)
        }
    }
}
