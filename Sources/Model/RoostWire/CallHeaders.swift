/// Headers that calls of the API have beside the usual ones.
public enum CallHeader {
    /// Names a call in the logs of every host that it comes to. Fly.io's name for it.
    public static let requestID = "fly-request-id"
    /// Of an answer: the operation that goes on after it (`GET /v1/operations/{id}`).
    public static let operation = "roost-operation"
    /// One host passes on a user's call to another; the value says where that user called from. Counts from hosts only.
    public static let onBehalfOf = "roost-on-behalf-of"
    /// A member's: TLS ends before it, at the edge, so it needs neither certificate nor key. Members of a version that
    /// shows them itself do not send it.
    public static let tlsEndsBefore = "roost-tls-ends-before"
}

/// The call that the present task works for.
public enum PresentCall {
    /// Its ``CallHeader/requestID``: calls to other hosts on its behalf carry it on.
    @TaskLocal public static var requestID: String?
}
