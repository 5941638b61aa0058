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

    @OptionGroup var change: ChangeOptions

    @OptionGroup var place: MemberPlaceOptions

    mutating func validate() throws {
        if place.isEmpty { throw ValidationError("Say where: --region REGION or --host HOST") }
    }

    func run() async throws {
        try await change.show("adding a member to \(change.name)") { client, name async throws(APIError) in
            try await client.addMember(to: name, place.body)
        }
    }
}

struct PostgresMemberRemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Remove a member, with its machine and its volume.",
        discussion: "Not the leader: make another one the leader first, with roost pg switchover NAME.")

    @OptionGroup var change: ChangeOptions

    @Argument(help: "The member's name.", transform: { try MemberName($0) })
    var member: MemberName

    @OptionGroup var confirmation: ConfirmationOptions

    func run() async throws {
        try confirmation.confirm("Remove \(member) from \(change.name), with all that is on its volume?")
        try await change.show("removing \(member)") { client, name async throws(APIError) in
            try await client.removeMember(member, from: name)
        }
    }
}

struct PostgresMemberReplaceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replace", abstract: "Add a member, then remove another, whose host may be lost.",
        discussion: "The new one is in the region of the old one, where nothing else is said.")

    @OptionGroup var change: ChangeOptions

    @Argument(help: "The member that goes.", transform: { try MemberName($0) })
    var member: MemberName

    @OptionGroup var place: MemberPlaceOptions
    @OptionGroup var confirmation: ConfirmationOptions

    func run() async throws {
        try confirmation.confirm("Replace \(member), and remove all that is on its volume?")
        try await change.show("replacing \(member)") { client, name async throws(APIError) in
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

    @OptionGroup var change: ChangeOptions

    @Argument(help: "The member that is to be elsewhere.", transform: { try MemberName($0) })
    var member: MemberName

    @OptionGroup var place: MemberPlaceOptions
    @OptionGroup var confirmation: ConfirmationOptions

    mutating func validate() throws {
        if place.isEmpty { throw ValidationError("Say where to: --host HOST or --region REGION") }
    }

    func run() async throws {
        let (planet, name) = (try Roostds.find(change.global), change.name)
        let cluster = try await planet.ask { try await $0.cluster(name) }
        // One that is to go is not there to stay: what is asked for then, its cluster answers.
        if let present = cluster.members.first(where: { $0.name == member }), place.isMet(by: present),
            !cluster.isRemoving(present)
        {
            return try change.show(cluster) { _ in "\(member) is there already." }
        }
        try confirmation.confirm("Move \(member), and remove all that is on the volume that it has now?")
        try await change.show("moving \(member)") { client, name async throws(APIError) in
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

    @OptionGroup var change: ChangeOptions

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
        if cancel { return try await takeBack(change.name) }
        try confirmation.confirm("Those that are too many are removed, with all that is on their volumes. Go on?")
        var cluster: ClusterBody?
        if !regions.isEmpty {
            let counts = Dictionary(uniqueKeysWithValues: regions.map { ($0.region.text, $0.count) })
            cluster = try await change.members("changing the members of \(change.name)") {
                client, name async throws(APIError) in try await client.scale(name, to: counts)
            }
        }
        if !readers.isEmpty {
            let counts = Dictionary(uniqueKeysWithValues: readers.map { ($0.region.text, $0.count) })
            cluster = try await change.readers("changing the readers of \(change.name)") {
                client, name async throws(APIError) in try await client.scaleReaders(name, to: counts)
            }
        }
        if let cluster { try change.show(cluster) }
    }

    private func takeBack(_ name: AppName) async throws {
        let planet = try Roostds.find(change.global)
        let isTakenBack = try await planet.ask { try await $0.cancelChange(of: name) }
        if isTakenBack == false {
            Terminal.say("No change of members of \(name) is under way: nothing is changed.")
        }
        try change.show(try await planet.ask { try await $0.cluster(name) })
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
