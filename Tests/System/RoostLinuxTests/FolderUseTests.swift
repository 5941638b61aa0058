import Foundation
import Glibc
import RoostModel
import Testing

@testable import RoostLinux

@Suite struct FolderUseTests {
    private static func with(_ body: (String) async throws -> Void) async throws {
        let folder = "/var/tmp/roost-use-\(getpid())-\(UUID().uuidString)"
        try DurableFile.makeFolder(folder)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(folder)
    }

    private static func write(_ count: Int, to path: String) throws {
        #expect(FileManager.default.createFile(atPath: path, contents: Data(repeating: 7, count: count)))
        // Until then a file system may not have given it its blocks.
        let file = open(path, O_RDONLY)
        #expect(fsync(file) == 0)
        close(file)
    }

    private static func size(_ folder: String, namesMax: Int = 100_000) throws -> FolderUse {
        try FolderUse.measure(folder, namesMax: namesMax)
    }

    @Test("Blocks count, not lengths; a file with several names counts once")
    func blocks() async throws {
        try await Self.with { folder in
            let empty = try Self.size(folder).size
            try Self.write(1 << 20, to: folder + "/one")
            let one = try Self.size(folder).size - empty
            #expect((1 << 20...(1 << 20) + (64 << 10)).contains(one.bytes))
            #expect(link(folder + "/one", folder + "/two") == 0)
            let sparse = open(folder + "/sparse", O_RDWR | O_CREAT, 0o600)
            #expect(ftruncate(sparse, 1 << 40) == 0)
            close(sparse)
            try DurableFile.makeFolder(folder + "/deep/er")
            try Self.write(1 << 20, to: folder + "/deep/er/three")
            let all = try Self.size(folder)
            #expect(all.names == 6 && all.isWhole)
            #expect((2 << 20...(2 << 20) + (128 << 10)).contains(all.size.bytes - empty.bytes))
        }
    }

    @Test("A walk is led neither out of the folder nor round in it, and opens no pipe")
    func links() async throws {
        try await Self.with { folder in
            let (inside, outside) = (folder + "/in", folder + "/out")
            for path in [inside, outside] { try DurableFile.makeFolder(path) }
            try Self.write(8 << 20, to: outside + "/large")
            #expect(symlink(outside, inside + "/link") == 0)
            #expect(symlink(".", inside + "/round") == 0)
            #expect(symlink(outside + "/large", inside + "/file") == 0)
            #expect(mkfifo(inside + "/pipe", 0o600) == 0)
            let use = try Self.size(inside)
            #expect(use.names == 4 && use.isWhole && use.size < .mebibytes(1))
            #expect(throws: SystemError.self) { try Self.size(inside + "/link") }
            #expect(throws: SystemError.self) { try Self.size(inside + "/nothing") }
        }
    }

    @Test("A folder that its owner swaps for a link all the time leads nowhere, and what vanishes is no error")
    func swapped() async throws {
        try await Self.with { folder in
            let (inside, outside) = (folder + "/in", folder + "/out")
            for path in [inside + "/kept", inside + "/door", outside] { try DurableFile.makeFolder(path) }
            try Self.write(8 << 20, to: outside + "/large")
            #expect(symlink(outside, folder + "/link") == 0)
            for number in 0..<50 { try DurableFile.makeFolder("\(inside)/kept/\(number)") }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    var number = 0
                    while !Task.isCancelled {
                        // The folder away, the link in its place, and back again.
                        rename(inside + "/door", folder + "/aside")
                        rename(folder + "/link", inside + "/door")
                        rename(inside + "/door", folder + "/link")
                        rename(folder + "/aside", inside + "/door")
                        number = (number + 1) % 50
                        rmdir("\(inside)/kept/\(number)")
                        mkdir("\(inside)/kept/\(number)", 0o700)
                        await Task.yield()
                    }
                }
                for _ in 0..<300 {
                    let use = try Self.size(inside)
                    #expect(use.size < .mebibytes(1) && use.isWhole)
                }
                group.cancelAll()
            }
        }
    }

    @Test("More names or deeper folders than a walk may see are said, and nothing is held open afterwards")
    func bounds() async throws {
        try await Self.with { folder in
            for number in 0..<20 { try DurableFile.makeFolder("\(folder)/\(number)") }
            #expect(try Self.size(folder, namesMax: 20).isWhole)
            #expect(try !Self.size(folder, namesMax: 19).isWhole)
            var place = open(folder, O_RDONLY | O_DIRECTORY)
            for _ in 0...FolderUse.depthMax {
                #expect(mkdirat(place, "d", 0o700) == 0)
                let next = openat(place, "d", O_RDONLY | O_DIRECTORY)
                close(place)
                place = next
            }
            close(place)
            let held = { try FolderListing.names(in: "/proc/self/fd").count }
            let before = try held()
            for _ in 0..<4 { #expect(try !Self.size(folder).isWhole) }
            // Other tests open files meanwhile, but not thousands.
            #expect(try held() < before + FolderUse.depthMax)
        }
    }

    @Test("A walk whose time is over says that there is more, and what it has seen")
    func time() async throws {
        try await Self.with { folder in
            for number in 0..<20 { try DurableFile.makeFolder("\(folder)/\(number)") }
            let cut = try FolderUse.measure(folder, namesMax: 100, until: WalkEnd(at: BootClock.now()))
            #expect(!cut.isDone && cut.isWhole && cut.names < 20)
            let end = WalkEnd(at: BootClock.now() + .seconds(600))
            let whole = try FolderUse.measure(folder, namesMax: 100, until: end)
            #expect(whole.isDone && whole.names == 20)
            // Nobody waits for it any more.
            end.come()
            #expect(try !FolderUse.measure(folder, namesMax: 100, until: end).isDone)
        }
    }

    @Test("What the disk does not show is not taken for what is not there", arguments: [EIO, ENOMEM, ENOENT])
    func unread(code: Int32) async throws {
        try await Self.with { folder in
            for name in ["a", "a/b", "c", "c/d"] { try DurableFile.makeFolder("\(folder)/\(name)") }
            var reads = 0
            // The first folder that is entered.
            let read = { (stream: OpaquePointer) -> UnsafeMutablePointer<dirent>? in
                reads += 1
                let entry = readdir(stream)
                guard entry == nil, reads < 100 else { return entry }
                reads = 100
                errno = code
                return nil
            }
            guard code != ENOMEM else {
                #expect(throws: SystemError.self) { try FolderUse.measure(folder, namesMax: 100, read: read) }
                return
            }
            let use = try FolderUse.measure(folder, namesMax: 100, read: read)
            // The others are seen.
            #expect(use.isWhole && use.isDone == (code == ENOENT) && use.names >= 3)
        }
        // The same for a name that is looked up.
        #expect([EIO, ENOMEM, ENOENT].map(FolderUse.sight) == [.hidden, .lack, .nothing])
    }

    @Test("What runs idly has the lowest priority, and nobody else gets it")
    func idly() async {
        let nice = await BlockingCall.runIdly { getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0) }
        #expect(nice == 19)
        let after = await BlockingCall.run { getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0) }
        #expect(after < 19)
    }
}
