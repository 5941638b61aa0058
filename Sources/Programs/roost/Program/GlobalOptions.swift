import ArgumentParser
import Glibc
import RoostClient
import RoostLinux
import RoostModel

/// Which roostd a command speaks to.
struct GlobalOptions: ParsableArguments {
    @Option(
        help: .init(
            "The roostd to ask: http://host:4280 or unix:///path (else ROOST_API).", valueName: "url"),
        transform: { try APIEndpoint($0) })
    var api: APIEndpoint?

    @Option(help: .init("The bearer token for http (else ROOST_TOKEN).", valueName: "token"))
    var token: String?

    @Option(
        help: .init(
            "A file with the bearer token; unlike --token it does not show in the list of processes.",
            valueName: "path"))
    var tokenFile: String?

    @Option(
        help: .init("The lab whose hosts are asked (else ROOST_LAB, else 'planet').", valueName: "name"),
        transform: { try LabName($0) })
    var lab: LabName?

    mutating func validate() throws {
        if token != nil, tokenFile != nil {
            throw ValidationError("--token and --token-file exclude each other: give one of them")
        }
        if api != nil, lab != nil { throw ValidationError("--api and --lab exclude each other: give one of them") }
    }
}

extension GlobalOptions {
    /// The token that was given, if one was: by option, by file, by ROOST_TOKEN.
    func bearerToken() throws -> String? {
        guard let tokenFile else { return token ?? environment("ROOST_TOKEN") }
        guard let bytes = try DurableFile.read(tokenFile) else {
            throw UsageMistake("--token-file: there is no file \(tokenFile)")
        }
        let text = String(decoding: bytes, as: UTF8.self)
        guard let line = text.split(whereSeparator: \.isWhitespace).first else {
            throw UsageMistake("--token-file: \(tokenFile) is empty")
        }
        return String(line)
    }
}

/// The name of a lab: it becomes part of folder and namespace names.
typealias LabName = ID<LabKind>

enum LabKind: IDKind {
    static let noun = "lab name"
    static let rule = AppNameKind.rule
    static let lengthMax = AppNameKind.lengthMax
    static func accepts(_ text: String) -> Bool { AppNameKind.accepts(text) }
}

/// A variable of the environment; an empty one counts as absent.
func environment(_ name: String) -> String? {
    guard let value = getenv(name).map({ String(cString: $0) }), !value.isEmpty else { return nil }
    return value
}
