public import RoostModel
import RoostRuntime
import RoostVolumes

/// What a command in a machine came to.
public struct CommandAnswer: Hashable, Sendable {
    public var exitCode: Int32
    public var signal: Int32?
    public var standardOutput: String
    public var standardError: String
    /// There was more of it.
    public var isOutputTruncated: Bool
    public var isErrorTruncated: Bool
}

/// A volume's file system: its blocks, and how many more files fit.
public struct VolumeSpace: Hashable, Sendable {
    public var blockSize: Int64
    public var blocks: Int64
    public var blocksFree: Int64
    public var blocksAvailable: Int64
    public var inodes: Int64
    public var inodesFree: Int64
    /// After an error of the disk.
    public var isReadOnly: Bool
}

/// Questions of the API, answered in words that need no runtime and no backend.
extension HostAgent {
    public nonisolated func runCommand(
        _ command: [String], input: String, timeout: Duration, in id: MachineID
    ) async throws(Refusal) -> CommandAnswer {
        let result = try await execute(id, ExecRequest(command: command, input: input, timeout: timeout))
        return CommandAnswer(
            exitCode: result.exitCode, signal: result.signal, standardOutput: result.standardOutput,
            standardError: result.standardError, isOutputTruncated: result.isOutputTruncated,
            isErrorTruncated: result.isErrorTruncated)
    }

    /// Nil when nobody knows: the volume is not mounted.
    public func space(of id: VolumeID) async -> VolumeSpace? {
        await usage(of: id).map {
            VolumeSpace(
                blockSize: $0.blockSize, blocks: $0.blocks, blocksFree: $0.blocksFree,
                blocksAvailable: $0.blocksAvailable, inodes: $0.inodes, inodesFree: $0.inodesFree,
                isReadOnly: $0.isReadOnly)
        }
    }
}
