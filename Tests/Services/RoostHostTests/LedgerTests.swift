import Foundation
import GRDB
import RoostLinux
import RoostMachineLife
import RoostModel
import RoostVolumes
import Synchronization
import Testing

@testable import RoostHost

/// What is in the ledger, readable or not, and what it means to the next program.
@Suite struct LedgerTests {
    private func ledger(of host: FakeHost) throws -> DatabaseQueue {
        try DatabaseQueue(path: host.folder + "/ledger.sqlite")
    }

    @Test("A row that cannot be read is set aside: the host works, and neither the row nor its machine is touched")
    func unreadableRow() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        let (strange, plain) = (try MachineOrdersTests().order("strange"), try MachineOrdersTests().order("plain"))
        try await host.withAgent { agent in
            for order in [strange, plain] {
                _ = try await agent.createMachine(order)
                _ = try await agent.wait(for: order.id, states: [.started], timeout: .seconds(10))
            }
        }
        let newer = try await ledger(of: host).write { database in
            let row = try String.fetchOne(
                database, sql: "SELECT CAST(row AS TEXT) FROM machines WHERE id = ?", arguments: [strange.id.text])
            let newer = try #require(row).replacingOccurrences(of: #""name":"running""#, with: #""name":"suspended""#)
            try database.execute(
                sql: "UPDATE machines SET row = CAST(? AS BLOB) WHERE id = ?", arguments: [newer, strange.id.text])
            return newer
        }
        try await host.withAgent { agent in
            #expect(await agent.unreadableRows.map(\.id) == [strange.id.text])
            #expect(await agent.unreadableRows.map(\.app) == [strange.app])
            #expect(await agent.unreadableRows.map(\.isOfDestroyed) == [false])
            #expect(await agent.record().unreadableRows == 1)
            _ = try await agent.restart(plain.id, signal: nil, timeout: nil)
            _ = try await agent.wait(for: plain.id, states: [.started], timeout: .seconds(10))
            #expect(host.runtime.machines.withLock { $0[strange.id]?.exit == nil && $0[strange.id] != nil })
            do throws(Refusal) {
                _ = try await agent.createMachine(strange)
                Issue.record("made over a row that cannot be read")
            } catch { #expect(error.code == .failedPrecondition) }
        }
        let after = try await ledger(of: host).read { database in
            try String.fetchOne(
                database, sql: "SELECT CAST(row AS TEXT) FROM machines WHERE id = ?", arguments: [strange.id.text])
        }
        #expect(after == newer)
    }

    /// What has to go for a new machine goes in the same transaction: no machine is made that its caller was refused.
    @Test func aMachineIsMadeWithAllThatBelongsToItOrNotAtAll() async throws {
        let host = try FakeHost()
        defer { host.remove() }
        try await host.withAgent { agent in
            for number in 0...HostAgent.destroyedRowsMax {
                let order = try MachineOrdersTests().order("m\(number)", startsAtOnce: false)
                _ = try await agent.createMachine(order)
                _ = try await agent.destroy(order.id, force: false)
                _ = try await agent.wait(for: order.id, states: [.destroyed], timeout: .seconds(10))
            }
            try await ledger(of: host).write { database in
                try database.execute(
                    sql: """
                        CREATE TRIGGER kept BEFORE DELETE ON machines BEGIN SELECT RAISE(ABORT, 'kept'); END
                        """)
            }
            let order = try MachineOrdersTests().order("new")
            await #expect(throws: Refusal.self) { _ = try await agent.createMachine(order) }
            #expect(await agent.machine(order.id) == nil)
            try await ledger(of: host).write { try $0.execute(sql: "DROP TRIGGER kept") }
            _ = try await agent.createMachine(order)
            _ = try await agent.wait(for: order.id, states: [.started], timeout: .seconds(10))
            #expect(await agent.machines(of: order.app).count == HostAgent.destroyedRowsMax + 1)
        }
    }

    @Test("Rows of any damage are set aside", arguments: ["x'00'", "NULL", "'{}'", "17"])
    func damagedRow(value: String) async throws {
        let host = try FakeHost()
        defer { host.remove() }
        _ = try host.agent()
        try await ledger(of: host).write { database in
            try database.execute(sql: "PRAGMA ignore_check_constraints = 1")
            for table in ["machines", "volumes"] {
                try database.execute(
                    sql: "CREATE TABLE new (id TEXT PRIMARY KEY, row BLOB); INSERT INTO new VALUES ('abc', \(value))")
                try database.execute(sql: "DROP TABLE \(table); ALTER TABLE new RENAME TO \(table)")
            }
        }
        let agent = try host.agent()
        #expect(await agent.unreadableRows.map(\.table) == ["machines", "volumes"])
        #expect(await agent.record().machines.isEmpty)
    }

