/// Numbers that tell what somebody says from what he said before. Whoever begins anew counts on from what the store has.
public enum RecordNumber {
    /// The greatest that a record may have: every program that reads it can count so far, also one whose numbers are doubles.
    public static let max: UInt64 = 1 << 53

    /// The number after one's own last and after what the store has of it. What is there may be the greatest, and whoever put it
    /// there: that keeps nobody from going on, who then goes on from his own, and at the end of all from the first.
    public static func next(own: UInt64, known: UInt64) -> UInt64 {
        let last = Swift.max(own, known)
        if last < max { return last + 1 }
        return own < max ? own + 1 : 1
    }

    /// It was said after the other, by the same: also if that was the greatest.
    public static func isLater(_ number: UInt64, than other: UInt64) -> Bool {
        other < max ? number > other : number < other
    }
}
