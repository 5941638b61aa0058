import RoostFailover
public import RoostModel
import RoostRelayWire

/// How one Postgres is to run now. Its configuration is a function of this and is written whole each time: nothing
/// of an earlier role can be left over.
public struct PostgresSettings: Hashable, Sendable {
    public var member: MemberName
    /// Nil: reachable through the local socket only.
    public var address: IPv6Address?
    public var port: UInt16
    public var memory: ByteCount
    public var volumeSize: ByteCount
    public var role: Role
    /// Clients may come in. Members and the supervisor always may.
    public var isOpen: Bool
    /// Transactions that do not ask for more only read: the volume is nearly full.
    public var isReadOnly = false
    /// What the temporary files of one session may take; nil: no bound.
    public var temporaryMax: ByteCount?
    /// Of a leader: nothing is confirmed by anybody, and nobody is counted, while those who confirm change.
    var isHeldBack = false
    /// Where the members are: of a leader, the members' role comes in from there, and from nowhere else.
    var members: [IPv6Address] = []
    /// The same of a standby, where the readers are that it feeds. One that follows nobody feeds nobody.
    var fed: [IPv6Address] = []

    public enum Role: Hashable, Sendable {
        /// `ANY confirmations` of the streams of `epoch` must have a commit on disk before it is confirmed.
        /// `guests` have slots as the standbys have, and confirm nothing.
        case leader(epoch: Epoch, standbys: [MemberName], confirmations: Int, guests: [MemberName] = [])
        /// Follows `upstream`, or nobody.
        case standby(upstream: Upstream?)
    }

    public struct Upstream: Hashable, Sendable {
        public var leader: MemberName
        public var address: IPv6Address
        public var port: UInt16
        /// Part of the stream's name and of its slot's: a leader has places for streams of its own epoch only.
        public var epoch: Epoch

        public init(leader: MemberName, address: IPv6Address, port: UInt16, epoch: Epoch) {
            self.leader = leader
            self.address = address
            self.port = port
            self.epoch = epoch
        }
    }

    public static let portDefault: UInt16 = 5432
    public static let connectionsMax = 200
    /// A standby must have as many places as its leader, or it replays nothing: change it in two versions.
    static let sendersMax = 16
    /// Of two reigns of the largest cluster, and as many for users.
    static let slotsMax = 2 * PostgresNames.membersMax + 16
    /// Silence after which either end of replication gives the other up.
    static let replicationSilenceMax = Duration.seconds(5)
    static let retryInterval = Duration.milliseconds(200)
    static let authenticationMax = Duration.seconds(10)

    public init(
        member: MemberName, address: IPv6Address?, port: UInt16 = portDefault, memory: ByteCount,
        volumeSize: ByteCount, role: Role, isOpen: Bool
    ) {
        self.member = member
        self.address = address
        self.port = port
        self.memory = memory
        self.volumeSize = volumeSize
        self.role = role
        self.isOpen = isOpen
    }

    /// The only superuser: at the local socket, for who is root in the machine.
    static let supervisor = PostgresNames.supervisor
    /// What users may set for everybody (`ALTER ROLE ALL SET`, `ALTER DATABASE postgres SET`, triggers at login) must not
    /// govern it: neither whom it acts as nor how long it may take; and what roost_guard refuses so that nobody locks it out
    /// is not refused to itself. Serializable, nothing can be asked of a standby; and what planning is made to believe to be
    /// dear is compiled first, which takes seconds. What a client asks for when it connects comes before all of them.
    static let supervisorOptions =
        "-c role=none -c synchronous_commit=local -c statement_timeout=0 -c transaction_timeout=0 -c lock_timeout=0"
        + " -c idle_session_timeout=0 -c idle_in_transaction_session_timeout=0 -c default_transaction_read_only=off"
        + " -c default_transaction_isolation=read\\ committed -c jit=off -c client_min_messages=warning"
        + " -c search_path=pg_catalog -c event_triggers=off"
        + " -c session_preload_libraries= -c local_preload_libraries= -c roost.allow_unsafe=on"
    static let replicator = PostgresNames.replicator
    /// Whom clients log in as: owns what users make, and is no superuser. See ``ClusterRoles``.
    static let owner = "postgres"

    /// A name in `synchronous_standby_names` that nobody bears: no commit is ever confirmed by it.
    static let nobody = "nobody.e0"
    /// By this no stream has a priority.
    static let nobodysNames = "ANY 1 (\"\(nobody)\")"

    private var isLeader: Bool {
        switch role {
        case .leader: true
        case .standby: false
        }
    }

