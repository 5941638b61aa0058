import RoostFailover
import RoostLinux
import RoostModel
import Testing

@testable import RoostPostgres

/// Whatever people set for everybody, new sessions of the supervisor see what they saw before.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct SettingsForAllTests {
    /// Sets every setting that a session may have to the value of that place among those it does not have by itself: of a
    /// number the least and the most. What Postgres refuses stays as it is.
    private static func statement(place: Int) -> String {
        """
        DO $$
        DECLARE s record;
        BEGIN
          FOR s IN
            SELECT name, (CASE vartype WHEN 'bool' THEN ARRAY[CASE setting WHEN 'on' THEN 'off' ELSE 'on' END]
              WHEN 'enum' THEN array_remove(enumvals, setting) WHEN 'string' THEN ARRAY['']
              ELSE array_remove(ARRAY[min_val, max_val], setting) END)[\(place)] AS value
            FROM pg_catalog.pg_settings WHERE context IN ('user', 'superuser')
          LOOP
            CONTINUE WHEN s.value IS NULL;
            BEGIN
              EXECUTE format('ALTER ROLE ALL SET %I = %L', s.name, s.value);
            EXCEPTION WHEN OTHERS THEN NULL;
            END;
          END LOOP;
        END $$
        """
    }

    @Test func noSettingKeepsTheSupervisorFromSeeing() async throws {
        try await TestGround.with("settings") { ground in
            let (m1, m2) = (try ground.member(1), try ground.member(2))
            try await m1.instance.initialize(ground.secrets, within: .seconds(60))
            try await m1.lead(.first, standbys: [m2])
            try await m2.clone(m1, .first)
            try await m2.follow(m1, .first)
            try await m2.waitUntilStreaming()
            let places = try await m1.query(
                "SELECT max(cardinality(enumvals)) FROM pg_catalog.pg_settings WHERE context IN ('user', 'superuser')")
            let last = try #require(places.first?[0].flatMap { Int($0) })
            for place in 1..<last {
                _ = try await m1.query(Self.statement(place: place), within: .seconds(20))
                let count = try await m1.query(
                    "SELECT sum(cardinality(setconfig)) FROM pg_catalog.pg_db_role_setting WHERE setrole = 0")
                let set = count.first?[0].flatMap { Int($0) } ?? 0
                #expect(place > 1 || set > 150, "\(set) were set")
                try await Self.see(m1, m2, place)
                _ = try await m1.query("ALTER ROLE ALL RESET ALL")
            }
            await m2.instance.stop(.immediate, within: .seconds(5))
            await m1.instance.stop(.immediate, within: .seconds(5))
        }
    }

    /// By sessions that begin with what was set.
    private static func see(_ m1: TestMember, _ m2: TestMember, _ place: Int) async throws {
        let text = try await m1.query("SELECT pg_catalog.pg_current_wal_flush_lsn()").first?[0]
        let end = try #require(text.flatMap { LSN(text: $0) })
        let hasAll = try await poll(for: .seconds(10)) { () -> Bool? in
            guard case .standby(let sample)? = try? await m2.instance.observe(epoch: .none) else { return nil }
            return sample.replayed >= end ? true : nil
        }
        #expect(hasAll == true, "place \(place)")
        for member in [m1, m2] {
            await member.instance.observer.disconnect()
            await member.instance.probe.disconnect()
        }
        guard case .primary(let primary) = try await m1.instance.observe(epoch: .first) else {
            Issue.record("no primary, place \(place)")
            return
        }
        #expect(primary.standbys.map(\.member) == [m2.name] && primary.flushed >= end, "place \(place)")
        guard case .standby(let standby) = try await m2.instance.observe(epoch: .first) else {
            Issue.record("no standby, place \(place)")
            return
        }
        #expect(standby.isStreaming && standby.replayed >= end, "place \(place)")
        let recovery = try await m2.instance.recovery()
        #expect(recovery.isInRecovery && recovery.hasReceiver, "place \(place)")
        #expect(try await m2.instance.receivers().count == 1, "place \(place)")
    }
}
