/// A large value that lies apart from what holds it: that stays small, and cheap to hand around. Otherwise it is a value like any
/// other: what holds a copy does not see it change.
@propertyWrapper
public struct Apart<Value: Sendable>: Sendable {
    private final class Place: Sendable {
        let value: Value

        init(_ value: Value) { self.value = value }
    }

    private var place: Place

    public init(wrappedValue: Value) { place = Place(wrappedValue) }

    public var wrappedValue: Value {
        get { place.value }
        set { place = Place(newValue) }
    }
}

extension Apart: Equatable where Value: Equatable {
    public static func == (left: Self, right: Self) -> Bool {
        left.place === right.place || left.wrappedValue == right.wrappedValue
    }
}

extension Apart: Hashable where Value: Hashable {
    public func hash(into hasher: inout Hasher) { hasher.combine(wrappedValue) }
}
