public import Foundation
import HTTPTypes
public import Logging
public import RoostModel

/// One call, as a route gets it: who calls, what for, and with what.
public struct APICall: Sendable {
    public var method: APIRoute.Method
    /// As it came, percent-encoded, without the query.
    public var path: String
    /// As it came, percent-encoded, without the question mark.
    public var queryText: String?
    public var query: APIQuery
    var parameters: [String: String]
    public var body: Data
    public var caller: Principal
    /// The host that passed a user's call on. What was passed on once is never passed on again.
    public var forwardedBy: HostName?
    /// `fly-request-id`: the caller's, or made here. It goes with the call to other hosts and into every log.
    public var requestID: String
    public var logger: Logger
    var headers: HTTPFields = [:]

    /// What the caller says beside its question (``CallHeader``); nil: nothing.
    public func header(_ name: String) -> String? { headers[Reception.field(name)] }

    /// A typed id from the path.
    public func id<Kind: IDKind>(_ name: String, as type: ID<Kind>.Type = ID<Kind>.self) throws(Refusal) -> ID<Kind> {
        try Self.value(type, parameters[name] ?? "")
    }

    /// A typed id from a text that was sent.
    public static func value<Kind: IDKind>(_ type: ID<Kind>.Type, _ text: String) throws(Refusal) -> ID<Kind> {
        do { return try ID<Kind>(text) } catch { throw Refusal(.invalid, error.description) }
    }

    /// The body, as people and their programs send it.
    public func wish<Value: Codable>(_ type: Value.Type) throws(Refusal) -> Value {
        try BodyReader.wish(type, from: body)
    }

    /// The body, as hosts and members send it, which may be of another version.
    public func decoded<Value: Decodable>(_ type: Value.Type) throws(Refusal) -> Value {
        try BodyReader.decode(type, from: body)
    }
}
