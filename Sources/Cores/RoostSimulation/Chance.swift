import RoostModel

// How a run's chance is drawn.
extension SplitMix64 {
    /// A number in the closed range.
    mutating func pick(_ low: Int, _ high: Int) -> Int {
        low + Int(truncatingIfNeeded: next() % UInt64(high - low + 1))
    }

    mutating func chance(_ percent: Int) -> Bool { pick(1, 100) <= percent }

    mutating func choose<Element>(_ elements: [Element]) -> Element { elements[pick(0, elements.count - 1)] }
}
