/// Every wait of an etcd client. The defaults fit hosts up to 220 ms of round trip apart, where a linearizable
/// answer takes up to two of them.
public struct EtcdTiming: Sendable {
    /// One operation, over all its tries.
    public var request = Duration.milliseconds(2500)
    /// One connection attempt. A TCP SYN that is lost is sent again after a second.
    public var connect = Duration.milliseconds(1000)
    /// A read that has no answer by then is asked at the next endpoint too.
    public var hedge = Duration.milliseconds(700)
    /// How often an endpoint that feeds a watch shows that it still has its quorum.
    public var pulse = Duration.milliseconds(500)
    /// An endpoint that shows nothing for so long is left.
    public var silence = Duration.milliseconds(1500)
    /// Before a watch tries again after a failure: from the first to the last, doubling.
    public var retryFirst = Duration.milliseconds(50)
    public var retryLast = Duration.milliseconds(1000)

    public init() {}
}
