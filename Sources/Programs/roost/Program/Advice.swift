import RoostClient
import RoostWire

/// What a person can do about an answer of the API.
enum Advice {
    static func after(_ error: APIError) -> String? {
        switch error.cause {
        case .unreachable:
            "Start roostd there, or say where another one is: --api URL, --lab NAME, or ROOST_API."
        case .unanswered:
            "Look what is there now ('list', 'show' or 'status') before you try again."
        case .unreadable:
            "Check that --api points at a roostd of the same version ('roost --version')."
        case .cancelled: nil
        case .refused(let status, let body):
            refused(
                status, error, capacity: body.status == .insufficientCapacity, missing: family(ofMissing: body.error))
        }
    }

    private static func refused(_ status: Int, _ error: APIError, capacity: Bool, missing: String?) -> String? {
        switch status {
        case 401, 403: "Give the planet's token with --token-file, --token or ROOST_TOKEN, or use its socket as root."
        case 404:
            "See what there is: roost "
                + (missing.map { "\($0) list" } ?? cluster(ofMissingMember: error.operation).map { "pg status \($0)" }
                    ?? "\(family(of: error.operation)) list")
        // Who only asked has not wondered whether anything was changed.
        case 503 where !capacity && error.operation.hasPrefix("GET "):
            "Try again, or see 'roost hosts list' for what is away."
        case 503 where !capacity: "Nothing was changed. Try again, or see 'roost hosts list' for what is away."
        case 504: "Nobody knows yet whether it was done: look with 'list' or 'status' before you try again."
        default: capacity ? "See 'roost hosts list' for what is free where." : nil
        }
    }

    /// Of a call about a member: the list of clusters does not show them, and their cluster does.
    static func cluster(ofMissingMember operation: String) -> String? {
        let parts = operation.split(separator: " ").last?.split(separator: "/").map(String.init) ?? []
        guard parts.count > 3, parts[1] == "postgres", ["members", "switchover", "restart"].contains(parts[3]) else {
            return nil
        }
        return parts[2]
    }

    /// The commands for things of the kind that is missing: a call about a machine may fail for want of its app.
    static func family(ofMissing message: String) -> String? {
        switch message.split(separator: " ").first {
        case "app": "apps"
        case "volume": "volumes"
        case "machine": "machines"
        case "Postgres": "pg"
        case "host": "hosts"
        case "operation": "operations"
        case _: nil
        }
    }

    /// The commands for things of the kind that the path is about.
    static func family(of operation: String) -> String {
        let parts = operation.split(separator: " ").last?.split(separator: "/").map(String.init) ?? []
        // v1, then postgres/NAME, platform/hosts/NAME, operations/ID or apps/NAME/machines/ID; a name may be any word.
        switch parts.dropFirst().first {
        case "postgres": return "pg"
        case "operations": return "operations"
        case "platform": return "hosts"
        default: return parts.count > 3 && parts[3] == "volumes" ? "volumes" : parts.count > 3 ? "machines" : "apps"
        }
    }
}
