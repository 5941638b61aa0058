import Foundation
import Hummingbird
import NIOCore
import RoostHost
import RoostLinux
import RoostModel
import RoostPlanet
import RoostPostgresControl

/// Reads what a request brings, with a typed refusal for everything that is wrong with it.
enum RequestReader {
    static let bodyBytesMax = 1 << 20

    static func body(of request: Request) async throws(Refusal) -> Data {
        do {
            return Data(try await request.body.collect(upTo: bodyBytesMax).readableBytesView)
        } catch {
            throw Refusal(.invalid, "the request's body is larger than \(bodyBytesMax) bytes or was cut off")
        }
    }

    // MARK: - Bodies

    /// What people and their programs send: a JSON object without any field that this version does not act on, so
    /// that nobody relies on one.
    static func wish<Value: Codable>(_ type: Value.Type, from data: Data) throws(Refusal) -> Value {
        guard !data.isEmpty else { throw Refusal(.invalid, "the request needs a body: a JSON object") }
        let sent: Any
        do { sent = try JSONSerialization.jsonObject(with: data, options: .fragmentsAllowed) } catch {
            throw Refusal(.invalid, "the request's body is not valid JSON")
        }
        guard sent is [String: Any] else { throw Refusal(.invalid, "the request's body is not a JSON object") }
        let value = try decode(type, from: data)
        // What was understood comes out again; a field that does not was passed over.
        guard let understood = try? JSONSerialization.jsonObject(with: JSONEncoder().encode(value)) else {
            throw Refusal(.failed, "the request's body cannot be written as it was read")
        }
        if let field = fieldPassedOver(sent, understood, at: "") {
            throw Refusal(.invalid, "field '\(field)' is not supported")
        }
        return value
    }

    static func wish<Value: Codable>(_ type: Value.Type, from request: Request) async throws(Refusal) -> Value {
        try wish(type, from: try await body(of: request))
    }

    /// The path of the first field, by name, that was sent and not understood. Null is the same as not sent.
    private static func fieldPassedOver(_ sent: Any, _ understood: Any, at path: String) -> String? {
        switch (sent, understood) {
        case (let sent as [String: Any], let understood as [String: Any]):
            for (name, value) in sent.sorted(by: { $0.key < $1.key }) where !(value is NSNull) {
                let place = path.isEmpty ? name : "\(path).\(name)"
                guard let other = understood[name] else { return place }
                if let field = fieldPassedOver(value, other, at: place) { return field }
            }
            return nil
        case (let sent as [Any], let understood as [Any]):
            return zip(sent, understood).lazy.compactMap { fieldPassedOver($0, $1, at: path) }.first
        default: return nil
        }
    }

    /// What hosts and members send each other, which may be of another version.
    static func decode<Value: Decodable>(_ type: Value.Type, from data: Data) throws(Refusal) -> Value {
        do {
            return try JSONDecoder().decode(type, from: data)
        } catch let error as DecodingError {
            throw Refusal(.invalid, explain(error))
        } catch {
            throw Refusal(.invalid, "the request's body cannot be read: \(error)")
        }
    }

    private static func explain(_ error: DecodingError) -> String {
        func path(_ context: DecodingError.Context) -> String {
            context.codingPath.map(\.stringValue).joined(separator: ".")
        }
        switch error {
        case .keyNotFound(let key, let context):
            let place = (context.codingPath.map(\.stringValue) + [key.stringValue]).joined(separator: ".")
            return "field '\(place)' is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            return "field '\(path(context))' has the wrong type: \(context.debugDescription)"
        case .dataCorrupted(let context):
            return context.codingPath.isEmpty
                ? "the request's body is not valid JSON, or a number in it does not fit where it stands"
                : "field '\(path(context))': \(context.debugDescription)"
        @unknown default: return "the request's body cannot be read"
        }
    }

    // MARK: - Paths and queries

    /// A typed id from the path.
    static func id<Kind: IDKind>(_ name: String, _ context: some RequestContext) throws(Refusal) -> ID<Kind> {
        try value(ID<Kind>.self, context.parameters.get(name) ?? "")
    }

    static func value<Kind: IDKind>(_ type: ID<Kind>.Type, _ text: String) throws(Refusal) -> ID<Kind> {
        do { return try ID<Kind>(text) } catch { throw Refusal(.invalid, error.description) }
    }

    static func text(_ name: Substring, in request: Request) -> String? {
        request.uri.queryParameters[name].map { String($0) }
    }

    static func flag(_ name: Substring, in request: Request) throws(Refusal) -> Bool {
        switch text(name, in: request) {
        case nil, "false", "0": return false
        case "true", "1", "": return true
        case .some(let other): throw Refusal(.invalid, "\(name) is true or false, not '\(other)'")
        }
    }

    static func number(
        _ name: Substring, in request: Request, default standard: Int, within range: ClosedRange<Int>
    ) throws(Refusal) -> Int {
        guard let text = text(name, in: request) else { return standard }
        guard let number = Int(text), range.contains(number) else {
            throw Refusal(.invalid, "\(name) must be \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// Seconds, or Go's duration text.
    static func duration(_ name: Substring, in request: Request) throws(Refusal) -> Duration? {
        guard let text = text(name, in: request) else { return nil }
        if let seconds = Int64(text), seconds >= 0, seconds < 1_000_000 { return .seconds(seconds) }
        do { return try DurationText(text).duration } catch {
            throw Refusal(.invalid, "\(name): \(error.description)")
        }
    }
}
