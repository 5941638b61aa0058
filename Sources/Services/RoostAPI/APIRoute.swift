/// Routes of one kind of caller, with what they stand on. Features bring theirs; a door registers them.
public protocol RouteGroup: Sendable {
    /// The only kind of caller these routes are for. To all others there is no such path.
    var callers: Principal.Kind { get }
    var routes: [APIRoute] { get }
}

/// One operation of the API, as a value: what it is called by, what it takes, what holds it, and its answer.
public struct APIRoute: Sendable {
    public enum Method: String, Hashable, Sendable {
        case get = "GET"
        case post = "POST"
        case put = "PUT"
        case delete = "DELETE"
    }

    public typealias Handler = @Sendable (APICall) async throws -> Answer

    public var method: Method
    /// `/v1/apps/:app`: a part with a colon is a parameter.
    public var path: String
    /// The names a query may have; a name that ends with a dot is the beginning of any number of names. Any other name
    /// is refused.
    public var query: [String]
    public var concurrency: ConcurrencyLimit?
    public var rate: CallRate?
    /// Other kinds of callers than those of its group that may reach this route.
    public var alsoFor: Set<Principal.Kind>
    /// The work ends when the caller hangs up. The connection serves no second call.
    public var endsWithCaller: Bool
    public var handler: Handler

    public init(
        _ method: Method, _ path: String, query: [String] = [], concurrency: ConcurrencyLimit? = nil,
        rate: CallRate? = nil, alsoFor: Set<Principal.Kind> = [], endsWithCaller: Bool = false,
        handler: @escaping Handler
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.concurrency = concurrency
        self.rate = rate
        self.alsoFor = alsoFor
        self.endsWithCaller = endsWithCaller
        self.handler = handler
    }
}

/// How many calls of one name may be under way at once.
public struct ConcurrencyLimit: Hashable, Sendable {
    /// What is counted, in the plural, for the refusal: `commands`.
    public var name: String
    public var perCaller: Int
    public var perMachine: Int
    /// The path's parameter that names the machine.
    public var parameter: String

    public init(_ name: String, perCaller: Int, perMachine: Int, parameter: String = "machine") {
        self.name = name
        self.perCaller = perCaller
        self.perMachine = perMachine
        self.parameter = parameter
    }
}

/// How often a door takes calls of one route.
public struct CallRate: Hashable, Sendable {
    public var perSecond: Int
    /// So many may come at once after a pause.
    public var burst: Int

    public init(perSecond: Int, burst: Int) {
        self.perSecond = perSecond
        self.burst = burst
    }
}
