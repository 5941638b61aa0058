import Glibc
public import Logging
import RoostFailover
public import RoostLinux
public import RoostModel
public import RoostWire
import Synchronization

public struct PostgresError: Error, CustomStringConvertible {
    public let operation: String
    public let cause: String

    public init(_ operation: String, _ cause: String) {
        self.operation = operation
        self.cause = cause
    }

    init(_ operation: String, _ error: any Error) { self.init(operation, Self.words(for: error)) }

    public var description: String { "could not \(operation): \(cause)" }

    /// Members' words are shown to whoever asks after the cluster. A command's line is not for them: it says how a member
    /// reaches the others, and where it keeps what; nor is a statement, nor what programs and libpq say of the way. And it is one
    /// line, as it stands in tables.
    static func words(for error: any Error) -> String {
        let words =
            switch error {
            case let error as CommandError: error.outcome
            case let error as DatabaseError: error.outcome
            default: "\(error)"
            }
        return words.withoutPlaces.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }
}

/// One Postgres on one volume: its data, its configuration and its process. Operations that change it are called one
/// at a time by one owner; ``kill()`` and ``exit`` may be called from any thread at any time.
public final class PostgresInstance: Sendable {
    public let layout: PostgresLayout
    let member: MemberName
    let logger: Logger
    /// What it says of itself, many times a second.
    let observer: Database
    /// Quick questions that somebody waits for.
    let probe: Database
    /// Statements that may last.
    let control: Database
    /// Checkpoints, which may take minutes, and must not hold up the others.
    let lengthy: Database
    /// Speaks the replication protocol, which knows one thing SQL does not.
    let identity: Database
    /// A client's kind of session, in one of the places that superusers have: statements with arguments are refused on the
    /// others (postgres.c, forbidden_in_wal_sender). Made for each use.
    let ordinary: Database
    /// Where Postgres writes its log; nil: where this process does.
    let log: String?

    let postmaster = Mutex<Postmaster?>(nil)
    /// Who is told, from other threads, what happens without having been asked for.
    public struct Listener: Sendable {
        /// The postmaster has ended although nobody stopped it.
        public var crashed: @Sendable () -> Void

        public init(crashed: @escaping @Sendable () -> Void) { self.crashed = crashed }
    }
    let listener = Mutex<Listener?>(nil)

    public func listen(_ listener: Listener) { self.listener.withLock { $0 = listener } }

    /// The postmaster has ended although nobody stopped it.
    var hasCrashed: Bool { postmaster.withLock { $0.map { $0.exit != nil && !$0.isWanted } ?? false } }

    /// It is configured to lead.
    var isLeader: Bool {
        switch written.withLock({ $0.settings?.role }) {
        case .leader: true
        case .standby, nil: false
        }
    }

    struct Written: Sendable {
        var settings: PostgresSettings?
        /// What the access rules on disk say; nil: a write of them failed, and nobody knows.
        var isOpen: Bool?
        /// What was written last, and whether Postgres has not been told since: a reload for nothing would fill its log.
        var texts: [String] = []
        var isUntold = true
    }
    /// The configuration as it is on disk. The lock is held while it is written: two writers would mix.
    let written = Mutex(Written())
    /// Whether clients are to come in. Apart from what is on disk, so that whoever says so never waits for the disk.
    private let isWantedOpen = Mutex(false)
    /// What the Postgres that runs was started as, until it has received its supervisor for the first time.
    let comingUp = Mutex<PostgresSettings.Role?>(nil)
    /// By what the Postgres that runs confirms commits, or by nobody: no process of it goes by anything else, and none counts
    /// anybody else. Nil: nobody knows.
    let confirming = Mutex<PostgresSettings.Role?>(nil)
    /// The room on the volume, and what follows from it for the configuration.
    let room = Mutex(RoomState())
    /// The last words of the Postgres that runs or ran last, for people.
    let words = Mutex<String?>(nil)
    /// The number of the data that the Postgres that runs was started on; nil: it could not be read.
    let system = Mutex<UInt64?>(nil)
    /// Which members of this leader are away, and since when.
    let absence = Mutex(SlotAbsence())
    /// Whether its log gets to the disk.
    let flushes = Mutex(FlushWatch())
    /// When its supervisor had to be let in again, last.
    let repairedAt = Mutex<Moment?>(nil)
    /// The members' password as the catalogs have it, which was set here last.
    let verifier = Mutex<String?>(nil)
    let missing = Mutex<MissingStandby?>(nil)
    private let owner: DurableFile.Owner

