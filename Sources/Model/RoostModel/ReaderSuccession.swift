/// That a reader came in the place of one that was lost, though nobody asked for it.
public struct ReaderSuccession: Hashable, Sendable, Codable {
    /// Whose place it has.
    public var reader: MemberName
    /// At least 1: how many have come to this place by themselves, one after the other, since one that was there had data. Each has
    /// taken a number that nobody gets again, so the next one comes later each time.
    public var count: Int
    /// Where one of these did not come up, the last one last: the next one goes there only where no other host is free.
    public var avoided: [HostName]

    /// Written with the reader's place in the spec.
    public init(reader: MemberName, count: Int = 1, avoided: [HostName] = []) {
        self.reader = reader
        self.count = count
        self.avoided = Array(avoided.suffix(ReplacementAttempts.avoidedMax))
    }

    /// Of the one that takes the place of another one.
    ///
    /// - Parameters:
    ///   - hadData: the lost one had, so that nothing has come to nothing.
    ///   - host: that it was on, if anywhere.
    public static func next(after lost: ClusterSpec.MemberSpec, hadData: Bool, on host: HostName?) -> Self {
        guard !hadData, let former = lost.cameFor else { return Self(reader: lost.name) }
        let avoided = former.avoided.filter { $0 != host } + [host].compactMap(\.self)
        return Self(reader: lost.name, count: former.count + 1, avoided: avoided)
    }
}
