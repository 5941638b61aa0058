import ArgumentParser
import RoostClient
import RoostModel
import RoostWire

struct PostgresMemberCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "member", abstract: "Have members of a cluster come and go while it runs.",
        subcommands: [
            PostgresMemberAddCommand.self, PostgresMemberRemoveCommand.self, PostgresMemberReplaceCommand.self,
            PostgresMemberMoveCommand.self,
        ])
}

struct PostgresMemberAddCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Add a member to a cluster.",
        discussion: """
            It copies what the leader has, and counts once it follows. It goes on when this command is interrupted; take \
            it back with: roost pg scale NAME --cancel
            """)

    @Argument(help: "The cluster's name.", transform: { try PostgresNames.cluster($0) })
    var name: AppName

    @OptionGroup var place: MemberPlaceOptions
    @OptionGroup var wait: MemberWaitOptions
    @OptionGroup var global: GlobalOptions
    @OptionGroup var output: OutputOptions

    mutating func validate() throws {
        if place.isEmpty { throw ValidationError("Say where: --region REGION or --host HOST") }
    }

    func run() async throws {
        try await MembersWait.run("adding a member to \(name)", name, wait.timeout, global, output) {
            client async throws(APIError) in
            try await client.addMember(to: name, place.body)
        }
    }
}

struct PostgresMemberRemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Remove a member, with its machine and its volume.",
        discussion: "Not the leader: make another one the leader first, with roost pg switchover NAME.")

    @Argument(help: "The cluster's name.", transform: { try PostgresNames.cluster($0) })
    var name: AppName

    @Argument(help: "The member's name.", transform: { try MemberName($0) })
    var member: MemberName

    @OptionGroup var confirmation: ConfirmationOptions
    @OptionGroup var wait: MemberWaitOptions
    @OptionGroup var global: GlobalOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try confirmation.confirm("Remove \(member) from \(name), with all that is on its volume?")
        try await MembersWait.run("removing \(member)", name, wait.timeout, global, output) {
            client async throws(APIError) in
            try await client.removeMember(member, from: name)
        }
    }
}

struct PostgresMemberReplaceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replace", abstract: "Add a member, then remove another, whose host may be lost.",
        discussion: "The new one is in the region of the old one, where nothing else is said.")

    @Argument(help: "The cluster's name.", transform: { try PostgresNames.cluster($0) })
    var name: AppName

    @Argument(help: "The member that goes.", transform: { try MemberName($0) })
    var member: MemberName

    @OptionGroup var place: MemberPlaceOptions
    @OptionGroup var confirmation: ConfirmationOptions
    @OptionGroup var wait: MemberWaitOptions
    @OptionGroup var global: GlobalOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try confirmation.confirm("Replace \(member), and remove all that is on its volume?")
        try await MembersWait.run("replacing \(member)", name, wait.timeout, global, output) {
            client async throws(APIError) in
            try await client.replaceMember(member, of: name, place.body)
        }
    }
}

struct PostgresMemberMoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "move", abstract: "Have a member somewhere else: another one comes there, then this one goes.",
        discussion: """
            Its data is copied from the leader, under a new name. A leader does not move: make another one the leader first, \
            with roost pg switchover NAME.
            """)

    @Argument(help: "The cluster's name.", transform: { try PostgresNames.cluster($0) })
    var name: AppName

    @Argument(help: "The member that is to be elsewhere.", transform: { try MemberName($0) })
    var member: MemberName

    @OptionGroup var place: MemberPlaceOptions
    @OptionGroup var confirmation: ConfirmationOptions
    @OptionGroup var wait: MemberWaitOptions
    @OptionGroup var global: GlobalOptions
    @OptionGroup var output: OutputOptions

    mutating func validate() throws {
        if place.isEmpty { throw ValidationError("Say where to: --host HOST or --region REGION") }
    }

    func run() async throws {
        let planet = try Roostds.find(global)
        let cluster = try await planet.ask { try await $0.cluster(name) }
        // One that is to go is not there to stay: what is asked for then, its cluster answers.
        if let present = cluster.members.first(where: { $0.name == member }), place.isMet(by: present),
            !cluster.isRemoving(present)
        {
            return try output.show(try AuthorityFile.trusting(cluster)) { _ in "\(member) is there already." }
        }
        try confirmation.confirm("Move \(member), and remove all that is on the volume that it has now?")
        try await MembersWait.run("moving \(member)", name, wait.timeout, global, output) {
            client async throws(APIError) in
            try await client.replaceMember(member, of: name, place.body)
        }
    }
}

