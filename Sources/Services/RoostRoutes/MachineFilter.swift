import RoostAPI
import RoostControl
import RoostModel

/// What a list of machines is narrowed to.
struct MachineFilter {
    /// Without the machine's config and events.
    var isSummary: Bool
    var includesDeleted: Bool
    /// Rather none than one that may lack some.
    var isWhole: Bool
    private var regions: Set<RegionCode>?
    private var states: Set<MachineState>?
    private var metadata: [(name: String, value: String)]

    static let metadataPrefix = "metadata."
    static let query = ["include_deleted", "region", "state", "summary", "whole", metadataPrefix]

    init(_ query: APIQuery, in view: PlanetView) throws(Refusal) {
        isSummary = try query.flag("summary")
        includesDeleted = try query.flag("include_deleted")
        isWhole = try query.flag("whole")
        let regions = query.list("region")
        if !regions.isEmpty {
            var codes: Set<RegionCode> = []
            for text in regions { codes.insert(try view.region(text)) }
            self.regions = codes
        }
        let states = query.list("state")
        if !states.isEmpty { self.states = Set(try MachineState.named(states)) }
        metadata = query.beginning(Self.metadataPrefix)
    }

    func accepts(_ region: RegionCode, _ state: MachineState, _ config: MachineConfig) -> Bool {
        if let regions, !regions.contains(region) { return false }
        if let states, !states.contains(state) { return false }
        return metadata.allSatisfy { config.metadata[$0.name] == $0.value }
    }
}

extension MachineState {
    /// States by their names.
    static func named(_ names: [String]) throws(Refusal) -> [MachineState] {
        var states: [MachineState] = []
        for name in names {
            guard let state = MachineState(known: name) else {
                throw Refusal(
                    .invalid,
                    "'\(name.prefix(80))' is not a machine state; use one of \(MachineState.known.map(\.rawValue).joined(separator: ", "))"
                )
            }
            states.append(state)
        }
        return states
    }
}