    /// For a question that somebody waits for. On the connection of such questions.
    static let probeDeadline = Duration.milliseconds(900)
    /// For what is asked all the time to see that Postgres lives, on a connection of its own. A question that is broken
    /// off costs Postgres a new process, so one on a computer that is busy would never come to its answer, however
    /// well it serves its clients. A Postgres gets some of them before it counts as
    /// hanging (``FailoverTimings/postgresSilenceMax``).
    static let observationDeadline = Duration.milliseconds(2500)
    static let controlDeadline = Duration.seconds(10)

    public init(
        layout: PostgresLayout, member: MemberName, port: UInt16 = PostgresSettings.portDefault,
        log: String? = nil, logger: Logger
    ) throws(SystemError) {
        self.layout = layout
        self.member = member
        self.logger = logger
        self.log = log
        owner = try layout.owner()
        let parameters = [
            ("host", layout.outside(layout.runFolder)), ("port", "\(port)"), ("user", PostgresSettings.supervisor),
            ("dbname", "postgres"), ("application_name", "roost-pg"), ("sslmode", "disable"),
            ("gssencmode", "disable"), ("options", PostgresSettings.supervisorOptions),
        ]
        // Senders have places of their own in Postgres (proc.c, InitProcess), which clients do not get: SQL is spoken on
        // such connections too, without arguments (PostgreSQL manual, 53.4).
        let sender = parameters + [("replication", "database")]
        func local(_ parameters: [(String, String)]) throws(SystemError) -> Database {
            try Database(member.text, parameters: parameters, connectDeadline: Self.controlDeadline, keepsLogin: true)
        }
        probe = try local(sender)
        observer = try local(sender)
        control = try local(sender)
        lengthy = try local(sender)
        ordinary = try local(parameters)
        identity = try local(parameters + [("replication", "true")])
    }

    var processes: PostgresProcesses {
        let running = postmaster.withLock { $0.flatMap { $0.exit == nil ? $0.pid : nil } }
        return PostgresProcesses(owner: owner.user, data: layout.outside(layout.data), postmaster: running)
    }

    // MARK: - Data

    /// A standby that begins to follow asks for the log from the beginning of a segment, however much of it it has,
    /// and confirms nothing until it has all of it once more. With Postgres's own 16 MiB that is 8 MiB on average, over
    /// an ocean, while clients wait. At 4 MiB Postgres writes as fast as at 16; at 1 MiB a bulk load is an eighth slower.
    private static let logSegmentMebibytes = 4

    /// There is a whole data folder.
    public var hasData: Bool {
        get throws(SystemError) { try layout.exists(layout.data + "/PG_VERSION") }
    }

    /// Replaces whatever is there by a new, empty database with its roles, and leaves Postgres stopped.
    public func initialize(_ secrets: MemberSecrets, within deadline: Duration) async throws(PostgresError) {
        do {
            try await destroyData()
            try await makeUnfinished()
            try await layout.command(
                "initdb",
                [
                    "--pgdata=\(layout.unfinished)", "--data-checksums", "--encoding=UTF8", "--locale=C.UTF-8",
                    "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--auth=scram-sha-256",
                    "--auth-local=peer",
                    "--username=\(PostgresSettings.supervisor)", "--no-instructions", "--sync-method=syncfs",
                    "--wal-segsize=\(Self.logSegmentMebibytes)",
                ], deadline: deadline
            ).run()
            // A server that nobody can reach: one process, its statements from standard input.
            try await layout.command(
                "postgres",
                [
                    "--single", "-j", "-D", layout.unfinished, "-c", "log_min_messages=error", "-c",
                    "password_encryption=scram-sha-256", "postgres",
                ], input: ClusterRoles.statements(secrets), deadline: deadline
            ).run()
            try await layout.move(layout.unfinished, to: layout.data)
        } catch {
            throw PostgresError("initialise the data", error)
        }
    }

    /// Stops Postgres and removes its data for good.
    func destroyData() async throws {
        await stop(.immediate, within: .seconds(1))
        try await endCopies()
        try await removeCopies()
        guard try layout.exists(layout.data) else { return }
        // Out of the way first: half a data folder must not look like one.
        try await layout.move(layout.data, to: layout.aside)
        try await removeCopies()
    }

    static let removalDeadline = Duration.seconds(300)

    func makeUnfinished() async throws {
        try layout.prepare()
        try await Command("rm", ["-rf", layout.outside(layout.unfinished)], deadline: Self.removalDeadline).run()
        guard mkdir(layout.outside(layout.unfinished), 0o700) == 0 else {
            throw SystemError("make folder", layout.unfinished)
        }
        try layout.give(layout.unfinished, mode: 0o700)
    }

    // MARK: - Configuration

    /// Says whether clients are to come in, whatever the role and through every change of it. In force after
    /// ``admit()`` or the next ``configure(_:_:)``.
    func want(open: Bool) { isWantedOpen.withLock { $0 = open } }

