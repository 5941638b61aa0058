import Logging
import RoostLinux
import RoostMesh
import RoostModel
import RoostPeers
import RoostPlanet
import RoostStore
import Synchronization
import Testing

@testable import RoostHost

@Suite(.timeLimit(.minutes(1))) struct MeshKeeperTests {
    /// A mesh that takes every peer but those of one host, as a device may that refuses a key.
    private final class StrictMesh: MeshPeers {
        struct State {
            var peers: Set<HostName> = []
            var refused: HostName?
            /// Since the last time that all of them were said.
            var changes: [PeerChange] = []
            /// Times that all were said.
            var wholes = 0
            var refusals = 0

            mutating func refuse() throws(MeshError) {
                refusals += 1
                throw MeshError(operation: "set peers", subject: "roost0", cause: "a key is refused")
            }
        }

        let state: Mutex<State>

        init(refusing host: HostName) { state = Mutex(State(refused: host)) }

        func setPeers(_ peers: [MeshPeer]) async throws(MeshError) {
            try state.withLock { state throws(MeshError) in
                state.wholes += 1
                state.changes = []
                state.peers = Set(peers.map(\.host).filter { $0 != state.refused })
                if peers.contains(where: { $0.host == state.refused }) { try state.refuse() }
            }
        }

        func changePeers(_ changes: [PeerChange]) async throws(MeshError) {
            try state.withLock { state throws(MeshError) in
                state.changes += changes
                for case .host(let host, let identity) in changes {
                    if host == state.refused { try state.refuse() }
                    if identity == nil { state.peers.remove(host) } else { state.peers.insert(host) }
                }
            }
        }
    }

    private func neighbour(_ name: String) throws -> HostRecord {
        var record = try PublisherTests().neighbour([])
        record.host = try HostName(name)
        record.mesh.address = MeshAddress.host(record.host)
        return record
    }

    @Test("A peer that is refused for ever keeps no later one out, and is no more in the way when it is taken")
    func refusedPeer() async throws {
        let folder = try FakeHost()
        defer { folder.remove() }
        let store = try SQLiteStore(path: folder.folder + "/store.sqlite")
        let (refused, later, last) = (try neighbour("ams2"), try neighbour("fra1"), try neighbour("sin1"))
        try await PublisherTests().put(refused, in: store)
        let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let watcher = PlanetWatcher(store: store, stateFolder: folder.folder, logger: quiet)
        let mesh = StrictMesh(refusing: refused.host)
        let keeper = MeshKeeper(host: try HostName("ams1"), seeds: [], watcher: watcher, mesh: mesh, logger: quiet)
        func peers(become wanted: [HostRecord], after: Int = 0) async throws {
            let isSo = try await poll(for: .seconds(10)) {
                mesh.state.withLock { $0.peers == Set(wanted.map(\.host)) && $0.wholes > after } ? true : nil
            }
            #expect(isSo == true)
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await watcher.run() }
            group.addTask { try await keeper.run() }
            let isRefused = try await poll(for: .seconds(10)) {
                mesh.state.withLock { $0.refusals > 0 } ? true : nil
            }
            #expect(isRefused == true)
            try await PublisherTests().put(later, in: store)
            try await peers(become: [later])
            let wholes = mesh.state.withLock { state in
                state.refused = nil
                return state.wholes
            }
            // All are said once more, and then what changes.
            try await peers(become: [refused, later], after: wholes)
            try await PublisherTests().put(last, in: store)
            try await peers(become: [refused, later, last])
            #expect(mesh.state.withLock { $0.changes == [.host(last.host, last.mesh)] })
            group.cancelAll()
        }
    }
}
