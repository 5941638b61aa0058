public import Logging
public import RoostHost
import RoostModel
import RoostPlanet
public import ServiceLifecycle

/// Gives up the names of this host's machines when they are destroyed. One that is missed, because the host died or the
/// store was away for long, is found when somebody wants it.
public struct MachineNameRelease: Service {
    let names: MachineNames
    let agent: HostAgent
    let logger: Logger

    static let retryPause = Duration.seconds(2)
    /// Destroyed machines that are remembered as done; a host keeps fewer rows of them.
    static let doneMax = 1024

    public init(names: MachineNames, agent: HostAgent, logger: Logger) {
        self.names = names
        self.agent = agent
        self.logger = logger
    }

    public func run() async throws {
        let changes = agent.changes.subscribe { $0.concernsMachines }
        await cancelWhenGracefulShutdown {
            var done: Set<MachineID> = []
            var iterator = changes.makeAsyncIterator()
            repeat {
                while !Task.isCancelled, await !release(&done) { try? await Task.sleep(for: Self.retryPause) }
            } while await iterator.next() != nil
        }
    }

    /// False when a name could not be given up. One whose record cannot be read holds up no other.
    private func release(_ done: inout Set<MachineID>) async -> Bool {
        let destroyed = await agent.destroyedMachines()
        if done.count > Self.doneMax { done = done.intersection(destroyed.map(\.id)) }
        var isWhole = true
        for machine in destroyed where !done.contains(machine.id) {
            do throws(Refusal) {
                try await names.release(machine.name, of: machine.app, by: machine.id)
                done.insert(machine.id)
            } catch {
                logger.debug(
                    "a machine's name is not given up yet",
                    metadata: ["machine": "\(machine.id)", "error": "\(error)"])
                isWhole = false
                // It is the store that does not answer, and would not of the others.
                if error.code == .unavailable || error.code == .outcomeUnknown { break }
            }
        }
        return isWhole
    }
}
