import Foundation
import Glibc
import Testing

@testable import RoostLinux

@Suite struct FileLockTests {
    @Test("Several share a lock, and whoever wants it alone waits for all of them")
    func shared() async throws {
        let path = NSTemporaryDirectory() + "roost-lock-\(UUID().uuidString)"
        defer { unlink(path) }
        let first = try await FileLock.share(path, within: .zero)
        let second = try await FileLock.share(path, within: .zero)
        #expect(try FileLock.attempt(path) == nil)
        first.release()
        #expect(try FileLock.attempt(path) == nil)
        second.release()
        let alone = try #require(try FileLock.attempt(path))
        await #expect(throws: SystemError.self) { _ = try await FileLock.share(path, within: .milliseconds(40)) }
        alone.release()
        let again = try await FileLock.share(path, within: .zero)
        again.release()
    }

    @Test("A lock whose file its holder has removed keeps nobody out, so nobody gets it")
    func removed() async throws {
        let path = NSTemporaryDirectory() + "roost-lock-\(UUID().uuidString)"
        defer { unlink(path) }
        let holder = try #require(try FileLock.attempt(path))
        async let waiting = FileLock.share(path, within: .seconds(20))
        unlink(path)
        holder.release()
        let lock = try await waiting
        #expect(try FileLock.attempt(path) == nil)
        lock.release()
    }
}
