import RoostModel

/// Paths of Fly.io's Machines API that Roost does not serve yet: they answer 501, everything else unknown 404.
enum FlyPaths {
    private static let unserved: [(method: String?, pattern: String)] = [
        (nil, "/v1/apps/*/certificates"), (nil, "/v1/apps/*/certificates/**"), (nil, "/v1/apps/*/deploy_token"),
        (nil, "/v1/apps/*/ip_assignments"), (nil, "/v1/apps/*/ip_assignments/*"),
        ("POST", "/v1/apps/*/machines/*"),
        (nil, "/v1/apps/*/machines/*/cordon"), (nil, "/v1/apps/*/machines/*/uncordon"),
        (nil, "/v1/apps/*/machines/*/lease"), (nil, "/v1/apps/*/machines/*/memory"),
        (nil, "/v1/apps/*/machines/*/memory/*"), (nil, "/v1/apps/*/machines/*/metadata"),
        (nil, "/v1/apps/*/machines/*/metadata/*"), (nil, "/v1/apps/*/machines/*/ps"),
        (nil, "/v1/apps/*/machines/*/signal"), (nil, "/v1/apps/*/machines/*/suspend"),
        (nil, "/v1/apps/*/machines/*/versions"), (nil, "/v1/apps/*/secretkeys"), (nil, "/v1/apps/*/secretkeys/**"),
        (nil, "/v1/apps/*/secrets"), (nil, "/v1/apps/*/secrets/*"), ("PUT", "/v1/apps/*/volumes/*"),
        (nil, "/v1/apps/*/volumes/*/extend"), (nil, "/v1/apps/*/volumes/*/snapshots"), (nil, "/v1/orgs/**"),
        (nil, "/v1/platform/placements"), (nil, "/v1/tokens/**"),
        (nil, "/v1/postgres/*/attachments"), (nil, "/v1/postgres/*/attachments/*"), (nil, "/v1/postgres/*/backups"),
        (nil, "/v1/postgres/*/databases"), (nil, "/v1/postgres/*/databases/**"), (nil, "/v1/postgres/*/fork"),
        (nil, "/v1/postgres/*/restore"), (nil, "/v1/postgres/*/queries/*"), (nil, "/v1/postgres/*/users"),
        (nil, "/v1/postgres/*/users/**"),
    ]

    /// What is said of a path that no route serves.
    static func refusal(method: String, path: String) -> Refusal {
        let isFlys = unserved.contains { entry in
            (entry.method == nil || entry.method == method) && matches(path, entry.pattern)
        }
        return isFlys
            ? Refusal(
                .notImplemented, "\(method) \(path) is part of the Machines API that Roost does not serve yet")
            : Refusal(.notFound, "\(method) \(path) not found")
    }

    static func matches(_ path: String, _ pattern: String) -> Bool {
        let parts = path.split(separator: "/")
        let wanted = pattern.split(separator: "/")
        for (index, want) in wanted.enumerated() {
            if want == "**" { return parts.count > index }
            guard index < parts.count, want == "*" || want == parts[index] else { return false }
        }
        return parts.count == wanted.count
    }
}
