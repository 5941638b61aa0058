/// Every wait of an etcd client. The defaults fit hosts up to 220 ms of round trip apart, where a linearizable
/// answer takes up to two of them.
public struct EtcdTiming: Sendable {
    /// One operation, over all its tries.
    public var request = Duration.milliseconds(2500)
    /// One connection attempt. A TCP SYN that is lost is sent again after a second.
    public var connect = Duration.milliseconds(1000)
    /// A read that has no answer by then is asked at the next endpoint too.
    public var hedge = Duration.milliseconds(700)
    /// The listing that a watch begins with, over all its tries, from a store that is known to answer: it may be the whole
    /// planet, asked for by everybody at once.
    public var listing = Duration.seconds(15)
    /// Such a listing that has no answer by then is asked at the next endpoint too. Sooner it would be asked of all members
    /// of a store that is only slow.
    public var listingHedge = Duration.seconds(2)
    /// Until a stream of changes has begun, for any watch.
    public var opening = Duration.seconds(10)
    /// For watches that must notice soon.
    public var soon = EtcdPulse(
        interval: .milliseconds(500), silence: .milliseconds(1500), opening: .seconds(4))
    /// For watches that may notice late. Most hosts have no others: fifty of them that ask twice a second are more work
    /// for the store than all that changes in it.
    public var late = EtcdPulse(interval: .seconds(2), silence: .seconds(5), opening: .seconds(10))
    /// Before a watch tries again after a failure: from the first to the last, doubling.
    public var retryFirst = Duration.milliseconds(50)
    public var retryLast = Duration.milliseconds(1000)

    public init() {}

    func pulse(_ notice: WatchNotice) -> EtcdPulse {
        switch notice {
        case .soon: soon
        case .late: late
        }
    }
}

/// How the endpoint that feeds a watch is watched itself.
public struct EtcdPulse: Sendable {
    /// How often it shows that it still has its quorum.
    public var interval: Duration
    /// One that shows nothing for so long is left…
    public var silence: Duration
    /// …and so is one that answers, but has not begun to tell of changes by then.
    public var opening: Duration
}