    private var isFollowing: Bool {
        switch role {
        case .standby(.some): true
        case .leader, .standby(nil): false
        }
    }

    /// What a volume keeps free: below it a leader gives slots up, and a copy must leave it.
    public static func reserve(of volume: ByteCount) -> ByteCount {
        ByteCount(bytes: max(volume.bytes / 16, ByteCount.mebibytes(64).bytes))
    }

    /// Of a standby's log: a reader that has made a copy of it goes on from there. More is kept for none.
    private var keptForReaders: ByteCount {
        ByteCount(bytes: min(Self.reserve(of: volumeSize).bytes, ByteCount.gibibytes(4).bytes))
    }

    // MARK: - Files

    public func configuration(_ layout: PostgresLayout) -> String {
        let lines = identity(layout) + resources + replication(layout)
        return "# Written by roost-pg, whole, at every change: what is added here is lost.\n"
            + lines.map { "\($0.0) = \(Self.quoted($0.1))\n" }.joined()
    }

    private func identity(_ layout: PostgresLayout) -> [(String, String)] {
        [
            ("listen_addresses", address.map { "\($0)" } ?? ""),
            ("port", "\(port)"),
            ("unix_socket_directories", layout.runFolder),
            ("unix_socket_permissions", "0700"),
            ("hba_file", layout.accessFile),
            ("ident_file", layout.identFile),
            ("cluster_name", member.text),
            ("allow_alter_system", "off"),
            ("shared_preload_libraries", layout.guardLibrary ?? ""),
            // TLS ends at the edge, and the mesh encrypts the rest of the way: no key has to lie where Postgres runs.
            ("ssl", "off"),
            ("password_encryption", "scram-sha-256"),
            // Strangers hold a place until they have said the password; Postgres's own 60 s are a long time to be full.
            ("authentication_timeout", "\(Self.authenticationMax.components.seconds)s"),
            ("log_destination", "stderr"),
            ("logging_collector", "off"),
            ("log_line_prefix", "%m [%p] %q%u@%d "),
            ("log_checkpoints", "off"),
            ("timezone", "UTC"),
            ("log_timezone", "UTC"),
            ("lc_messages", "C"),
            // A crash ends Postgres, and its supervisor starts it again, closed to clients until enough standbys
            // have all of its log: a restart by itself would show commits that nobody else has.
            ("restart_after_crash", "off"),
            // A volume is a file system of its own: one call instead of one for each of a thousand files.
            ("recovery_init_sync_method", "syncfs"),
            ("tcp_keepalives_idle", "10"),
            ("tcp_keepalives_interval", "5"),
            ("tcp_keepalives_count", "3"),
        ]
    }

    private var resources: [(String, String)] {
        let mebibytes = max(memory.wholeMebibytes, 256)
        let volume = max(volumeSize.wholeMebibytes, 512)
        return [
            ("max_connections", "\(Self.connectionsMax)"),
            ("superuser_reserved_connections", "5"),
            ("shared_buffers", "\(mebibytes / 4)MB"),
            ("effective_cache_size", "\(mebibytes / 2)MB"),
            ("maintenance_work_mem", "\(max(mebibytes / 16, 16))MB"),
            ("wal_buffers", "\(min(max(mebibytes / 64, 4), 16))MB"),
            ("max_wal_size", "\(min(max(volume / 10, 64), 4096))MB"),
            ("min_wal_size", "\(min(max(volume / 40, 32), 512))MB"),
            ("temp_file_limit", temporaryMax.map { "\($0.wholeMebibytes)MB" } ?? "-1"),
            ("default_transaction_read_only", isReadOnly ? "on" : "off"),
            ("checkpoint_timeout", "5min"),
            ("checkpoint_completion_target", "0.9"),
            // A leader's supervisor sees itself that slots do not fill the volume (SlotShedding); on a standby they are
            // what is left of a reign that is over, or readers'.
            ("max_slot_wal_keep_size", isLeader ? "-1" : fed.isEmpty ? "0" : "\(keptForReaders.wholeMebibytes)MB"),
            ("wal_keep_size", "\(min(max(volume / 40, 32), 512))MB"),
        ]
    }

