public import Foundation
public import RoostModel
import RoostWire

/// The other hosts of the planet, to be asked.
public protocol Peers: Sendable {
    /// Hands back whatever the host answered, refusals too.
    func ask(_ question: PeerQuestion, of host: HostName) async throws(Refusal) -> PeerReply
}

/// What one host asks another.
public struct PeerQuestion: Sendable {
    public var method: String
    /// Path and query, percent-encoded.
    public var target: String
    public var body: Data?
    /// From the first byte out to the last byte in.
    public var timeout: Duration
    /// Set when a user's call is passed on: where the user called from.
    public var onBehalfOf: String?

    public static let timeoutDefault = Duration.seconds(15)

    public init(
        _ method: String, _ target: String, body: Data? = nil, timeout: Duration = timeoutDefault,
        onBehalfOf: String? = nil
    ) {
        self.method = method
        self.target = target
        self.body = body
        self.timeout = timeout
        self.onBehalfOf = onBehalfOf
    }
}

/// What a host answered.
public struct PeerReply: Sendable {
    public var status: Int
    public var contentType: String?
    public var body: Data

    public init(status: Int, contentType: String?, body: Data) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }

    public var isSuccess: Bool { (200..<300).contains(status) }

    /// The reply as the refusal that it is.
    func refusal(from host: HostName) -> Refusal {
        Refusal(status: status, body: try? JSONDecoder().decode(ErrorBody.self, from: body), from: host)
    }
}

extension Peers {
    /// The host's answer as a value, or its refusal as an error.
    public func value<Value: Decodable>(
        _ type: Value.Type, _ method: String, _ path: String, body: (any Encodable & Sendable)? = nil,
        from host: HostName, timeout: Duration = PeerQuestion.timeoutDefault
    ) async throws(Refusal) -> Value {
        var data: Data?
        if let body {
            do { data = try JSONEncoder().encode(body) } catch {
                throw Refusal(.failed, "the call to another host cannot be written", details: "\(error)")
            }
        }
        let reply = try await ask(PeerQuestion(method, path, body: data, timeout: timeout), of: host)
        guard reply.isSuccess else { throw reply.refusal(from: host) }
        do { return try JSONDecoder().decode(type, from: reply.body) } catch {
            throw Refusal(.failed, "host \(host) answered something unreadable; is it of another version?")
        }
    }
}
