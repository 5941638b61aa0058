import ArgumentParser
import Glibc
import RoostClient
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
        help: .init("The lab whose hosts are asked (else ROOST_LAB, else 'planet').", valueName: "name"),
        transform: { try LabName($0) })
    var lab: LabName?

    mutating func validate() throws {
        if api != nil, lab != nil { throw ValidationError("--api and --lab exclude each other: give one of them") }
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