struct PostgresScaleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scale", abstract: "Say how many members a cluster has in which regions.",
        discussion: """
            Members come first, then others go, one after the other. Regions that are not named keep theirs. It goes on \
            when this command is interrupted; said again, the command watches what is under way.

            Readers are no members: they follow a standby and serve reads, confirm nothing and never lead.
            """)

    @Argument(help: "The cluster's name.", transform: { try PostgresNames.cluster($0) })
    var name: AppName

    @Option(
        name: .customLong("region"),
        help: .init("So many members in this region; may be repeated.", valueName: "region=count"),
        transform: { try RegionCount($0) })
    var regions: [RegionCount] = []

    @Option(
        name: .customLong("readers"),
        help: .init("So many readers in this region; may be repeated.", valueName: "region=count"),
        transform: { try RegionCount($0, max: ClusterSpec.readersMax) })
    var readers: [RegionCount] = []

    @Flag(help: "Take back what is left of a change of members that is under way.")
    var cancel = false

    @OptionGroup var confirmation: ConfirmationOptions
    @OptionGroup var wait: MemberWaitOptions
    @OptionGroup var global: GlobalOptions
    @OptionGroup var output: OutputOptions

    mutating func validate() throws {
        if cancel {
            guard regions.isEmpty, readers.isEmpty else { throw ValidationError("--cancel takes back the whole of it") }
            return
        }
        if regions.isEmpty, readers.isEmpty {
            throw ValidationError("Say how many members where: --region iad=2, or readers: --readers iad=2")
        }
        for counts in [regions, readers] {
            guard Set(counts.map(\.region)).count == counts.count else {
                throw ValidationError("A region is named twice")
            }
        }
    }

    func run() async throws {
        if cancel {
            let planet = try Roostds.find(global)
            let isTakenBack = try await planet.ask { try await $0.cancelChange(of: name) }
            if isTakenBack == false {
                Terminal.say("No change of members of \(name) is under way: nothing is changed.")
            }
            let cluster = try await planet.ask { try await $0.cluster(name) }
            return try output.show(try AuthorityFile.trusting(cluster)) { $0.report }
        }
        try confirmation.confirm("Those that are too many are removed, with all that is on their volumes. Go on?")
        let counts = Dictionary(uniqueKeysWithValues: regions.map { ($0.region.text, $0.count) })
        var cluster: ClusterBody?
        if !counts.isEmpty {
            cluster = try await MembersWait.run("changing the members of \(name)", name, wait.timeout, global) {
                client async throws(APIError) in
                try await client.scale(name, to: counts)
            }
        }
        let readerCounts = Dictionary(uniqueKeysWithValues: readers.map { ($0.region.text, $0.count) })
        if !readerCounts.isEmpty {
            cluster = try await ReadersWait.run("changing the readers of \(name)", name, wait.timeout, global) {
                client async throws(APIError) in
                try await client.scaleReaders(name, to: readerCounts)
            }
        }
        if let cluster { try output.show(try AuthorityFile.trusting(cluster)) { $0.report } }
    }
}

extension ClusterBody {
    /// It is being removed, or is the next to be.
    fileprivate func isRemoving(_ member: MemberBody) -> Bool {
        if member.state == "leaving" { return true }
        guard let change, change.refusal == nil else { return false }
        return change.left.contains { $0.kind == .remove && $0.member == member.name }
    }
}

/// `iad=2`
struct RegionCount: Sendable {
    var region: RegionCode
    var count: Int

    init(_ text: String, max most: Int = PostgresNames.membersMax) throws {
        let parts = text.split(separator: "=", omittingEmptySubsequences: false)
        guard parts.count == 2, let count = Int(parts[1]), (0...most).contains(count) else {
            throw ValidationError("'\(text)' is not a region and a number from 0 to \(most): iad=2")
        }
        region = try RegionCode(String(parts[0]))
        self.count = count
    }
}

struct MemberPlaceOptions: ParsableArguments {
    @Option(help: "The region that it is to be in.", transform: { try RegionCode($0) })
    var region: RegionCode?

    @Option(help: "The host that it is to be on, and no other.", transform: { try HostName($0) })
    var host: HostName?

    var isEmpty: Bool { region == nil && host == nil }

    /// One without a place is nowhere yet.
    func isMet(by member: MemberBody) -> Bool {
        if let region, region != member.region { return false }
        return host.map { $0 == member.host } ?? true
    }
    var body: AddMemberBody { AddMemberBody(region: region?.text, host: host?.text) }
}

struct MemberWaitOptions: ParsableArguments {
    @Option(help: "How long it may take, for example 10m (else 600 s).", transform: { try timeLimit($0) })
    var timeout = DurationText(.seconds(600))
}

/// Asks for other members, and waits until the cluster has them.
enum MembersWait {
    static func run(
        _ what: String, _ name: AppName, _ timeout: DurationText, _ global: GlobalOptions, _ output: OutputOptions,
        _ request: @escaping @Sendable (RoostAPIClient) async throws(APIError) -> ChangeAnswer
    ) async throws {
        let cluster = try await run(what, name, timeout, global, request)
        try output.show(try AuthorityFile.trusting(cluster)) { $0.report }
    }

    static func run(
        _ what: String, _ name: AppName, _ timeout: DurationText, _ global: GlobalOptions,
        _ request: @escaping @Sendable (RoostAPIClient) async throws(APIError) -> ChangeAnswer
    ) async throws -> ClusterBody {
        let planet = try Roostds.find(global)
        let advice =
            "It goes on by itself. See it: roost pg status \(name); take back what is left: roost pg scale \(name) --cancel"
        return try await interruptible(advice: advice) {
            try await Progress.show(what) { try await until(planet, name, timeout, $0, request) }
        }
    }

    private static func until(
        _ planet: Roostds, _ name: AppName, _ timeout: DurationText, _ progress: Progress,
        _ request: @escaping @Sendable (RoostAPIClient) async throws(APIError) -> ChangeAnswer
    ) async throws -> ClusterBody {
        let answer = try await planet.ask { try await request($0) }
        guard let id = answer.id else {
            Terminal.say("\(name) has the members that are asked for: nothing is changed.")
            return try await planet.ask { try await $0.cluster(name) }
        }
        return try await PostgresWait.until(
            "has the members that were asked for", name, on: planet, seeing: try? PlanetOperationID(id),
            orElse: "has not the members that were asked for", timeout: timeout.duration, progress: progress,
            advice: "Who waits for what: roost pg status \(name)"
        ) { cluster in
            guard let change = cluster.change, change.id == id else { return false }
            if let refusal = change.refusal {
                throw CommandFailure(
                    "\(name) has not the members that were asked for: \(refusal)",
                    advice: "See it: roost pg status \(name)")
            }
            // Who asks for the next change at once is not refused because this one is not confirmed by yet.
            return change.left.isEmpty && !cluster.members.contains { $0.state == "leaving" } && cluster.isServing
        }
    }
}
