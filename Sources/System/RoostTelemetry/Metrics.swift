/// Every number that a host tells. Labels have few values, or those of things that a host has few of; nothing that a
/// client chooses is a label's value.
extension Metric {
    /// All of them, in the order of the page that describes them.
    public static let all: [Metric] = [
        buildInfo, startTime, machines, machineEvents, machineLaunch, machineStartStep, machineAttach, volumes,
        volumeMount, apiCalls, apiDuration, storeLive, storeCalls, storeDuration, storeWatchLag, meshPeerUp,
        meshPeerRoundTrip, meshPeerLoss, dutyHeld, planSteps, memberUp, memberLeads, memberLagBytes, memberLag,
        leaseLosses, edgeSessions, edgeAccepted, edgeEstablished, edgeRefused, edgeCut, edgeAttemptsFailed,
        edgeShortages, edgeListenersMissing,
    ]

    // The program.

    /// Always 1; its labels say what runs.
    public static let buildInfo = Metric(
        "roost_build_info", .gauge, "Always 1: which version runs, of which host.",
        labels: ["version", "host", "region"])
    /// When `roostd` was started.
    public static let startTime = Metric(
        "roost_start_time_seconds", .gauge, "When roostd was started, in seconds since 1970.")

    // Machines and volumes.

    /// Machines by what they are.
    public static let machines = Metric(
        "roost_machines", .gauge, "Machines of this host by state.", labels: ["state"])
    /// What became of machines.
    public static let machineEvents = Metric(
        "roost_machine_events_total", .counter, "What happened to machines: launch, start, exit, failure and others.",
        labels: ["event"])
    /// From the first step of a launch to the running program.
    public static let machineLaunch = Metric(
        "roost_machine_launch_seconds", .histogram,
        "A machine's launch, from its first step to the running program; without waiting for a place.",
        labels: ["result"])
    /// Where the time of a start goes.
    public static let machineStartStep = Metric(
        "roost_machine_start_step_seconds", .histogram,
        "The steps of a machine's start: place, volumes, image, attach and (beside it) prepare, create, enter, record.",
        labels: ["step"])
    /// The making of a machine's network.
    public static let machineAttach = Metric(
        "roost_machine_attach_seconds", .histogram, "The making of a machine's network namespace and link.")
    /// Volumes by what they are.
    public static let volumes = Metric("roost_volumes", .gauge, "Volumes of this host by state.", labels: ["state"])
    /// The mounting of a volume.
    public static let volumeMount = Metric(
        "roost_volume_mount_seconds", .histogram, "The mounting of a volume, with the check of its file system.")

    // The API.

    /// Calls by what they asked for and what they got.
    public static let apiCalls = Metric(
        "roost_api_calls_total", .counter,
        "Calls of the API by method, route (none: there is no such path) and HTTP status.",
        labels: ["method", "route", "status"])
    /// How long calls took.
    public static let apiDuration = Metric(
        "roost_api_call_seconds", .histogram, "How long calls of the API took, waits included.",
        labels: ["method", "route"])

    // The store.

    /// Whether the store is heard.
    public static let storeLive = Metric(
        "roost_store_live", .gauge, "1 while this host hears the store, 0 while it goes on with its copy.")
    /// What was asked of the store.
    public static let storeCalls = Metric(
        "roost_store_calls_total", .counter,
        "What was asked of the store, by operation and result: ok, refused (a compare was false) or the error's code.",
        labels: ["operation", "result"])
    /// How long the store took.
    public static let storeDuration = Metric(
        "roost_store_call_seconds", .histogram, "How long the store took to answer.", labels: ["operation"])
    /// How far the watch is behind.
    public static let storeWatchLag = Metric(
        "roost_store_watch_lag_seconds", .histogram,
        "From the store's yes to a change of this host until the host's own watch brings the change.")

    // The mesh.

    /// Whether a peer answers.
    public static let meshPeerUp = Metric(
        "roost_mesh_peer_up", .gauge, "1 for a host that answered probes of late, 0 for one that did not.",
        labels: ["peer"])
    /// The distance to a peer.
    public static let meshPeerRoundTrip = Metric(
        "roost_mesh_peer_rtt_seconds", .gauge, "The smoothed round trip to a host.", labels: ["peer"])
    /// What is lost on the way to a peer.
    public static let meshPeerLoss = Metric(
        "roost_mesh_peer_loss_ratio", .gauge, "The part of recent probes to a host that were not answered, 0 to 1.",
        labels: ["peer"])

    // The control plane.

    /// Whether this host has a duty.
    public static let dutyHeld = Metric(
        "roost_duty_held", .gauge, "1 on the host that has the duty; of all hosts one has it.", labels: ["duty"])
    /// Steps of plans.
    public static let planSteps = Metric(
        "roost_plan_steps_total", .counter, "Steps of plans that this host carried out, by result: ok or failed.",
        labels: ["kind", "step", "result"])

    // Members of Postgres clusters.

    /// Whether a member runs.
    public static let memberUp = Metric(
        "roost_member_up", .gauge, "1 while the Postgres of a member on this host runs and follows or leads.",
        labels: ["cluster", "member"])
    /// Whether a member leads.
    public static let memberLeads = Metric(
        "roost_member_leads", .gauge, "1 for the member on this host that leads its cluster, 0 for the others.",
        labels: ["cluster", "member"])
    /// How far a member is behind, in bytes.
    public static let memberLagBytes = Metric(
        "roost_member_lag_bytes", .gauge, "Log that a standby on this host lacks; absent where nobody knows.",
        labels: ["cluster", "member"])
    /// How far a member is behind, in time.
    public static let memberLag = Metric(
        "roost_member_lag_seconds", .gauge, "How old what a standby on this host shows is.",
        labels: ["cluster", "member"])
    /// Leaders that had to be killed.
    public static let leaseLosses = Metric(
        "roost_lease_losses_total", .counter,
        "Leaders on this host whose lease ran out without their stopping; their machines were killed.")

    // The edge.

    /// Connections at the edge by what they do.
    public static let edgeSessions = Metric(
        "roost_edge_sessions", .gauge, "Client connections at this edge: relaying, held, or other.", labels: ["state"])
    /// Connections accepted.
    public static let edgeAccepted = Metric("roost_edge_accepted_total", .counter, "Connections accepted.")
    /// Sessions that reached a member.
    public static let edgeEstablished = Metric(
        "roost_edge_established_total", .counter, "Sessions that reached a member.")
    /// Connections refused.
    public static let edgeRefused = Metric(
        "roost_edge_refused_total", .counter, "Connections answered with an error of the edge's own.")
    /// Sessions cut.
    public static let edgeCut = Metric(
        "roost_edge_cut_total", .counter, "Sessions cut because their cluster's leader changed.")
    /// Attempts that came to nothing.
    public static let edgeAttemptsFailed = Metric(
        "roost_edge_attempts_failed_total", .counter, "Attempts to reach a member that came to nothing.")
    /// What ran out.
    public static let edgeShortages = Metric(
        "roost_edge_shortages_total", .counter, "Times that the edge was out of ports, files or memory.")
    /// Doors that are shut.
    public static let edgeListenersMissing = Metric(
        "roost_edge_listeners_missing", .gauge, "Listeners that should be open and are not.")
}
