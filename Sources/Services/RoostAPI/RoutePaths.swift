/// The paths of a door's routes, to say what may be done at one when something else was asked for.
struct RoutePaths: Sendable {
    private struct Entry {
        var parts: [Substring]
        var methods: [String]
        var callers: Set<Principal.Kind>
    }

    private let entries: [Entry]

    init(_ groups: [any RouteGroup]) {
        entries = groups.flatMap { group in
            group.routes.map { route in
                Entry(
                    parts: route.path.split(separator: "/"), methods: route.methods,
                    callers: route.alsoFor.union([group.callers]))
            }
        }
    }

    /// The methods that this kind of caller may use there, in alphabetical order; none where there is no such path for
    /// him.
    func methods(at path: String, for caller: Principal.Kind) -> [String] {
        let parts = path.split(separator: "/")
        return Set(entries.filter { $0.callers.contains(caller) && Self.matches(parts, $0.parts) }.flatMap(\.methods))
            .sorted()
    }

    private static func matches(_ parts: [Substring], _ wanted: [Substring]) -> Bool {
        parts.count == wanted.count && zip(parts, wanted).allSatisfy { $1.hasPrefix(":") || $0 == $1 }
    }
}

extension APIRoute {
    static let head = "HEAD"

    /// The methods of HTTP that reach this route. What can be read can be asked for its head alone; but for a wait, whose
    /// answer is what it is for, and may have no length.
    var methods: [String] { method == .get && !endsWithCaller ? [method.rawValue, Self.head] : [method.rawValue] }
}
