import Foundation
import NIOCore
import RoostLinux
import RoostModel

/// How one operation is asked of several endpoints.
extension EtcdTransport {
    /// For what may be asked twice: the next endpoint is asked too when one fails or is slow, and the first answer
    /// counts.
    ///
    /// - Parameters:
    ///   - limit: over all tries; nil: as for any operation.
    ///   - hedge: after which the next endpoint is asked too; nil: as for any read.
    /// - Returns: the answer and who gave it.
    func askAny(
        _ path: String, _ body: ByteBuffer, within limit: Duration? = nil, hedge: Duration? = nil
    ) async throws(EtcdFailure) -> (answer: ByteBuffer, endpoint: EtcdEndpoints.Index) {
        enum Event: Sendable {
            case answered(EtcdEndpoints.Index, Result<ByteBuffer, EtcdFailure>)
            case slow
        }
        let order = endpoints.order
        let end = BootClock.now() + (limit ?? timing.request)
        let hedge = hedge ?? timing.hedge
        let result = await withTaskGroup(of: Event.self) { group -> Result<(ByteBuffer, Int), EtcdFailure> in
            defer { group.cancelAll() }
            var asked = 0
            var open = 0
            var last = EtcdFailure.unclear("no endpoint was asked")
            func askNext() {
                guard asked < order.count else { return }
                let endpoint = order[asked]
                asked += 1
                open += 1
                let left = end - BootClock.now()
                group.addTask { [self] in .answered(endpoint, await post(path, body, to: endpoint, within: left)) }
                guard asked < order.count else { return }
                group.addTask {
                    try? await Task.sleep(for: hedge)
                    return .slow
                }
            }
            askNext()
            while let event = await group.next() {
                switch event {
                case .slow: askNext()
                case .answered(let endpoint, .success(let answer)):
                    endpoints.prefer(endpoint)
                    return .success((answer, endpoint))
                case .answered(_, .failure(.refused(let code, let why))):
                    return .failure(.refused(code, why))
                case .answered(let endpoint, .failure(let failure)):
                    last = failure
                    open -= 1
                    if !Task.isCancelled { endpoints.failed(endpoint) }
                    if BootClock.now() < end, !Task.isCancelled { askNext() }
                    if open == 0 { return .failure(last) }
                }
            }
            return .failure(last)
        }
        return try result.get()
    }

    /// For what must happen at most once: the next endpoint is asked only when it is certain that nothing
    /// happened at the one before.
    func askOnce(_ path: String, _ body: ByteBuffer) async throws(EtcdFailure) -> ByteBuffer {
        let end = BootClock.now() + timing.request
        var last = EtcdFailure.unsent("no endpoint was asked")
        for endpoint in endpoints.order {
            let left = end - BootClock.now()
            guard left > .zero, !Task.isCancelled else { throw last }
            switch await post(path, body, to: endpoint, within: left) {
            case .success(let answer):
                endpoints.prefer(endpoint)
                return answer
            case .failure(let failure):
                switch failure {
                case .refused: throw failure
                case .unsent, .notNow: last = failure
                case .unclear:
                    if !Task.isCancelled { endpoints.failed(endpoint) }
                    throw failure
                }
                if !Task.isCancelled { endpoints.failed(endpoint) }
            }
        }
        throw last
    }

    static func encode(_ message: some Encodable) throws(EtcdFailure) -> ByteBuffer {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        do {
            return ByteBuffer(bytes: try encoder.encode(message))
        } catch {
            throw .refused(.invalid, "cannot be written as JSON")
        }
    }

    static func decode<Message: Decodable>(_ bytes: ByteBuffer) throws(EtcdFailure) -> Message {
        do {
            return try JSONDecoder().decode(Message.self, from: Data(bytes.readableBytesView))
        } catch {
            throw .unclear("an answer that cannot be read: \(JSONFault(error).text(of: "it"))")
        }
    }
}
