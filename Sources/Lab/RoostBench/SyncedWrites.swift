import FoundationEssentials
import RoostLab
import RoostLinux

/// fio, writing 8 kB after 8 kB into a file that is already there, with a flush after each.
struct SyncedWrites: Sendable {
    enum Flush: String, CaseIterable {
        /// What Postgres does with its log (https://www.postgresql.org/docs/17/runtime-config-wal.html).
        case fdatasync
        /// The file's times too, by way of the filesystem's journal.
        case fsync
    }

    var site: BenchSite
    var folder: String

    private static let sizeMebibytes = 256
    private static let length = Duration.seconds(3)
    private static let patience = Duration.seconds(60)

    private var file: String { folder + "/bench.dat" }

    private var words: [String] {
        [
            "fio", "--name=bench", "--filename=\(file)", "--size=\(Self.sizeMebibytes)m", "--rw=write",
            "--ioengine=psync", "--fallocate=none", "--output-format=json", "--eta=never",
        ]
    }

    func layOut() async throws {
        try await site.run(["mkdir", "-p", folder])
        try await site.run(words + ["--bs=1m", "--end_fsync=1"], deadline: Self.patience)
    }

    func writesPerSecond(_ flush: Flush) async throws -> Double {
        let seconds = Self.length.components.seconds
        let output = try await site.run(
            words + ["--bs=8k", "--\(flush.rawValue)=1", "--overwrite=1", "--time_based", "--runtime=\(seconds)"],
            deadline: Self.patience)
        guard let found = Self.writesPerSecond(in: output), found > 0 else {
            throw LabError(.failed, "fio said nothing of its writes in \(folder): \(output.suffix(300))")
        }
        return found
    }

    func remove() async throws { try await site.run(["rm", "-f", file]) }

    /// fio may say something before the JSON.
    static func writesPerSecond(in output: String) -> Double? {
        struct Report: Decodable {
            struct Job: Decodable {
                struct Side: Decodable { var iops: Double }
                var write: Side
            }
            var jobs: [Job]
        }
        let text = output.drop { $0 != "{" }
        return try? JSONDecoder().decode(Report.self, from: Data(text.utf8)).jobs.first?.write.iops
    }
}
