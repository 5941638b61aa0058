import Foundation
import Glibc
import RoostLinux
import RoostModel
import Testing

@testable import RoostVolumes

/// What checks a file system that a tenant wrote has that one device, and nothing else of the host.
@Suite(.serialized, .timeLimit(.minutes(2)))
struct CellTests {
    /// Runs `body` with a loop device that is free again afterwards.
    private func withDevice(_ body: (LoopDevice, String) async throws -> Void) async throws {
        let path = "/var/tmp/roost-cell-test-\(getpid())"
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        try #require(file >= 0 && ftruncate(file, 64 << 20) == 0)
        defer {
            close(file)
            unlink(path)
        }
        let (device, opened) = try LoopDevice.attach(file: file, path: path)
        defer { close(opened) }
        try await body(device, path)
    }

    private func run(_ script: String, _ device: LoopDevice) async throws -> Command.Output {
        try await DeviceCell.command(["sh", "-c", script], for: device, deadline: .seconds(20)).outcome()
    }

    @Test("It has a user of its own, no capabilities, one device, no network, and sees no process of the host")
    func nothingElse() async throws {
        try await withDevice { device, _ in
            let facts = try await run(
                """
                id -u; id -G; grep -E '^(CapEff|CapBnd|CapPrm|NoNewPrivs)' /proc/self/status | tr -d '\t\n'; echo
                ls /proc | grep -c '^[0-9]'; grep -c : /proc/net/dev; ls /run
                head -c 512 \(device.path) >/dev/null 2>&1 || echo refused
                cat /etc/shadow >/dev/null 2>&1 || echo refused
                head -c 512 \(DeviceCell.device) | wc -c; echo text | dd of=\(DeviceCell.device) 2>/dev/null && echo written
                ulimit -v; ulimit -n
                for place in \(DeviceCell.hidden.joined(separator: " ")); do
                    touch $place/left 2>/dev/null; ls $place | grep -v '^volume$'
                done
                """, device)
            let lines = facts.standardOutput.split(separator: "\n").map(String.init)
            let nothing = "CapPrm:0000000000000000CapEff:0000000000000000CapBnd:0000000000000000NoNewPrivs:1"
            let processes = Int(lines.dropFirst(3).first ?? "") ?? .max
            #expect(processes < 12, "\(facts)")
            let users = Set(lines.prefix(2))
            #expect(
                users.count == 1 && users.allSatisfy { UInt32($0).map(DeviceCell.users.contains) == true }, "\(facts)")
            #expect(lines.dropFirst(2).first == nothing, "\(facts)")
            #expect(
                lines.dropFirst(4) == [
                    "1", "volume", "refused", "refused", "512", "written", "\(DeviceCell.memoryMax.bytes >> 10)",
                    "\(DeviceCell.filesMax)",
                ], "\(facts)")
        }
    }

    @Test("It ends with its deadline, and all that it has started with it")
    func deadline() async throws {
        try await withDevice { device, _ in
            let mark = "600.\(getpid())"
            let command = DeviceCell.command(
                ["sh", "-c", "sleep \(mark) & sleep \(mark)"], for: device, deadline: .milliseconds(800))
            let error = await #expect(throws: CommandError.self) { try await command.run() }
            #expect(error?.summary.contains("did not end within") == true, "\(String(describing: error))")
            let isGone = try await poll(for: .seconds(10)) { () -> Bool? in
                let left = try await Command("pgrep", ["-f", "^sleep \(mark)"]).outcome()
                return left.status == 0 ? nil : true
            }
            #expect(isGone == true)
        }
    }

    @Test("What tenants run as nobody takes no process from it")
    func crowd() async throws {
        let mark = "601.\(getpid())"
        let crowd = try (0..<DeviceCell.processesMax).map { _ in
            try ChildProcess(
                "setpriv", arguments: ["--reuid=65534", "--regid=65534", "--clear-groups", "--", "sleep", mark])
        }
        defer { for process in crowd { process.end() } }
        let isThere = try await poll(for: .seconds(10)) { () -> Bool? in
            let count = try await Command("pgrep", ["-c", "-u", "65534", "-f", "^sleep \(mark)"]).outcome()
            return Int(count.standardOutput.filter(\.isNumber)) == DeviceCell.processesMax ? true : nil
        }
        #expect(isThere == true)
        try await withDevice { device, _ in
            let said = try await run("echo here", device)
            #expect(said.status == 0 && said.standardOutput == "here\n", "\(said)")
        }
    }

    @Test("A check that did not take place is none, whatever its status says", arguments: [0, 1, 3])
    func unchecked(status: Int) async throws {
        try await withDevice { device, _ in
            try await Command("mkfs.ext4", ["-q", "-F", device.path]).run()
            try await Command("debugfs", ["-w", "-R", "ssv state 2", device.path]).run()
            await #expect(throws: CommandError.self) {
                try await FilesystemCheck.repair(device, by: ["sh", "-c", "exit \(status)"])
            }
            #expect(try FilesystemCheck.verdict(of: device.path) == .needsCheck)
        }
    }

    @Test("What works on a volume dies with the process that began it")
    func bound() async throws {
        try await withDevice { device, path in
            #expect(DeviceCell.command(["true"], for: device, deadline: .seconds(1)).isBound)
            #expect(VolumeFile.formatting(path).isBound)
        }
    }

    @Test("A file system is called damaged only by who has looked at it")
    func verdicts() {
        let error = { (cause: CommandError.Cause) in CommandError(command: "unshare", cause: cause) }
        for status: Int32 in [4, 5, 6, 7, 12] { #expect(FilesystemCheck.isVerdict(error(.exited(status, "")))) }
        // "Corrected" by nobody, the device is in use, the cell was not made, not started, killed.
        for status: Int32 in [1, 8, DeviceCell.unmade, 126, 127, 128 + 9] {
            #expect(!FilesystemCheck.isVerdict(error(.exited(status, ""))), "\(status)")
        }
        #expect(!FilesystemCheck.isVerdict(error(.notStarted("EAGAIN"))))
        #expect(!FilesystemCheck.isVerdict(error(.deadlineExceeded(.seconds(600)))))
    }

    @Test("A damaged file system is mended in there")
    func mends() async throws {
        try await withDevice { device, path in
            try await Command("mkfs.ext4", ["-q", "-F", device.path]).run()
            // As after an error: e2fsck has to look at all of it.
            try await Command("debugfs", ["-w", "-R", "ssv state 2", device.path]).run()
            #expect(try FilesystemCheck.verdict(of: device.path) == .needsCheck)
            try await FilesystemCheck.repair(device)
            #expect(try FilesystemCheck.verdict(of: device.path) == .clean)
        }
    }
}
