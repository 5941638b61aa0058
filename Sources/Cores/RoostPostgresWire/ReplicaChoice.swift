public import RoostModel
public import RoostRouting

/// How far behind a replica may be and still answer reads.
public struct ReplicaLimits: Hashable, Sendable {
    public var lagMax: Duration
    public var lagBytesMax: ByteCount

    public init(lagMax: Duration = .seconds(10), lagBytesMax: ByteCount = .mebibytes(16)) {
        self.lagMax = lagMax
        self.lagBytesMax = lagBytesMax
    }

    /// Streaming, and both lags within the limits. A replica that has every byte does not lag, whatever time
    /// has passed since the last one: an idle cluster's replicas stay fit.
    public func admit(_ replica: Replica) -> Bool {
        guard replica.isStreaming else { return false }
        if replica.lagBytes == 0 { return true }
        return replica.lag <= lagMax && replica.lagBytes <= UInt64(max(lagBytesMax.bytes, 0))
    }
}

extension ClusterRoute {
    /// The members a new session may go to, best first.
    ///
    /// - Write: the leader, unless it is being left. Also one that has not said yet that it is open: its own host
    ///   keeps the port closed until it is, and whoever knocks in time need not wait for the word to come round.
    /// - Read: replicas within the limits, the nearest first (one without a measured round trip comes after all that
    ///   have one; ties go by name). After them the leader, if it is open: an answer from the primary is always
    ///   right, only farther away or busier, and better than none.
    public func candidates(for access: Access, within limits: ReplicaLimits) -> [Backend] {
        guard let leader else { return access == .write ? [] : fitReplicas(within: limits) }
        switch access {
        case .write:
            return isOpen || !isRecruiting ? [leader] : []
        case .read:
            return fitReplicas(within: limits) + (isOpen ? [leader] : [])
        }
    }

    private func fitReplicas(within limits: ReplicaLimits) -> [Backend] {
        replicas.filter(limits.admit).sorted(by: Self.isNearer).map(\.backend)
    }

    /// Where a session that came to `access` may be: whoever is asked to cancel one of its statements asks all of
    /// them. A member that does not know the key ignores the request.
    public func cancelTargets(for access: Access) -> [Backend] {
        let primary = leader.map { [$0] } ?? []
        switch access {
        case .write: return primary
        case .read: return replicas.map(\.backend) + primary
        }
    }

    private static func isNearer(_ left: Replica, _ right: Replica) -> Bool {
        switch (left.roundTrip, right.roundTrip) {
        case (let near?, let far?) where near != far: return near < far
        case (_?, nil): return true
        case (nil, _?): return false
        case (_?, _?), (nil, nil): return left.backend.member < right.backend.member
        }
    }
}
