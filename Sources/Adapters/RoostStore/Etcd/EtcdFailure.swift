import Foundation

/// Why a try at one endpoint gave no answer.
enum EtcdFailure: Error, Sendable, CustomStringConvertible {
    /// The request never left: nothing can have happened. Another endpoint may be asked.
    case unsent(String)
    /// etcd says that it did not carry it out, for now. Another endpoint may be asked.
    case notNow(String)
    /// No answer, or none that says for sure.
    case unclear(String)
    /// etcd's definite no: another endpoint would say the same.
    case refused(StoreError.Code, String)

    var description: String {
        switch self {
        case .unsent(let why): "not sent: \(why)"
        case .notNow(let why): "not now: \(why)"
        case .unclear(let why): "no clear answer: \(why)"
        case .refused(_, let why): why
        }
    }

    /// gRPC codes: 3 invalid argument, 5 not found, 8 resource exhausted, 11 out of range, 14 unavailable.
    ///
    /// Only what etcd is known to say before it proposes anything counts as "not carried out"; all else, timeouts
    /// and stopping servers above all, may have been. The gateway hands on nothing but code and message, so the
    /// messages are matched as etcd's own client does (etcd 3.4, `etcdserver/api/v3rpc/rpctypes/error.go`).
    init(code: Int?, message: String) {
        switch (code, message) {
        case (3, _):
            self = .refused(.invalid, message)
        case (5, "etcdserver: requested lease not found"):
            self = .refused(.leaseNotFound, message)
        case (11, "etcdserver: mvcc: required revision has been compacted"):
            self = .refused(.compacted, message)
        case (11, "etcdserver: mvcc: required revision is a future revision"):
            self = .refused(.invalid, message)
        case (14, "etcdserver: no leader"), (8, "etcdserver: too many requests"), (2, "raft proposal dropped"):
            self = .notNow(message)
        case (8, let text) where text.hasPrefix("grpc: received message larger than max"):
            self = .refused(.invalid, message)
        case (_, _):
            self = .unclear("\(message) (code \(code.map(String.init) ?? "none"))")
        }
    }

    /// An answer with a status other than 200.
    init(status: UInt, body: some Collection<UInt8>) {
        guard let answer = try? JSONDecoder().decode(EtcdErrorAnswer.self, from: Data(body)), answer.code != nil else {
            let text = String(decoding: body.prefix(200), as: UTF8.self)
            self = .unclear("HTTP status \(status): \(text)")
            return
        }
        self.init(code: answer.code, message: answer.message ?? answer.error ?? "")
    }

    enum Effect {
        case reads
        case writes
    }

    /// As the caller of the store sees it.
    func storeError(_ operation: String, effect: Effect) -> StoreError {
        switch self {
        case .unsent, .notNow: StoreError(code: .unavailable, operation: operation, cause: description)
        case .unclear:
            StoreError(
                code: effect == .writes ? .outcomeUnknown : .unavailable, operation: operation, cause: description)
        case .refused(let code, _): StoreError(code: code, operation: operation, cause: description)
        }
    }
}
