import Foundation
import Hummingbird
public import Logging
import RoostControl
import RoostHost
import RoostLinux
import RoostModel
import RoostPlanet
import RoostPostgresControl
public import ServiceLifecycle

/// One socket for each member machine of this host. The machine sees it as `/.roost/api`; by the socket the host
/// knows who asks.
public struct MemberSockets: Service {
    let agent: HostAgent
    let api: MemberAPI
    let logger: Logger

    static let retryPause = Duration.milliseconds(200)

    public init(agent: HostAgent, api: MemberAPI, logger: Logger) {
        self.agent = agent
        self.api = api
        self.logger = logger
    }

    public func run() async throws {
        let changes = agent.changes.subscribe()
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                var served: [MachineID: AsyncStream<Void>.Continuation] = [:]
                var iterator = changes.makeAsyncIterator()
                repeat {
                    let wanted = await members()
                    for (machine, caller) in wanted where served[machine] == nil {
                        let (stop, continuation) = AsyncStream.makeStream(of: Void.self)
                        served[machine] = continuation
                        group.addTask { await serve(caller, until: stop) }
                    }
                    for machine in served.keys where wanted[machine] == nil {
                        served.removeValue(forKey: machine)?.finish()
                    }
                } while await iterator.next() != nil
                group.cancelAll()
            }
        }
    }

    private func members() async -> [MachineID: MemberAPI.Caller] {
        var members: [MachineID: MemberAPI.Caller] = [:]
        for machine in await agent.record().machines {
            guard let owner = machine.owner, owner.kind == .postgres else { continue }
            members[machine.id] = MemberAPI.Caller(machine: machine.id, cluster: owner.name, member: owner.role)
        }
        return members
    }

    private func serve(_ caller: MemberAPI.Caller, until stop: AsyncStream<Void>) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await keepServing(caller) }
            group.addTask { for await _ in stop {} }
            await group.next()
            group.cancelAll()
        }
    }

    private func keepServing(_ caller: MemberAPI.Caller) async {
        let folder = agent.configuration.machineFolder(caller.machine)
        let path = folder + "/api"
        // Hummingbird keeps a request's id in its logger, so a logger that drops everything will not do.
        var quiet = Logger(label: "roost.member")
        quiet.logLevel = .critical
        while !Task.isCancelled {
            do {
                try DurableFile.makeFolder(folder)
                unlink(path)
                let application = Application(
                    router: api.router(for: caller), configuration: .init(address: .unixDomainSocket(path: path)),
                    logger: quiet)
                try await application.run()
            } catch {
                logger.warning(
                    "a member's socket failed, opening it again",
                    metadata: ["member": "\(caller.member)", "error": "\(error)"])
            }
            try? await Task.sleep(for: Self.retryPause)
        }
        unlink(path)
    }
}
