import Foundation
import Hummingbird
public import Logging
import NIOCore
import RoostHost
import RoostLinux
import RoostModel
import RoostPlanet
import RoostPostgresControl
public import ServiceLifecycle

/// The API on its two doors: a Unix socket for root on this host, and TCP on the mesh address with a bearer token.
public struct APIServer: Service {
    let api: PlanetAPI
    let token: String
    let logger: Logger

    static let retryPause = Duration.milliseconds(500)
    /// A connection without a request, or with half of one, is hung up after this. Longer than clients of this house
    /// keep theirs; a request that is being answered may take as long as it does.
    static let idleTimeout = Duration.seconds(20)

    public init(api: PlanetAPI, token: String, logger: Logger) {
        self.api = api
        self.token = token
        self.logger = logger
    }

    public func run() async throws {
        let configuration = api.configuration
        let address = MeshAddress.host(configuration.host).description
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                group.addTask {
                    await keepServing(token: nil, at: .unixDomainSocket(path: configuration.apiSocket)) {
                        unlink(configuration.apiSocket)
                    }
                }
                group.addTask {
                    await keepServing(
                        token: token, at: .hostname(address, port: Int(configuration.api.tcpPort)))
                }
            }
        }
    }

    private func keepServing(
        token: String?, at address: BindAddress, prepare: @Sendable () -> Void = {}
    ) async {
        while !Task.isCancelled {
            prepare()
            let application = Application(
                router: api.router(token: token),
                server: .http1(configuration: .init(idleTimeout: TimeAmount(Self.idleTimeout))),
                configuration: .init(address: address, reuseAddress: true),
                logger: logger)
            do { try await application.run() } catch is CancellationError {
                return
            } catch {
                logger.warning("the API cannot listen yet", metadata: ["at": "\(address)", "error": "\(error)"])
            }
            try? await Task.sleep(for: Self.retryPause)
        }
    }
}