    /// Lets clients in or keeps them out, as ``want(open:)`` says at this moment: not as somebody heard it before, who
    /// may have waited since.
    public func admit() throws(PostgresError) {
        let isNews: Bool
        do {
            isNews = try written.withLock { written throws(SystemError) in
                let isOpen = isWantedOpen.withLock { $0 }
                guard written.isOpen != isOpen else { return written.isUntold }
                var settings = written.settings
                settings?.isOpen = isOpen
                // Not known to be done before it is done: whoever asks again after a failure must find it open still.
                written.isOpen = nil
                if let settings { try layout.write(settings.accessRules, to: layout.accessFile) }
                // These rules are other than those of the last configuration, which may come again.
                written.texts = []
                written.settings = settings
                written.isOpen = isOpen
                written.isUntold = true
                return true
            }
        } catch {
            throw PostgresError("write the access rules", error)
        }
        // The gate is set again and again, to be sure; a reload each time would fill Postgres's log.
        if isNews, isRunning { try reload() }
    }

    /// Writes everything Postgres is configured by. Takes effect with the next start or ``reload()``. Clients are let
    /// in as ``want(open:)`` last said, whatever `settings` says.
    public func configure(_ settings: PostgresSettings, _ secrets: MemberSecrets) throws(PostgresError) {
        do {
            try written.withLock { written throws(SystemError) in
                var settings = settings
                settings.isOpen = isWantedOpen.withLock { $0 }
                settings.isReadOnly = room.withLock { $0.keeping.isFull }
                settings.temporaryMax = VolumeRoom(ofVolume: layout.outside(layout.volume))
                    .map { RoomKeeping.temporaryMax($0) }
                let texts = [
                    secrets.replicationPassword, settings.identityMap, settings.accessRules,
                    settings.configuration(layout), "\(settings.role)",
                ]
                let isOther = texts != written.texts || !isEmpty(layout.data + "/postgresql.auto.conf")
                written.isOpen = nil
                if isOther { (written.texts, written.isUntold) = (texts, true) }
                try write(settings, secrets)
                written.settings = settings
                written.isOpen = settings.isOpen
            }
        } catch {
            throw PostgresError("configure Postgres", error)
        }
    }

    /// As the other, on a thread of its own: it flushes several files, and tasks do not wait for the disk. In their code
    /// the compiler takes this one.
    public func configure(_ settings: PostgresSettings, _ secrets: MemberSecrets) async throws(PostgresError) {
        try await BlockingCall.run { () throws(PostgresError) in try self.configure(settings, secrets) }
    }

    private func write(_ settings: PostgresSettings, _ secrets: MemberSecrets) throws(SystemError) {
        try layout.prepare()
        // The first of all, for a standby that is to follow no more: see stopFollowing.
        switch settings.role {
        case .standby(.some): try writePassword(secrets)
        case .standby(nil), .leader: try layout.remove(layout.passwordFile)
        }
        // Every start of Postgres comes after a configuration: none of these has to be there after a power loss.
        try layout.keep(settings.identityMap, in: layout.identFile)
        try layout.keep(settings.accessRules, in: layout.accessFile)
        try layout.keep(settings.configuration(layout), in: layout.configFile)
        // Of a version that ended TLS here, and whose configuration named them until now.
        for file in layout.formerFiles { try layout.remove(file) }
        guard try hasData else { return }
        // It outranks the configuration file, and pg_basebackup brings the leader's.
        try makeEmpty(layout.data + "/postgresql.auto.conf")
        let mark = layout.data + "/standby.signal"
        switch settings.role {
        // While Postgres runs, promotion removes the mark itself.
        case .leader: if !isRunning { try layout.remove(mark) }
        case .standby: try makeEmpty(mark)
        }
    }

    /// These two are on the volume, which may be full: what is as it should be is left alone.
    private func makeEmpty(_ path: String) throws(SystemError) {
        if !isEmpty(path) { try layout.write("", to: path) }
    }

    /// There, and nothing in it.
    private func isEmpty(_ path: String) -> Bool {
        var facts = stat()
        return stat(layout.outside(path), &facts) == 0 && facts.st_size == 0
    }

    @available(*, noasync, message: "it waits for the disk; use a BlockingCall")
    func writePassword(_ secrets: MemberSecrets) throws(SystemError) {
        var escaped = ""
        for letter in secrets.replicationPassword {
            if letter == ":" || letter == "\\" { escaped.append("\\") }
            escaped.append(letter)
        }
        try layout.keep("*:*:*:\(PostgresSettings.replicator):\(escaped)\n", in: layout.passwordFile)
    }
}
