import FoundationEssentials
import Glibc
import RoostClient
import RoostModel

/// The hosts a command may ask, in the order in which it asks them. Every roostd answers the whole API, so any will
/// do; the next one is asked when one is away.
struct Roostds: Sendable {
    let clients: [RoostAPIClient]
    /// The lab the hosts are of, if they are of one.
    let lab: LabName?

    static let labsFolder = "/run/roost-lab"
    static let labDefault = "planet"
    static let localSocket = "/run/roost/api.sock"
    /// How long a host may think about whether it is there, before the next one is asked.
    static let probeTimeout = Duration.seconds(2)

    /// Explicit option, then environment, then this host's own socket, then a lab.
    static func find(_ options: GlobalOptions) throws -> Roostds {
        let token = try options.bearerToken()
        if let api = options.api { return Roostds(clients: [.init(api, token: token)], lab: nil) }
        if let lab = options.lab { return try planet(ofLab: lab) }
        if let text = environment("ROOST_API") {
            do {
                return Roostds(clients: [.init(try APIEndpoint(text), token: token)], lab: nil)
            } catch {
                throw UsageMistake("ROOST_API: \(error)")
            }
        }
        let lab = environment("ROOST_LAB")
        if lab == nil, access(localSocket, F_OK) == 0 {
            return Roostds(clients: [.init(.localSocket, token: token)], lab: nil)
        }
        do {
            return try planet(ofLab: try LabName(lab ?? labDefault))
        } catch let error as InvalidValue {
            throw UsageMistake("ROOST_LAB: \(error)")
        }
    }

    private static func planet(ofLab lab: LabName) throws -> Roostds {
        let folder = "\(labsFolder)/\(lab)"
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
        let paths: [String] = names.map { name in "\(folder)/\(name)/api.sock" }
        let sockets = paths.filter { path in access(path, F_OK) == 0 }
        // Writing is what a connection needs.
        guard !sockets.contains(where: { access($0, W_OK) != 0 && errno == EACCES }), !isClosed(folder) else {
            throw CommandFailure(
                "the hosts of lab '\(lab)' can be asked by root only",
                advice: "Try again with sudo, or say where another roostd is: --api http://host:4280 --token …")
        }
        // A lab that is up has a folder with its settings, whether or not a host of it runs.
        guard !sockets.isEmpty || names.isEmpty else {
            throw CommandFailure(
                "no host of lab '\(lab)' runs",
                advice: "Start them with 'roost lab fault heal --all --lab \(lab)', or one with "
                    + "'roost lab fault start-host --lab \(lab) HOST'.")
        }
        guard !sockets.isEmpty else {
            let others = labs()
            guard others.isEmpty else {
                throw CommandFailure(
                    "there is no lab '\(lab)'; there \(others.count == 1 ? "is" : "are") \(others.joined(separator: ", "))",
                    advice: "Name one with --lab, or start this one: roost lab up --name \(lab)")
            }
            throw CommandFailure(
                "no roostd is running here: no \(localSocket), no lab '\(lab)'",
                advice: geteuid() == 0
                    ? "Start a lab with 'roost lab up', or say where a roostd is with --api URL."
                    : "A roostd's socket belongs to root: run this as root, or use --api http://host:4280 --token …")
        }
        return Roostds(clients: sockets.map { RoostAPIClient(.socket(path: $0)) }, lab: lab)
    }

    /// Labs of which a host has a socket.
    private static func labs() -> [String] {
        func names(in folder: String) -> [String] {
            ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
        }
        return names(in: labsFolder).filter { lab in
            names(in: "\(labsFolder)/\(lab)").contains { access("\(labsFolder)/\(lab)/\($0)/api.sock", F_OK) == 0 }
        }
    }

    /// Whether there is such a folder, or one above it, that is not for this user to look into.
    private static func isClosed(_ folder: String) -> Bool { access(folder, R_OK | X_OK) != 0 && errno == EACCES }

    /// Asks the first host that is there. The next one is asked only if the one before cannot have done anything:
    /// it could not be reached, or it says that the store did not carry it out (503).
    func ask<Value: Sendable>(
        _ call: (RoostAPIClient) async throws -> Value
    ) async throws -> Value {
        var failure: APIError?
        for client in clients {
            if clients.count > 1, try await !isThere(client) { continue }
            do {
                return try await call(client)
            } catch let error as APIError where clients.count > 1 && (error.isUnreachable || error.status == 503) {
                failure = error
            }
        }
        throw failure
            ?? APIError(
                .unreachable("none of its \(clients.count) hosts answers"), operation: "the call",
                endpoint: clients[0].endpoint)
    }

    /// A dead host's socket refuses at once; a frozen one's takes the connection and says nothing.
    func isThere(_ client: RoostAPIClient) async throws -> Bool {
        do {
            _ = try await client.execute(APIRequest(.get, "/v1/platform/regions", timeout: Self.probeTimeout))
            return true
        } catch {
            if case .cancelled = error.cause { throw error }
            return false
        }
    }
}
