public import RoostModel

extension Refusal {
    /// What a refusal tells its caller to do next. Whoever goes on by itself does so, and asks nobody for it.
    private static let forCallers = ["; try again", "; look before you try again", "; look whether it was done"]

    /// For those who read what is in the way of something that goes on by itself: nothing of it is theirs to do.
    public var obstacle: String {
        let ends = Self.forCallers.compactMap { message.lastIndex(of: $0) }
        guard let end = ends.max() else { return message }
        return message[..<end] + "; it is tried again by itself"
    }
}

extension String {
    /// Where the last of these words begin, if nothing but an end of the same clause follows.
    fileprivate func lastIndex(of words: String) -> String.Index? {
        indices.last { self[$0...].hasPrefix(words) && !self[index(after: $0)...].contains(";") }
    }
}
