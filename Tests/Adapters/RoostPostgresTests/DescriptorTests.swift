import Foundation
import Glibc
import RoostLinux
import Testing

@testable import RoostPostgres

/// What fails again and again keeps nothing open.
@Suite struct DescriptorTests {
    private static let times = 300
    /// Other tests of this process open and close things at the same time.
    private static let othersMax = 200

    private func openCount() throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
    }

    private func expectNoneLeft(_ fail: () throws -> Void) throws {
        let before = try openCount()
        for _ in 0..<Self.times { try fail() }
        #expect(try openCount() - before < Self.othersMax)
    }

    @Test("A host's socket that is not there")
    func hostSocket() throws {
        let socket = HostSocket("/nowhere/\(getpid())/api")
        try expectNoneLeft {
            #expect(throws: HostSocketError.self) { try socket.request("GET", "/", within: .seconds(1)) }
        }
    }

    @Test("A log of Postgres that cannot be opened")
    func log() throws {
        try expectNoneLeft {
            #expect(throws: SystemError.self) { try PostgresLog(path: "/nowhere/\(getpid())/log") { _ in } }
        }
    }
}
