import CLinux
import FoundationEssentials
import Glibc
import RoostLinux

/// The UNIX socket on which requests come, one JSON object a line.
final class ControlSocket {
    private static let clientsMax = 32
    /// A reply is written at once or not at all: nobody may make packets wait.
    private static let replyBytesMax: Int32 = 4 << 20

    private let path: String
    private let listener: Int32
    private let poller: Poller
    private var buffers: [Int32: [UInt8]] = [:]

    init(path: String, poller: Poller) throws {
        self.path = path
        self.poller = poller
        listener = try UnixSocket.listen(path)
        try poller.add(listener, as: .listener)
    }

    deinit {
        for file in buffers.keys { close(file) }
        close(listener)
    }

    func remove() { unlink(path) }

    func accept() {
        let file = Glibc.accept(listener, nil, nil)
        guard file >= 0 else { return }
        guard buffers.count < Self.clientsMax, fcntl(file, F_SETFL, O_NONBLOCK) == 0,
            (try? poller.add(file, as: .client(file))) != nil
        else {
            close(file)
            return
        }
        var size = Self.replyBytesMax
        setsockopt(file, SOL_SOCKET, SO_SNDBUFFORCE, &size, socklen_t(MemoryLayout<Int32>.size))
        buffers[file] = []
    }

    func serve(_ file: Int32, answer: (WANRequest) -> WANReply) {
        guard buffers[file] != nil else { return }
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        let count = read(file, &chunk, chunk.count)
        if count < 0, errno == EAGAIN || errno == EINTR { return }
        guard count > 0 else { return drop(file) }
        buffers[file, default: []] += chunk[..<count]
        while let bytes = buffers[file], let end = bytes.firstIndex(of: UInt8(ascii: "\n")) {
            buffers[file] = Array(bytes[(end + 1)...])
            let reply = Self.parse(bytes[..<end]).map(answer) ?? WANReply(ok: false, error: "not a request")
            guard write(reply, to: file) else { return drop(file) }
        }
        if buffers[file, default: []].count > WANRequest.lineBytesMax { drop(file) }
    }

    private static func parse(_ line: some Collection<UInt8>) -> WANRequest? {
        try? JSONDecoder().decode(WANRequest.self, from: Data(line))
    }

    private func write(_ reply: WANReply, to file: Int32) -> Bool {
        guard var bytes = try? JSONEncoder().encode(reply) else { return false }
        bytes.append(UInt8(ascii: "\n"))
        return bytes.withUnsafeBytes { send(file, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            == bytes.count
    }

    private func drop(_ file: Int32) {
        close(file)
        buffers[file] = nil
    }
}

extension Engine {
    /// Carries out one request.
    func answer(_ request: WANRequest) -> WANReply {
        do {
            switch request.command {
            case .addRules: try add(request.rules ?? [])
            case .removeRules: try remove(request.names)
            case .setLink:
                guard let link = request.link else { throw WANError("set_link needs a link") }
                try change(link)
            case .plug: try plug(site: request.site ?? "")
            case .unplug: try unplug(site: request.site ?? "")
            case .list: return WANReply(ok: true, rules: rules.rules, links: links)
            case .stats: return WANReply(ok: true, stats: stats())
            }
            return WANReply(ok: true)
        } catch {
            return WANReply(ok: false, error: "\(error)")
        }
    }

    private func stats() -> [WANDirectionStats] {
        directions.enumerated().map { index, direction in
            WANDirectionStats(
                link: links[index / 2].name, from: ends[index].place.site, to: ends[index ^ 1].place.site,
                counters: direction.counters, queuedBytes: direction.queuedBytes)
        }
    }
}
