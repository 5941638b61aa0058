import Glibc
import Logging
import RoostCrypto
import RoostLinux
import RoostModel
import RoostRuntime

/// Small steps: locks, records, commands. What the host's programs say goes to the host's log; whoever asked for the
/// image hears what it means.
extension OCIImageStore {
    /// The programs that write below the lock have it too (``Command/bound(to:)``): one of a process that died is
    /// gone before anybody else has the lock.
    func locked<Value: Sendable>(
        _ name: String, _ image: ImageReference, _ body: (FileLock) async throws(RuntimeError) -> Value
    ) async throws(RuntimeError) -> Value {
        let lock: FileLock
        do throws(SystemError) {
            try DurableFile.makePrivateFolder(directory, mode: 0o700)
            lock = try await FileLock.acquire("\(directory)/.\(name).lock", within: Self.lockPatience)
        } catch {
            logger.error("cannot lock an image", metadata: ["image": "\(image)", "error": "\(error)"])
            throw RuntimeError(
                code: error.code == ETIMEDOUT ? .deadlineExceeded : .failed, operation: "wait for the image",
                subject: image.description, cause: String(cString: strerror(error.code)))
        }
        defer { lock.release() }
        return try await body(lock)
    }

    /// - Returns: nil also where there is something else than a record: what a disk has lost part of is made anew.
    func read<Value: Decodable & Sendable>(_ type: Value.Type, from path: String, _ image: ImageReference)
        async throws(RuntimeError) -> Value?
    {
        do {
            return try await BlockingCall.run { () throws(JSONFileError) in try JSONFile.read(type, from: path) }
        } catch {
            let code = (error.cause as? SystemError)?.code
            guard code == nil || code == ENOTDIR else { throw failed("read the record of", image, error) }
            logger.error(
                "an image's record is damaged", metadata: ["image": "\(image)", "error": "\(error)"])
            return nil
        }
    }

    func write(_ value: some Encodable & Sendable, to path: String, _ image: ImageReference) async throws(RuntimeError)
    {
        do { try await BlockingCall.run { () throws(JSONFileError) in try JSONFile.write(value, to: path) } } catch {
            throw failed("write the record of", image, error)
        }
    }

    private func failed(_ operation: String, _ image: ImageReference, _ error: JSONFileError) -> RuntimeError {
        logger.error("an image's record failed", metadata: ["image": "\(image)", "error": "\(error)"])
        let code = (error.cause as? SystemError)?.code
        return RuntimeError(
            code: code == ENOSPC ? .noSpace : .failed, operation: operation, subject: image.description,
            cause: code.map { String(cString: strerror($0)) } ?? "it is malformed")
    }

    func removeFolder(_ path: String, _ image: ImageReference, _ lock: FileLock) async throws(RuntimeError) {
        let isThere = try await report("clear", image) { () throws(SystemError) in try DurableFile.exists(path) }
        guard isThere else { return }
        try await command("clear", image, .failed, Command("rm", ["-rf", "--one-file-system", path]).bound(to: lock))
    }

    /// - Parameter code: what it means when the program itself says no; what it lacked is never that.
    @discardableResult func command(
        _ operation: String, _ image: ImageReference, _ code: RuntimeError.Code, _ command: Command
    ) async throws(RuntimeError) -> Command.Output {
        do { return try await command.run() } catch {
            logger.warning(
                "work on an image failed",
                metadata: ["image": "\(image)", "operation": "\(operation)", "error": "\(error)"])
            let failure = ImageVerdict.of(error, judging: code)
            throw RuntimeError(
                code: failure.code, operation: operation, subject: image.description, cause: failure.words)
        }
    }

    func report<Value: Sendable>(
        _ operation: String, _ image: ImageReference, _ body: @escaping @Sendable () throws(SystemError) -> Value
    ) async throws(RuntimeError) -> Value {
        do { return try await BlockingCall.run(body) } catch {
            logger.error(
                "a step with an image failed",
                metadata: ["image": "\(image)", "operation": "\(operation)", "error": "\(error)"])
            throw RuntimeError(
                code: error.code == ENOSPC ? .noSpace : .failed, operation: operation, subject: image.description,
                cause: String(cString: strerror(error.code)))
        }
    }
}
