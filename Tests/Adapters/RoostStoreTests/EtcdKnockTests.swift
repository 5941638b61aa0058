import Foundation
import Glibc
import RoostLinux
import RoostModel
import Synchronization
import Testing

@testable import RoostStore

@Suite("A store that does not answer")
struct EtcdKnockTests {
    @Test("is asked by one for all watches, and ever more seldom")
    func oneAsks() async throws {
        let watches = 12
        let door = try ClosingDoor()
        defer { door.close() }
        let store = EtcdStore(endpoints: ["http://127.0.0.1:\(door.port)"])
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            for index in 0..<watches {
                group.addTask { for await _ in store.watch(.key("k\(index)"), from: nil) {} }
            }
            // At the shortest pauses by chance, eleven questions fit into three seconds; each watch begins with its own.
            let most = watches + 12
            let tooMany = try await poll(for: .seconds(3), every: .milliseconds(50)) {
                door.knocks > most ? door.knocks : nil
            }
            #expect(tooMany == nil)
            #expect(door.knocks > watches, "it is asked again")
        }
    }

    @Test("what failed one watch is a question to its endpoint for the others, not their end")
    func doubt() {
        let endpoints = EtcdEndpoints(["http://127.0.0.1:1"])
        let begun = Moment.zero + .seconds(100)
        func isAsked(after time: Duration) -> Bool {
            endpoints.claimPulse(0, every: .milliseconds(500), now: begun + time)
        }
        endpoints.heard(0, now: begun)
        #expect(endpoints.isFresh(within: .milliseconds(500), now: begun + .milliseconds(100)))
        #expect(!isAsked(after: .milliseconds(100)))
        endpoints.failed(0)
        #expect(endpoints.lastHeard(0) == begun, "it did answer then")
        #expect(!endpoints.isFresh(within: .milliseconds(500), now: begun + .milliseconds(100)))
        #expect(isAsked(after: .milliseconds(200)), "at once")
        endpoints.failed(0)
        #expect(!isAsked(after: .milliseconds(600)), "by one for all")
        endpoints.heard(0, now: begun + .milliseconds(650))
        #expect(endpoints.isFresh(within: .milliseconds(500), now: begun + .milliseconds(700)))
        #expect(!isAsked(after: .milliseconds(750)))
        #expect(isAsked(after: .milliseconds(1150)))
    }

    @Test("the pause grows from the first to the last, and is gone after an answer")
    func pauses() async {
        let knock = EtcdKnock(first: .milliseconds(20), last: .milliseconds(80))
        let begun = BootClock.now()
        for _ in 0..<6 {
            let answer = await knock.answer { .failure(.unsent("nobody")) }
            #expect(throws: EtcdFailure.self) { try answer.get() }
        }
        // Half of 20, 40, 80, 80 and 80 at least.
        #expect(BootClock.now() - begun >= .milliseconds(150))
        await #expect(throws: Never.self) { try await knock.answer { .success(()) }.get() }
        let asked = Mutex(0)
        for _ in 0..<2 {
            _ = await knock.answer {
                asked.withLock { $0 += 1 }
                return .success(())
            }
        }
        #expect(asked.withLock { $0 } == 2, "every question is asked")
    }
}

/// Lets everybody in and sends them away again at once.
private final class ClosingDoor: Sendable {
    let port: UInt16
    private let file: Int32
    private let count = Mutex(0)

    var knocks: Int { count.withLock { $0 } }

    init() throws {
        let file = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(file, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(status == 0 && listen(file, 64) == 0)
        port = try #require(BoundSocket.port(of: file))
        self.file = file
        Thread.detachNewThread { [self] in
            while true {
                let accepted = accept(file, nil, nil)
                guard accepted >= 0 else { return }
                count.withLock { $0 += 1 }
                Glibc.close(accepted)
            }
        }
    }

    /// The thread ends with the socket.
    func close() { shutdown(file, Int32(SHUT_RDWR)) }

    deinit { Glibc.close(file) }
}
