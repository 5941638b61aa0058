public import RoostModel

/// Where a `roostd` answers.
public enum APIEndpoint: Hashable, Sendable, CustomStringConvertible {
    /// A socket file on this computer. Whoever may open it is trusted; no token is sent.
    case socket(path: String)
    /// `host:port` over TCP, only ever over the mesh or loopback: the token travels in the clear.
    case tcp(host: String, port: UInt16)

    public static let portDefault: UInt16 = 4280
    /// Where a host's own `roostd` listens unless its config says otherwise.
    public static let localSocket = APIEndpoint.socket(path: "/run/roost/api.sock")

    /// Reads `unix:///run/roost/api.sock`, `/run/roost/api.sock`, `http://host:4280` or `http://[fdaa::1]:4280`.
    public init(_ text: String) throws(InvalidValue) {
        let wrong = InvalidValue(
            kind: "API address", value: text, rule: "for example unix:///run/roost/api.sock or http://[fdaa::1]:4280")
        if text.hasPrefix("/") {
            guard text.utf8.count > 1 else { throw wrong }
            self = .socket(path: text)
        } else if text.hasPrefix("unix://") {
            let path = text.dropFirst("unix://".count)
            guard path.hasPrefix("/"), path.utf8.count > 1 else { throw wrong }
            self = .socket(path: String(path))
        } else if text.hasPrefix("http://") {
            var rest = text.dropFirst("http://".count)
            while rest.last == "/" { rest.removeLast() }
            guard !rest.contains(where: { "/?#@ ".contains($0) }) else { throw wrong }
            let (host, port) = Self.hostAndPort(rest)
            guard !host.isEmpty, let port else { throw wrong }
            self = .tcp(host: host, port: port)
        } else {
            throw wrong
        }
    }

    /// The API of a host on the mesh.
    public static func mesh(_ host: HostName, port: UInt16 = portDefault) -> APIEndpoint {
        .tcp(host: MeshAddress.host(host).description, port: port)
    }

    /// Splits `name`, `name:1`, `[v6]` and `[v6]:1`; a nil port means that the text was wrong.
    private static func hostAndPort(_ text: Substring) -> (host: String, port: UInt16?) {
        if text.first == "[" {
            guard let end = text.firstIndex(of: "]") else { return ("", nil) }
            let host = String(text[text.index(after: text.startIndex)..<end])
            let rest = text[text.index(after: end)...]
            guard (try? IPv6Address(host)) != nil else { return ("", nil) }
            if rest.isEmpty { return (host, portDefault) }
            return rest.first == ":" ? (host, UInt16(rest.dropFirst())) : ("", nil)
        }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        switch parts.count {
        case 1: return (String(parts[0]), portDefault)
        case 2: return (String(parts[0]), UInt16(parts[1]))
        default: return ("", nil)
        }
    }

    /// What one would type to mean this endpoint.
    public var description: String {
        switch self {
        case .socket(let path): "unix://\(path)"
        case .tcp(let host, let port): "http://\(host.contains(":") ? "[\(host)]" : host):\(port)"
        }
    }

    /// `target` (path and query) at this endpoint as AsyncHTTPClient wants it: a socket's path becomes the host part.
    func url(for target: String) -> String {
        switch self {
        case .socket(let path): "http+unix://\(percentEncoded(path))\(target)"
        case .tcp: description + target
        }
    }
}

/// RFC 3986: everything but unreserved characters as `%XX`.
func percentEncoded(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF")
    var encoded = ""
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            encoded.unicodeScalars.append(Unicode.Scalar(byte))
        default:
            encoded += "%\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
        }
    }
    return encoded
}
