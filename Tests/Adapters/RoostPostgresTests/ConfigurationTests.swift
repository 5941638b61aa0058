import RoostFailover
import RoostModel
import Testing

@testable import RoostPostgres

/// The whole of what Postgres is configured by, letter by letter. What a client was told is kept rests on some of these
/// lines (`fsync`, `synchronous_commit`, `full_page_writes`, `synchronous_standby_names`), and no other test would see one of
/// them change: a process that is killed leaves its unflushed pages to the kernel.
@Suite struct ConfigurationTests {
    private static func settings(_ role: PostgresSettings.Role) throws -> PostgresSettings {
        PostgresSettings(
            member: try MemberName("m2"), address: try IPv6Address("fdaa:0:7:1::2"),
            memory: .gibibytes(1), volumeSize: .gibibytes(10), role: role, isOpen: true)
    }

    private static func lines(_ role: PostgresSettings.Role) throws -> [String] {
        try settings(role).configuration(PostgresLayout()).split(separator: "\n").map(String.init)
    }

    private static let common = """
        # Written by roost-pg, whole, at every change: what is added here is lost.
        listen_addresses = 'fdaa:0:7:1::2'
        port = '5432'
        unix_socket_directories = '/run/roost-pg'
        unix_socket_permissions = '0700'
        hba_file = '/run/roost-pg/config/pg_hba.conf'
        ident_file = '/run/roost-pg/config/pg_ident.conf'
        cluster_name = 'm2'
        allow_alter_system = 'off'
        ssl = 'off'
        password_encryption = 'scram-sha-256'
        authentication_timeout = '10s'
        log_destination = 'stderr'
        logging_collector = 'off'
        log_line_prefix = '%m [%p] %q%u@%d '
        log_checkpoints = 'off'
        timezone = 'UTC'
        log_timezone = 'UTC'
        lc_messages = 'C'
        restart_after_crash = 'off'
        recovery_init_sync_method = 'syncfs'
        tcp_keepalives_idle = '10'
        tcp_keepalives_interval = '5'
        tcp_keepalives_count = '3'
        max_connections = '200'
        superuser_reserved_connections = '5'
        shared_buffers = '256MB'
        effective_cache_size = '512MB'
        maintenance_work_mem = '64MB'
        wal_buffers = '16MB'
        max_wal_size = '1024MB'
        min_wal_size = '256MB'
        checkpoint_timeout = '5min'
        checkpoint_completion_target = '0.9'
        wal_keep_size = '256MB'
        wal_level = 'replica'
        allow_in_place_tablespaces = 'on'
        wal_log_hints = 'on'
        full_page_writes = 'on'
        fsync = 'on'
        synchronous_commit = 'on'
        hot_standby = 'on'
        hot_standby_feedback = 'on'
        max_wal_senders = '16'
        max_replication_slots = '34'
        shared_preload_libraries = ''
        temp_file_limit = '-1'
        default_transaction_read_only = 'off'
        wal_sender_timeout = '5000ms'
        wal_receiver_timeout = '5000ms'
        wal_receiver_status_interval = '1s'
        wal_retrieve_retry_interval = '200ms'
        recovery_target_timeline = 'latest'
        """.split(separator: "\n").map(String.init)

    private static let leader = [
        "max_slot_wal_keep_size = '-1'",
        #"synchronous_standby_names = 'ANY 1 ("m1.e7", "m3.e7")'"#,
        "primary_conninfo = ''",
        "primary_slot_name = ''",
    ]

    private static let detached = [
        "max_slot_wal_keep_size = '0'",
        #"synchronous_standby_names = 'ANY 1 ("nobody.e0")'"#,
        "primary_conninfo = ''",
        "primary_slot_name = ''",
        "max_standby_streaming_delay = '0'",
    ]

    private static let following = [
        "max_slot_wal_keep_size = '0'",
        #"synchronous_standby_names = 'ANY 1 ("nobody.e0")'"#,
        "primary_conninfo = 'host=/run/roost-pg/relay,fdaa:0:7:1::1 port=5435,5432 user=roost_replicator application_name=m2.e7"
            + " passfile=/run/roost-pg/config/follow.pass sslmode=disable gssencmode=disable"
            + " connect_timeout=5 keepalives_idle=5 keepalives_interval=1 keepalives_count=3 tcp_user_timeout=5000'",
        "primary_slot_name = 'm2_e7'",
        "max_standby_streaming_delay = '5s'",
    ]

    /// What differs is named, line by line; the order of lines means nothing to Postgres, but each stands once.
    private static func expect(_ role: PostgresSettings.Role, _ own: [String]) throws {
        let written = try lines(role)
        let expected = common + own
        #expect(written.filter { !expected.contains($0) } == [], "lines that should not be there")
        #expect(expected.filter { !written.contains($0) } == [], "lines that are missing")
        #expect(written.count == expected.count, "a line stands twice")
    }

    @Test func ofALeader() throws {
        let names = [try MemberName("m1"), try MemberName("m3")]
        try Self.expect(.leader(epoch: Epoch(7), standbys: names, confirmations: 1), Self.leader)
    }

