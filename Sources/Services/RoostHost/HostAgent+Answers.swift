public import RoostModel
import RoostRuntime
import RoostVolumes

/// What a command in a machine came to.
public struct CommandAnswer: Hashable, Sendable {
    public var exitCode: Int32
    public var signal: Int32?
    public var standardOutput: String
    public var standardError: String
}

/// A volume's file system, in blocks.
public struct VolumeSpace: Hashable, Sendable {
    public var blockSize: Int64
    public var blocks: Int64
    public var blocksFree: Int64
    public var blocksAvailable: Int64
}

/// Questions of the API, answered in words that need no runtime and no backend.
extension HostAgent {
    public nonisolated func runCommand(
        _ command: [String], input: String, timeout: Duration, in id: MachineID
    ) async throws(Refusal) -> CommandAnswer {
        let result = try await execute(id, ExecRequest(command: command, input: input, timeout: timeout))
        return CommandAnswer(
            exitCode: result.exitCode, signal: result.signal, standardOutput: result.standardOutput,
            standardError: result.standardError)
    }

    /// Nil when nobody knows: the volume is not mounted.
    public func space(of id: VolumeID) async -> VolumeSpace? {
        await usage(of: id).map {
            VolumeSpace(
                blockSize: $0.blockSize, blocks: $0.blocks, blocksFree: $0.blocksFree,
                blocksAvailable: $0.blocksAvailable)
        }
    }
}
