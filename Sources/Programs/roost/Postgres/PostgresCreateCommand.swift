import ArgumentParser
import RoostClient
import RoostModel
import RoostWire

struct PostgresCreateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Create a cluster and wait until it is ready.",
        discussion: """
            Say what it is to survive, --survive host or --survive region, and --home, the region that it is to be led from: \
            then it has three members, and the hosts' regions and distances say where. Or say where they are to be: the \
            primary begins in --region, and there is one replica for each --replica-region. A commit is \
            confirmed when the primary and half of all members, rounded down, have it on disk: with two replicas, any \
            one of them.

            What has been begun is finished by the hosts, also if this command is interrupted.
            """)

    @Argument(help: "The cluster's name.", transform: { try PostgresNames.cluster($0) })
    var name: AppName

    @Option(help: "The primary's region.", transform: { try RegionCode($0) })
    var region: RegionCode?

    @Option(help: .init("A replica's region; may be repeated.", valueName: "region"), transform: { try RegionCode($0) })
    var replicaRegion: [RegionCode] = []

    @Option(
        help: .init(
            "So many readers in this region, which follow a standby and serve reads, beside the members; may be repeated.",
            valueName: "region=count"), transform: { try RegionCount($0, max: ClusterSpec.readersMax) })
    var readerRegion: [RegionCount] = []

    @Option(
        help: .init(
            "In place of regions: the loss of any one host, or of any one region, loses no confirmed commit, and stops none "
                + "for longer than a failover: host or region.",
            valueName: "goal"), completion: SurvivalGoal.completion, transform: { try Self.goal($0) })
    var survive: SurvivalGoal?

    @Option(help: "With --survive: the region that it is to be led from.", transform: { try RegionCode($0) })
    var home: RegionCode?

    @Option(help: .init("The size of each member's volume, in GB (else 1).", valueName: "gb"))
    var volumeSize: Int?

    @Option(help: "Virtual CPUs of each member (else \(CreateClusterRequest.guestDefault.cpus)).")
    var cpus: Int?

    @Option(
        help: .init(
            "Memory of each member, in MiB (else \(CreateClusterRequest.guestDefault.memoryMebibytes)).",
            valueName: "mib"))
    var memory: Int?

    @Option(help: "The members' image (else the hosts' own).")
    var image: String?

    @Option(
        help: .init(
            "When a member whose host stays lost is replaced by another: after so long, at least 10s, or never (else 10m).",
            valueName: "duration"), transform: { try ReplacementTerm($0) })
    var replaceAfter: ReplacementTerm?

    @Option(help: "How long it may take to be ready, for example 5m (else 300 s).", transform: { try timeLimit($0) })
    var timeout = DurationText(.seconds(300))

    @OptionGroup var global: GlobalOptions
    @OptionGroup var output: OutputOptions

    mutating func validate() throws {
        if survive == nil {
            guard home == nil else { throw ValidationError("--home comes with --survive host or --survive region") }
            guard region != nil else {
                throw ValidationError(
                    "Say where, --region REGION, or what it is to survive: --survive host --home REGION")
            }
        } else {
            guard region == nil, replicaRegion.isEmpty else {
                throw ValidationError("--survive says where members are: leave out --region and --replica-region")
            }
            guard home != nil else { throw ValidationError("Say where it is to be led from: --home REGION") }
        }
        guard Set(readerRegion.map(\.region)).count == readerRegion.count else {
            throw ValidationError("--reader-region names a region twice")
        }
        let sizes = VolumeRecord.gibibytes
        if let volumeSize, !sizes.contains(volumeSize) {
            throw ValidationError("--volume-size is from \(sizes.lowerBound) to \(sizes.upperBound) GB")
        }
        if let cpus, cpus < 1 { throw ValidationError("--cpus is at least 1") }
        if let memory, memory < 1 { throw ValidationError("--memory is at least 1 MiB") }
    }

    func run() async throws {
        let request = request
        let planet = try Roostds.find(global)
        let advice = """
            The hosts go on making cluster \(name). See it: roost pg status \(name)
            Take it back: roost pg destroy \(name)
            """
        let cluster = try await interruptible(advice: advice) {
            try await Progress.show("creating cluster \(name)") { progress in
                let operation: PlanetOperationID?
                do {
                    operation = try await planet.ask { try await $0.beginCluster(request) }
                } catch let error as APIError where error.isNameTaken {
                    throw await Self.taken(name, on: planet)
                }
                return try await PostgresWait.until(
                    "is ready", name, on: planet, seeing: operation, orElse: "was not made",
                    timeout: timeout.duration, progress: progress, advice: advice
                ) { cluster in
                    cluster.status == .ready && cluster.missing == nil
                        && (cluster.readers ?? []).allSatisfy(\.isServing)
                }
            }
        }
        try output.show(try AuthorityFile.trusting(cluster)) {
            $0.report + "\n\nConnect with:  roost pg connect \($0.name)"
        }
    }

    /// Clusters are apps, and not every app is a cluster.
    private static func taken(_ name: AppName, on planet: Roostds) async -> CommandFailure {
        let kind: String
        do {
            _ = try await planet.ask { try await $0.cluster(name) }
            kind = "a cluster"
        } catch let error as APIError where error.isNotFound {
            return CommandFailure(
                "there is an app '\(name)' already, which is no cluster",
                advice: "See it: roost apps show \(name)   Or take another name.")
        } catch {
            kind = "a cluster or an app"
        }
        return CommandFailure(
            "there is \(kind) '\(name)' already",
            advice: "See it: roost pg status \(name)   Or take another name.")
    }

    private static func goal(_ text: String) throws -> SurvivalGoal {
        guard let goal = SurvivalGoal(known: text) else {
            throw ValidationError("'\(text)' is neither host nor region")
        }
        return goal
    }

    private var request: CreateClusterRequest {
        var request = requestForMembers
        let readers = readerRegion.map { ($0.region.text, $0.count) }
        request.readerRegions = readers.isEmpty ? nil : Dictionary(uniqueKeysWithValues: readers)
        return request
    }

    private var requestForMembers: CreateClusterRequest {
        var guest: MachineGuest?
        if cpus != nil || memory != nil {
            let standard = CreateClusterRequest.guestDefault
            guest = MachineGuest(cpus: cpus ?? standard.cpus, memoryMebibytes: memory ?? standard.memoryMebibytes)
        }
        if let survive, let home {
            return CreateClusterRequest(
                name: name.text, survive: survive, home: home.text, volumeSizeGigabytes: volumeSize, guest: guest,
                image: image, replaceAfter: replaceAfter?.description)
        }
        return CreateClusterRequest(
            name: name.text, region: region?.text ?? "", replicaRegions: replicaRegion.map(\.text),
            volumeSizeGigabytes: volumeSize, guest: guest, image: image, replaceAfter: replaceAfter?.description)
    }
}

extension APIError {
    var isNameTaken: Bool {
        guard case .refused(_, let body) = cause else { return false }
        return body.status == .nameTaken
    }
}
