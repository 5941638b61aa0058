import AsyncHTTPClient
import FoundationEssentials
import NIOCore
import NIOHTTP1

extension RoostAPIClient {
    public static let lineBytesMaxDefault = 8 << 20

    /// An answer that goes on for as long as the host has something to say: one element for each line, without its
    /// newline. Nothing is read ahead of the caller. Ends when the host ends it; throws ``APIError`` when the
    /// connection breaks.
    ///
    /// - Parameter timeout: until the answer begins.
    public func lines(
        _ method: APIMethod = .get, _ path: String, query: [(name: String, value: String)] = [],
        headers: [(name: String, value: String)] = [], timeout: Duration = APIRequest.timeoutDefault,
        lineBytesMax: Int = lineBytesMaxDefault
    ) async throws(APIError) -> APILines {
        var request = APIRequest(method, path, query: query, headers: headers, timeout: timeout)
        request.answerBytesMax = lineBytesMax
        let response: HTTPClientResponse
        do {
            response = try await Self.pool.execute(
                outgoing(request), timeout: .nanoseconds(request.timeout.nanoseconds))
        } catch {
            throw failure(error, of: request)
        }
        guard (200...299).contains(response.status.code) else {
            let bytes = (try? await response.body.collect(upTo: 1 << 20)) ?? ByteBuffer()
            throw refusal(
                APIResponse(
                    status: Int(response.status.code), headers: response.headers.map { ($0.name, $0.value) },
                    body: Data(bytes.readableBytesView)), of: request)
        }
        return APILines(body: response.body, client: self, request: request)
    }
}

/// The lines of an answer that goes on. Can be iterated once.
public struct APILines: AsyncSequence, Sendable {
    public typealias Element = [UInt8]
    public typealias Failure = APIError

    let body: HTTPClientResponse.Body
    let client: RoostAPIClient
    let request: APIRequest

    public func makeAsyncIterator() -> Iterator {
        Iterator(chunks: body.makeAsyncIterator(), client: client, request: request)
    }

    public struct Iterator: AsyncIteratorProtocol {
        var chunks: HTTPClientResponse.Body.AsyncIterator
        let client: RoostAPIClient
        let request: APIRequest
        var splitter = LineSplitter()

        public mutating func next() async throws(APIError) -> [UInt8]? { try await next(isolation: #isolation) }

        public mutating func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws(APIError) -> [UInt8]? {
            do {
                while true {
                    if let line = splitter.nextLine() { return line }
                    guard splitter.pending <= request.answerBytesMax else {
                        throw NIOTooManyBytesError(maxBytes: request.answerBytesMax)
                    }
                    guard let chunk = try await chunks.next(isolation: actor) else { return splitter.rest() }
                    splitter.append(chunk.readableBytesView)
                }
            } catch {
                throw client.failure(error, of: request)
            }
        }
    }
}

/// Cuts bytes that arrive in any portions into lines.
struct LineSplitter {
    private var bytes: [UInt8] = []
    private var start = 0
    private var searched = 0

    /// Bytes that have arrived and not been handed out.
    var pending: Int { bytes.count - start }

    mutating func append(_ more: some Sequence<UInt8>) {
        if start > 0 {
            bytes.removeSubrange(..<start)
            searched -= start
            start = 0
        }
        bytes.append(contentsOf: more)
    }

    mutating func nextLine() -> [UInt8]? {
        guard let end = bytes[searched...].firstIndex(of: UInt8(ascii: "\n")) else {
            searched = bytes.count
            return nil
        }
        defer {
            start = end + 1
            searched = start
        }
        return Array(bytes[start..<end])
    }

    /// What is left when no more will come: a last line without a newline, or nothing.
    mutating func rest() -> [UInt8]? {
        guard pending > 0 else { return nil }
        defer {
            start = bytes.count
            searched = start
        }
        return Array(bytes[start...])
    }
}