    @Test("Nobody but root reads the ledger, also one that was made readable")
    func mode() throws {
        let host = try FakeHost()
        defer { host.remove() }
        let path = host.folder + "/ledger.sqlite"
        _ = try host.agent()
        #expect(chmod(path, 0o644) == 0)
        _ = try host.agent()
        for file in [path, path + "-wal", path + "-shm"] {
            var status = stat()
            guard stat(file, &status) == 0 else { continue }
            #expect(status.st_mode & 0o777 == 0o600, "\(file)")
        }
    }

    @Test("A row is written also as the first version reads it")
    func takenBackAndForward() throws {
        let text =
            #"{"record":{"id":"1bda8edc1efa37","name":"one","app":"web","region":"ams","state":"restarting","#
            + #""instance":"01J","config":{"image":"a"},"network":7,"address":"fdaa::1","created_at":1,"updated_at":2},"#
            + #""life":{"phase":{"name":"ending","attempt":"A","then":"launch","signal":"SIGINT","timeout_ms":5000,"#
            + #""since_ms":7,"is_signalled":true,"has_run":true},"restarts":{"restarts_in_a_row":2}},"#
            + #""open_ports":[5432],"events":[]}"#
        let row = try JSONDecoder().decode(MachineRow.self, from: Data(text.utf8))
        let written = try JSONEncoder().encode(row)
        let former = try JSONDecoder().decode(FormerMachineRow.self, from: written)
        #expect(former.goal == .started)
        #expect(former.attempt == "A")
        #expect(former.restartAttempt == "A")
        #expect(former.restarts.restartsInARow == 2)
        #expect(former.isGateOpen)
        let again = try JSONDecoder().decode(MachineRow.self, from: written)
        #expect(again.life == row.life)
        #expect(again.openPorts == [5432])
    }

    /// As the first version wrote them: goal, launches, and what they mean now.
    @Test(
        arguments: [
            (#""goal":"started","attempt":"A""#, "started", MachinePhase.running(attempt: "A")),
            (#""goal":"started","attempt":"A""#, "starting", .launching(attempt: "A")),
            (#""goal":"started""#, "created", .due(.init(isFirst: true))),
            (#""goal":"started","attempt":"A","concludedAttempt":"A""#, "starting", .due(.init(isFirst: false))),
            (#""goal":"stopped""#, "created", .created),
            (#""goal":"stopped","attempt":"A","concludedAttempt":"A""#, "stopped", .settling(.calledOff)),
            (
                #""goal":"stopped","attempt":"A","concludedAttempt":"A""#, "failed",
                .settling(.unlaunchable("it failed"))
            ),
            (#""goal":"destroyed","attempt":"A""#, "destroying", .destroying),
            (#""goal":"destroyed","attempt":"A""#, "destroyed", .destroyed),
            (
                #""goal":"stopped","attempt":"A","stopSignal":"SIGTERM","stopTimeoutMilliseconds":7000"#, "stopping",
                .ending(
                    .init(
                        attempt: "A", then: .rest, signal: "SIGTERM", timeout: .seconds(7), since: .zero,
                        isSignalled: false, hasRun: true))
            ),
            (
                #""goal":"started","attempt":"A","restartAttempt":"A""#, "restarting",
                .ending(
                    .init(
                        attempt: "A", then: .launch, signal: "SIGINT", timeout: .seconds(5), since: .zero,
                        isSignalled: false, hasRun: true))
            ),
        ] as [(String, String, MachinePhase)])
    func formerRow(life: String, state: String, phase: MachinePhase) throws {
        let text = """
            {"record":{"id":"1bda8edc1efa37","name":"one","app":"web","region":"ams","state":"\(state)",\
            "instance":"01J","config":{"image":"a"},"network":7,"address":"fdaa::1","created_at":1,"updated_at":2},\
            \(life),"restarts":{"restarts_in_a_row":2},"isGateOpen":true,"events":[]}
            """
        let row = try JSONDecoder().decode(MachineRow.self, from: Data(text.utf8))
        #expect(row.life.phase == phase)
        #expect(row.life.restarts.restartsInARow == 2)
        #expect(row.hadOpenGate)
        // And it is written as this version reads it.
        let again = try JSONDecoder().decode(MachineRow.self, from: JSONEncoder().encode(row))
        #expect(again.life == row.life)
    }
}
