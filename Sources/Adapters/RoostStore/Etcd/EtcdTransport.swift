import AsyncHTTPClient
import Glibc
import Logging
import NIOCore
import NIOHTTP1
import RoostLinux
import RoostModel
import Synchronization

/// HTTP to the endpoints: connections that are kept, and for every request the knowledge whether it left.
final class EtcdTransport: Sendable {
    let endpoints: EtcdEndpoints
    let timing: EtcdTiming
    let knock: EtcdKnock
    let history: EtcdHistory
    private let client: HTTPClient
    /// Every watch holds a connection for as long as it lasts. These are apart from those of requests: however much is
    /// watched, no lease waits for a connection.
    private let watching: HTTPClient

    static let requestConnectionsMax = 128
    static let watchesMax = 1024
    /// The one that was used last is used next: beyond what is needed all the time, each costs probes and nothing else.
    static let connectionIdleMax = TimeAmount.seconds(30)
    static let answerBytesMax = 64 << 20

    init(endpoints: [String], timing: EtcdTiming, logger: Logger) {
        self.endpoints = EtcdEndpoints(endpoints)
        history = EtcdHistory(logger: logger)
        self.timing = timing
        knock = EtcdKnock(first: timing.retryFirst, last: timing.retryLast)
        var configuration = HTTPClient.Configuration()
        configuration.httpVersion = .http1Only
        configuration.redirectConfiguration = .disallow
        configuration.timeout.connect = .nanoseconds(timing.connect.milliseconds * 1_000_000)
        configuration.connectionPool.idleTimeout = Self.connectionIdleMax
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = Self.requestConnectionsMax
        // A refused connection is an answer: the next endpoint is tried at once.
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.http1_1ConnectionDebugInitializer = { Self.probe($0, whenQuietFor: 2, every: 1) }
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = Self.watchesMax
        // A watch looks after its endpoint by itself, on other connections: that its own is dead, nobody else tells.
        configuration.http1_1ConnectionDebugInitializer = { Self.probe($0, whenQuietFor: 5, every: 2) }
        watching = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    deinit {
        client.shutdown { _ in }
        watching.shutdown { _ in }
    }

    /// A connection to a host that died and came back gives no sign of life and none of death; a probe of the
    /// kernel's is answered with a reset, and the connection leaves the pool before a change is sent on it.
    ///
    /// - Parameters: in seconds (tcp(7), TCP_KEEPIDLE and TCP_KEEPINTVL).
    @Sendable private static func probe(
        _ channel: any Channel, whenQuietFor idle: CInt, every interval: CInt
    ) -> EventLoopFuture<Void> {
        let options: [(ChannelOptions.Types.SocketOption, SocketOptionValue)] = [
            (.init(level: .socket, name: .so_keepalive), 1),
            (.init(level: .tcp, name: .init(rawValue: TCP_KEEPIDLE)), .init(idle)),
            (.init(level: .tcp, name: .init(rawValue: TCP_KEEPINTVL)), .init(interval)),
            (.init(level: .tcp, name: .init(rawValue: TCP_KEEPCNT)), 3),
        ]
        return EventLoopFuture.andAllSucceed(
            options.map { channel.setOption($0.0, value: $0.1) }, on: channel.eventLoop)
    }

    /// One request at one endpoint, within a limit of time.
    func post(
        _ path: String, _ body: ByteBuffer, to endpoint: EtcdEndpoints.Index, within limit: Duration
    ) async -> Result<ByteBuffer, EtcdFailure> {
        let departure = Departure()
        let result: Result<ByteBuffer, EtcdFailure>? = await RoostStore.within(limit) { [self] in
            do {
                let response = try await client.execute(
                    request(path, body, to: endpoint, departure), timeout: .hours(1))
                let answer = try await response.body.collect(upTo: Self.answerBytesMax)
                guard response.status == .ok else {
                    return .failure(EtcdFailure(status: response.status.code, body: answer.readableBytesView))
                }
                return .success(answer)
            } catch {
                return .failure(departure.failure("\(endpoints.urls[endpoint]): \(EtcdWords.of(error))"))
            }
        }
        switch result {
        case .success(let answer):
            // Leases may be answered by a leader that has lost its quorum without knowing; keys are not.
            if path.hasPrefix("kv/") { endpoints.heard(endpoint, now: BootClock.now()) }
            return .success(answer)
        case .failure(let failure): return .failure(failure)
        case nil: return .failure(departure.failure("\(endpoints.urls[endpoint]) did not answer within \(limit.words)"))
        }
    }

    /// A watch's beginning: the body has lines until either side ends it.
    func open(
        _ path: String, _ body: ByteBuffer, to endpoint: EtcdEndpoints.Index
    ) async throws(EtcdFailure) -> HTTPClientResponse.Body {
        let departure = Departure()
        let response: HTTPClientResponse
        do {
            response = try await watching.execute(
                request(path, body, to: endpoint, departure),
                deadline: .now() + .nanoseconds(timing.opening.milliseconds * 1_000_000))
        } catch {
            throw departure.failure("\(endpoints.urls[endpoint]): \(EtcdWords.of(error))")
        }
        guard response.status == .ok else {
            let text = try? await response.body.collect(upTo: 64 << 10)
            throw EtcdFailure(status: response.status.code, body: (text ?? ByteBuffer()).readableBytesView)
        }
        return response.body
    }

    private func request(
        _ path: String, _ body: ByteBuffer, to endpoint: EtcdEndpoints.Index, _ departure: Departure
    ) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: endpoints.urls[endpoint] + "/v3/" + path)
        request.method = .POST
        request.headers = ["content-type": "application/json"]
        request.body = .stream(OneChunk(bytes: body, departure: departure), length: .known(Int64(body.readableBytes)))
        return request
    }
}

/// Whether a request's bytes may have left this process. The HTTP client asks for the body only once it has a
/// connection and has begun to write.
private final class Departure: Sendable {
    private let hasBegun = Atomic(false)

    func begin() { hasBegun.store(true, ordering: .releasing) }

    func failure(_ why: String) -> EtcdFailure {
        hasBegun.load(ordering: .acquiring) ? .unclear(why) : .unsent(why)
    }
}

private struct OneChunk: AsyncSequence, Sendable {
    let bytes: ByteBuffer
    let departure: Departure

    struct Iterator: AsyncIteratorProtocol {
        var bytes: ByteBuffer?
        let departure: Departure

        mutating func next() async -> ByteBuffer? {
            departure.begin()
            defer { bytes = nil }
            return bytes
        }
    }

    func makeAsyncIterator() -> Iterator { Iterator(bytes: bytes, departure: departure) }
}
