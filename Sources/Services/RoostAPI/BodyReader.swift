import Foundation
import RoostModel

/// Reads a call's body, with a typed refusal for everything that is wrong with it.
enum BodyReader {
    /// What people and their programs send: a JSON object without any field that this version does not act on, so
    /// that nobody relies on one.
    static func wish<Value: Codable>(_ type: Value.Type, from data: Data) throws(Refusal) -> Value {
        guard !data.isEmpty else { throw Refusal(.invalid, "the request needs a body: a JSON object") }
        let sent: Any
        do { sent = try JSONSerialization.jsonObject(with: data, options: .fragmentsAllowed) } catch {
            throw Refusal(.invalid, "the request's body is not valid JSON")
        }
        guard sent is [String: Any] else { throw Refusal(.invalid, "the request's body is not a JSON object") }
        // Its writer meant one of the two, and nobody can tell which.
        if let field = JSONKeys.repeated(in: Array(data)) {
            throw Refusal(.invalid, "field '\(field)' is there twice")
        }
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

    /// The path of the first field, by name, that was sent and not understood. An empty or false value is the same as
    /// none: clients whose language has no absent values, Fly.io's among them, send those for what nobody set.
    private static func fieldPassedOver(_ sent: Any, _ understood: Any, at path: String) -> String? {
        switch (sent, understood) {
        case (let sent as [String: Any], let understood as [String: Any]):
            for (name, value) in sent.sorted(by: { $0.key < $1.key }) where !isEmpty(value) {
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

    private static func isEmpty(_ value: Any) -> Bool {
        switch value {
        case is NSNull: true
        case let text as String: text.isEmpty
        case let list as [Any]: list.isEmpty
        case let object as [String: Any]: object.values.allSatisfy(isEmpty)
        // False and zero.
        case let number as NSNumber: number == 0
        default: false
        }
    }

    /// What hosts and members send each other, which may be of another version.
    static func decode<Value: Decodable>(_ type: Value.Type, from data: Data) throws(Refusal) -> Value {
        do {
            return try JSONDecoder().decode(type, from: data)
        } catch {
            throw Refusal(.invalid, JSONFault(error).text(of: "the request's body"))
        }
    }
}
