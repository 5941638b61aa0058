/// A large value that lies apart from what holds it: that stays small, and cheap to hand around. Otherwise it is a value like any
/// other: what holds a copy does not see it change.
@propertyWrapper
package struct Apart<Value: Sendable>: Sendable {
    private final class Place: Sendable {
        let value: Value

        init(_ value: Value) { self.value = value }
    }

    private var place: Place

    package init(wrappedValue: Value) { place = Place(wrappedValue) }

    package var wrappedValue: Value {
        get { place.value }
        set { place = Place(newValue) }
    }
}

extension Apart: Equatable where Value: Equatable {
    package static func == (left: Self, right: Self) -> Bool {
        left.place === right.place || left.wrappedValue == right.wrappedValue
    }
}

extension Apart: Hashable where Value: Hashable {
    package func hash(into hasher: inout Hasher) { hasher.combine(wrappedValue) }
}