    @Test func ofAStandbyThatFollows() throws {
        let leader = PostgresSettings.Upstream(
            leader: try MemberName("m1"), address: try IPv6Address("fdaa:0:7:1::1"), port: 5432, epoch: Epoch(7))
        try Self.expect(.standby(upstream: leader), Self.following)
    }

    /// As much as its reserve, and 4 GiB at most: a reader that has made a copy of it goes on from there.
    @Test func whoFeedsReadersKeepsLogForThemAndNobodyElseDoes() throws {
        let leader = PostgresSettings.Upstream(
            leader: try MemberName("m1"), address: try IPv6Address("fdaa:0:7:1::1"), port: 5432, epoch: Epoch(7))
        func kept(_ role: PostgresSettings.Role, _ size: ByteCount = .gibibytes(10)) throws -> [String] {
            var settings = try Self.settings(role)
            (settings.volumeSize, settings.fed) = (size, [try IPv6Address("fdaa:0:7:1::9")])
            return settings.configuration(PostgresLayout()).split(separator: "\n").map(String.init)
                .filter { $0.hasPrefix("max_slot_wal_keep_size") }
        }
        #expect(try kept(.standby(upstream: leader)) == ["max_slot_wal_keep_size = '640MB'"])
        #expect(try kept(.standby(upstream: leader), .gibibytes(1000)) == ["max_slot_wal_keep_size = '4096MB'"])
        #expect(
            try kept(.leader(epoch: Epoch(7), standbys: [], confirmations: 0)) == ["max_slot_wal_keep_size = '-1'"])
    }

    @Test func ofAStandbyThatFollowsNobody() throws {
        try Self.expect(.standby(upstream: nil), Self.detached)
    }

    /// The members' password is in machines of others too: readers', and what was taken off the spec and lives yet. The first rule
    /// that fits counts.
    @Test func theMembersRoleComesInFromMembersToALeaderAndFromReadersToWhoFeedsThem() throws {
        let addresses = try ["1", "2", "9", "10"].map { try IPv6Address("fdaa:0:7:1::\($0)") }
        // The last one was taken off.
        let (leader, own, reader) = (addresses[0], addresses[1], addresses[2])
        let upstream = PostgresSettings.Upstream(
            leader: try MemberName("m1"), address: leader, port: 5432, epoch: Epoch(7))
        /// Who of them comes in; replicating and otherwise alike.
        func comers(_ role: PostgresSettings.Role, fed: [IPv6Address]) throws -> [IPv6Address] {
            var settings = PostgresSettings(
                member: try MemberName("m2"), address: own, memory: .mebibytes(256), volumeSize: .gibibytes(1),
                role: role, isOpen: true)
            (settings.members, settings.fed) = ([leader, own], fed)
            let lines = settings.accessRules.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
            func isLetIn(_ address: IPv6Address, _ database: String) -> Bool {
                let first = lines.first { line in
                    let databases = line.count > 4 ? line[1].split(separator: ",").map(String.init) : []
                    return line.first == "host" && ["roost_replicator", "all"].contains(line[2])
                        && (databases.contains(database) || databases.contains("all") && database != "replication")
                        && ["\(address)/128", "all", "fdaa::/16"].contains(line[3])
                }
                return first?.last == "scram-sha-256"
            }
            for address in addresses {
                #expect(isLetIn(address, "replication") == isLetIn(address, "postgres") && !isLetIn(address, "shop"))
            }
            return addresses.filter { isLetIn($0, "replication") }
        }
        let leads = PostgresSettings.Role.leader(epoch: Epoch(7), standbys: [], confirmations: 0)
        #expect(try comers(leads, fed: [reader]) == [leader, own])
        #expect(try comers(.standby(upstream: upstream), fed: []) == [])
        #expect(try comers(.standby(upstream: upstream), fed: [reader]) == [reader])
        #expect(try comers(.standby(upstream: nil), fed: [reader]) == [])
    }

    /// How many must have a commit, of whom: by the rule, and nobody where the rule asks for more than there are.
    @Test(arguments: [
        (1, 0, ""),
        (1, 1, #"ANY 1 ("nobody.e0")"#),
        (2, 1, #"ANY 1 ("m1.e7")"#),
        (5, 2, #"ANY 2 ("m1.e7", "m3.e7", "m4.e7", "m5.e7")"#),
        (9, 4, #"ANY 4 ("m1.e7", "m3.e7", "m4.e7", "m5.e7", "m6.e7", "m7.e7", "m8.e7", "m9.e7")"#),
    ])
    func whoConfirms(_ members: Int, _ confirmations: Int, _ names: String) throws {
        let others = try (1...members).filter { $0 != 2 || members == 1 }.map { try MemberName("m\($0)") }
        let role = PostgresSettings.Role.leader(
            epoch: Epoch(7), standbys: members == 1 ? [] : others, confirmations: confirmations)
        #expect(try Self.lines(role).contains("synchronous_standby_names = '\(names)'"))
    }
}
