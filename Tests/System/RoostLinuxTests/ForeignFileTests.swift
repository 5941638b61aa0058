import Glibc
import RoostLinux
import Testing

@Suite(.timeLimit(.minutes(1)))
struct ForeignFileTests {
    private func withFolder(_ body: (String) throws -> Void) throws {
        var template = Array("/tmp/roost-foreign-XXXXXX".utf8CString)
        #expect(template.withUnsafeMutableBufferPointer { $0.baseAddress.flatMap { mkdtemp($0) } != nil })
        let folder = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        defer {
            for name in ["/root/file", "/root/link", "/root/out", "/root/pipe", "/root/device", "/secret"] {
                unlink(folder + name)
            }
            for name in ["/root/sub", "/root", ""] { rmdir(folder + name) }
        }
        try DurableFile.makeFolder(folder + "/root/sub")
        try body(folder)
    }

    @Test func onlyRegularFilesOfTheFolderAreRead() throws {
        try withFolder { folder in
            let root = folder + "/root"
            try DurableFile.write("inside", to: root + "/file")
            try DurableFile.write("secret", to: folder + "/secret")
            #expect(symlink("/file", root + "/link") == 0 && symlink("../../../\(folder)/secret", root + "/out") == 0)
            #expect(mkfifo(root + "/pipe", 0o600) == 0)
            #expect(mknod(root + "/device", S_IFCHR | 0o600, dev_t(1 << 8 | 5)) == 0)
            let read = { (path: String) in try ForeignFile.read(path, in: root, bytesMax: 100) }
            #expect(try read("/file") == Array("inside".utf8))
            #expect(try read("/link") == Array("inside".utf8))
            #expect(try read("/out") == nil)
            #expect(try read("/../../file") == Array("inside".utf8))
            #expect(try read("/none") == nil)
            for special in ["/pipe", "/device", "/sub"] { #expect(throws: SystemError.self) { try read(special) } }
            #expect(throws: SystemError.self) { try ForeignFile.read("/file", in: root, bytesMax: 3) }
            #expect(try ForeignFile.folder("/sub", in: root)?.mode == 0o755)
            #expect(try ForeignFile.folder("/file", in: root) == nil)
        }
    }

    @Test func writersOfOnePathDoNotMix() async throws {
        let path = "/tmp/roost-writers-\(getpid())"
        defer { unlink(path) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<8 {
                group.addTask {
                    for _ in 0..<20 {
                        try await BlockingCall.run { () throws(SystemError) in
                            try DurableFile.write([UInt8](repeating: UInt8(writer), count: 200_000), to: path)
                        }
                        let found = try DurableFile.read(path)
                        #expect(found?.count == 200_000 && Set(found ?? []).count == 1)
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(access(path + ".new", F_OK) != 0)
    }
}
