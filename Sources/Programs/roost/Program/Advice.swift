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
        case .refused(let status, let body): refused(status, capacity: body.status == .insufficientCapacity)
        }
    }

    private static func refused(_ status: Int, capacity: Bool) -> String? {
        switch status {
        case 401, 403: "Give the host's token with --token or ROOST_TOKEN, or use its socket as root."
        case 404: "See what there is: 'roost apps list', 'roost machines list', 'roost pg list'."
        case 503 where !capacity: "Nothing was changed. Try again, or see 'roost hosts list' for what is away."
        case 504: "Nobody knows yet whether it was done: look with 'list' or 'status' before you try again."
        default: capacity ? "See 'roost hosts list' for what is free where." : nil
        }
    }
}
