import Foundation
import RoostClient
import RoostHost
import RoostModel
import RoostPlanet
import RoostPostgresControl
import RoostWire

/// Sends requests to other hosts' APIs over the mesh.
struct PeerClient: Sendable {
    let port: UInt16
    let token: String
    let host: HostName

    /// A request that was passed on once is never passed on again.
    static let forwardedHeader = "roost-forwarded-by"
    static let timeoutDefault = Duration.seconds(15)
    static let answerBytesMax = 8 << 20

    struct Reply: Sendable {
        var status: Int
        var contentType: String?
        var body: Data
    }

    func send(
        _ method: String, _ pathAndQuery: String, body: Data? = nil, to peer: HostName,
        timeout: Duration = Self.timeoutDefault
    ) async throws(Refusal) -> Reply {
        guard let verb = APIMethod(rawValue: method) else {
            throw Refusal(.invalid, "method \(method) is not passed on")
        }
        let client = RoostAPIClient(.mesh(peer, port: port), token: token)
        do {
            let response = try await client.execute(
                APIRequest(
                    verb, pathAndQuery, headers: [(Self.forwardedHeader, host.text)], body: body, timeout: timeout,
                    answerBytesMax: Self.answerBytesMax))
            return Reply(
                status: response.status,
                contentType: response.headers.first { $0.name.lowercased() == "content-type" }?.value,
                body: response.body)
        } catch {
            switch error.cause {
            case .unreachable(let why):
                throw Refusal(.unavailable, "host \(peer) cannot be reached (\(why)); try again when it is back")
            case .unanswered(let why):
                throw Refusal(
                    .outcomeUnknown, "host \(peer) did not say whether it was done (\(why)); look before you try again")
            case .refused(_, let body): throw Refusal(.failed, "host \(peer): \(body.error)")
            case .unreadable(let why): throw Refusal(.failed, "host \(peer) answered something unreadable: \(why)")
            case .cancelled: throw Refusal(.unavailable, "cancelled while host \(peer) was asked")
            }
        }
    }

    /// The peer's answer as a value, or its refusal as an error.
    func value<Value: Decodable>(
        _ type: Value.Type, _ method: String, _ path: String, body: (any Encodable & Sendable)? = nil,
        from peer: HostName, timeout: Duration = Self.timeoutDefault
    ) async throws(Refusal) -> Value {
        var data: Data?
        if let body {
            do { data = try JSONEncoder().encode(body) } catch { throw Refusal(.failed, "\(error)") }
        }
        let reply = try await send(method, path, body: data, to: peer, timeout: timeout)
        guard (200..<300).contains(reply.status) else { throw Self.refusal(reply, from: peer) }
        do { return try JSONDecoder().decode(type, from: reply.body) } catch {
            throw Refusal(.failed, "host \(peer) answered something unreadable: \(error)")
        }
    }

    static func refusal(_ reply: Reply, from peer: HostName) -> Refusal {
        struct Body: Decodable {
            var error: String
            var status: String?
        }
        let body = try? JSONDecoder().decode(Body.self, from: reply.body)
        let message = body?.error ?? "host \(peer) answered with status \(reply.status)"
        let code: Refusal.Code =
            switch (reply.status, body?.status) {
            case (_, "insufficient_capacity"): .insufficientCapacity
            case (_, "name_taken"): .nameTaken
            case (400, _): .invalid
            case (404, _): .notFound
            case (408, _): .deadlineExceeded
            case (409, _): .alreadyExists
            case (412, _): .failedPrecondition
            case (501, _): .notImplemented
            case (503, _): .unavailable
            case (504, _): .outcomeUnknown
            default: .failed
            }
        return Refusal(code, message)
    }
}