    private func replication(_ layout: PostgresLayout) -> [(String, String)] {
        let silence = "\(Self.replicationSilenceMax.milliseconds)ms"
        var lines = [
            ("wal_level", "replica"),
            // New ones are refused by the guard; one that is there from before must not keep a standby from starting.
            ("allow_in_place_tablespaces", "on"),
            ("wal_log_hints", "on"),
            ("full_page_writes", "on"),
            ("fsync", "on"),
            ("synchronous_commit", "on"),
            ("hot_standby", "on"),
            ("hot_standby_feedback", "on"),
            ("max_wal_senders", "\(Self.sendersMax)"),
            ("max_replication_slots", "\(Self.slotsMax)"),
            ("wal_sender_timeout", silence),
            ("wal_receiver_timeout", silence),
            ("wal_receiver_status_interval", "1s"),
            ("wal_retrieve_retry_interval", "\(Self.retryInterval.milliseconds)ms"),
            ("recovery_target_timeline", "latest"),
        ]
        switch role {
        case .leader(let epoch, let standbys, let confirmations, _):
            let names = standbys.map { "\"\(StreamName(member: $0, epoch: epoch))\"" }.joined(separator: ", ")
            let rule = confirmations > 0 ? "ANY \(confirmations) (\(names.isEmpty ? "\"\(Self.nobody)\"" : names))" : ""
            lines += [
                ("synchronous_standby_names", isHeldBack ? Self.nobodysNames : rule), ("primary_conninfo", ""),
                ("primary_slot_name", ""),
            ]
        case .standby(let upstream):
            let stream = upstream.map { StreamName(member: member, epoch: $0.epoch) }
            let connection = upstream.map {
                self.connection(to: $0, layout, application: "\(stream?.description ?? "")", byRelay: true)
            }
            lines += [
                // Should it be promoted by any way but ours, it confirms nothing.
                ("synchronous_standby_names", Self.nobodysNames),
                ("primary_conninfo", connection ?? ""),
                ("primary_slot_name", stream?.slot ?? ""),
                // One that follows nobody is being asked how far it is: no query may hold up the answer.
                ("max_standby_streaming_delay", upstream == nil ? "0" : "5s"),
            ]
        }
        return lines
    }

    /// libpq's connection text for following, cloning and rewinding. The password is in a file of its own.
    ///
    /// - Parameter application: only a standby that follows may carry its member's name: Postgres would take what a
    ///   copy in progress has received for a confirmation.
    /// - Parameter byRelay: by the member's own relay first. libpq goes on to the next host, the leader, when the relay's socket
    ///   is not there or nobody listens, and when it says SQLSTATE 57P03 (fe-connect.c, PQconnectPoll).
    func connection(
        to upstream: Upstream, _ layout: PostgresLayout, application: String, byRelay: Bool = false
    ) -> String {
        let seconds = max(Self.replicationSilenceMax.components.seconds, 2)
        let hosts = (byRelay ? ["\(layout.relayFolder)"] : []) + ["\(upstream.address)"]
        let ports = (byRelay ? ["\(RelayOrders.portDefault)"] : []) + ["\(upstream.port)"]
        return "host=\(hosts.joined(separator: ",")) port=\(ports.joined(separator: ",")) user=\(Self.replicator)"
            + " application_name=\(application) passfile=\(layout.passwordFile)"
            // The mesh encrypts, and its addresses prove who is who: TLS would only cost two round trips.
            + " sslmode=disable gssencmode=disable"
            + " connect_timeout=\(seconds) keepalives_idle=\(seconds) keepalives_interval=1 keepalives_count=3"
            + " tcp_user_timeout=\(Self.replicationSilenceMax.milliseconds)"
    }

    public var accessRules: String {
        let clients = isOpen ? "scram-sha-256" : "reject"
        // At the local socket it is the relay that comes, for another member's receiver.
        let relay = isLeader ? "scram-sha-256" : "reject"
        let ways = admitted.map { address in
            "host     replication,postgres  \(Self.replicator)  \(address)/128  scram-sha-256\n"
        }.joined()
        return """
            # Written by roost-pg.
            local    all,replication  \(Self.supervisor)              peer map=roost
            local    replication  \(Self.replicator)       \(relay)
            local    all          all                    \(clients)
            \(ways)host     all,replication  \(Self.replicator)  all  reject
            host     all          \(Self.supervisor)  all  reject
            host     all          all                 \(MeshAddress.everything)  \(clients)

            """
    }

    /// From where the members' role comes in. A private network's addresses prove who comes; the password does not: readers'
    /// machines have it too, and so has what was taken off the cluster and lives yet, whose host may hear of that late. A member
    /// that still follows its leader of an earlier epoch must not get the log of a later one through this one, and what a reader
    /// gets of a standby has its slot as its fence (ReaderSlots).
    private var admitted: [IPv6Address] { isLeader ? members : isFollowing ? fed : [] }

    public var identityMap: String { "roost root \(Self.supervisor)\n" }

    private static func quoted(_ value: String) -> String {
        "'" + value.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''") + "'"
    }
}
