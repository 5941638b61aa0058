import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// A host that answers as a test says, on a socket file of its own.
struct ScriptedHost: Sendable {
    struct Request: Sendable {
        var line: String
        var headers: [String: String]
        var body: String
    }

    struct Answer: Sendable {
        var status = 200
        var headers: [(String, String)] = []
        /// Sent one by one, each in a write of its own.
        var parts: [String] = []
        var ending = Ending.complete
    }

    enum Ending: Sendable {
        case complete
        /// The connection is closed in the middle.
        case broken
        /// Nothing more is said.
        case silent
    }

    let path: String
    let log: RequestLog

    private static let counter = Mutex(0)

    /// Serves as long as `body` runs, then removes the socket.
    static func run<Value: Sendable>(
        at path: String? = nil, answering answer: @escaping @Sendable (Request) -> Answer,
        _ body: (ScriptedHost) async throws -> Value
    ) async throws -> Value {
        let number = counter.withLock { count in
            count += 1
            return count
        }
        let host = ScriptedHost(
            path: path ?? "/tmp/roost-client-test-\(getpid())-\(number).sock", log: RequestLog())
        let log = host.log
        let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(
                        ScriptedHandler { request in
                            log.append(request)
                            return answer(request)
                        })
                }
            }
            .bind(unixDomainSocketPath: host.path, cleanupExistingSocketFile: true).get()
        let result: Result<Value, any Error>
        do { result = .success(try await body(host)) } catch { result = .failure(error) }
        try? await channel.close()
        unlink(host.path)
        return try result.get()
    }
}

/// What a scripted host was asked, in order.
final class RequestLog: Sendable {
    private let requests = Mutex<[ScriptedHost.Request]>([])

    var all: [ScriptedHost.Request] { requests.withLock { $0 } }
    func append(_ request: ScriptedHost.Request) { requests.withLock { $0.append(request) } }
}

private final class ScriptedHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let answer: @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer
    private var request = ScriptedHost.Request(line: "", headers: [:], body: "")

    init(answer: @escaping @Sendable (ScriptedHost.Request) -> ScriptedHost.Answer) { self.answer = answer }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            let headers = head.headers.map { ($0.name.lowercased(), $0.value) }
            request = .init(
                line: "\(head.method.rawValue) \(head.uri)",
                headers: Dictionary(headers, uniquingKeysWith: { first, _ in first }), body: "")
        case .body(let bytes):
            request.body += String(buffer: bytes)
        case .end:
            respond(answer(request), context)
        }
    }

    private func respond(_ answer: ScriptedHost.Answer, _ context: ChannelHandlerContext) {
        let head = HTTPResponseHead(
            version: .http1_1, status: .init(statusCode: answer.status), headers: HTTPHeaders(answer.headers))
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        for part in answer.parts {
            context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: part)))), promise: nil)
        }
        switch answer.ending {
        case .complete: context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        case .broken: context.close(promise: nil)
        case .silent: context.flush()
        }
    }
}
