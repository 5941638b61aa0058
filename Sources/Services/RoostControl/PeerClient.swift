import RoostClient
public import RoostModel
import RoostWire

/// Asks other hosts over the mesh, with this host's own credential.
public struct PeerClient: Peers {
    let port: UInt16
    /// What this host shows in `Authorization`.
    let credential: String

    static let answerBytesMax = 8 << 20

    /// - Parameter port: where every host's API listens.
    public init(port: UInt16, credential: String) {
        self.port = port
        self.credential = credential
    }

    public func ask(_ question: PeerQuestion, of host: HostName) async throws(Refusal) -> PeerReply {
        guard let method = APIMethod(rawValue: question.method) else {
            throw Refusal(.invalid, "method \(question.method) is not passed on")
        }
        var headers = [(name: "authorization", value: credential)]
        if let id = PresentCall.requestID { headers.append((CallHeader.requestID, id)) }
        if let origin = question.onBehalfOf { headers.append((CallHeader.onBehalfOf, origin)) }
        let client = RoostAPIClient(.mesh(host, port: port))
        do {
            let response = try await client.execute(
                APIRequest(
                    method, question.target, headers: headers, body: question.body, timeout: question.timeout,
                    answerBytesMax: Self.answerBytesMax))
            return PeerReply(
                status: response.status, contentType: response.header("content-type"), body: response.body)
        } catch {
            throw Self.refusal(error, of: host)
        }
    }

    static func refusal(_ error: APIError, of host: HostName) -> Refusal {
        switch error.cause {
        case .unreachable(let why):
            Refusal(.unavailable, "host \(host) cannot be reached (\(why)); try again when it is back")
        case .unanswered(let why):
            Refusal(.outcomeUnknown, "host \(host) did not say whether it was done (\(why)); look before you try again")
        case .refused(_, let body): Refusal(.failed, "host \(host): \(body.words)")
        case .unreadable(let why): Refusal(.failed, "host \(host) answered something unreadable: \(why)")
        // The question may have been sent by then.
        case .cancelled:
            Refusal(.outcomeUnknown, "cancelled while host \(host) was asked; look whether it was done")
        }
    }
}
