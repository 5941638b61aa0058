import Foundation
import RoostLinux
import Testing

/// What somebody types who has a page open in the worst hour has to work as it stands there.
@Suite("What the pages say to etcdctl")
struct EtcdctlPageTests {
    private static func text(of page: String) throws -> String {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "../../..")
        return try String(contentsOf: root.appending(path: "docs/\(page)"), encoding: .utf8)
    }

    /// What is printed as code: lines that are indented, and what is between backticks.
    private static func code(in page: String) -> [String] {
        page.split(separator: "\n").flatMap { line -> [String] in
            guard line.hasPrefix("    "), !line.contains("`") else {
                let parts = line.split(separator: "`", omittingEmptySubsequences: false)
                return parts.indices.filter { $0 % 2 == 1 }.map { String(parts[$0]) }
            }
            return [line.trimmingCharacters(in: .whitespaces)]
        }
    }

    /// Those that ask a member and change nothing.
    private static func asksMember(_ code: String) -> Bool {
        code.contains("etcdctl endpoint ") || code.contains("etcdctl snapshot save")
    }

    @Test("each command that asks a member works as it is printed, in a shell that has been told what the page says")
    func commands() async throws {
        let (operations, lab) = (try Self.text(of: "operations.md"), try Self.text(of: "lab.md"))
        let told = Self.code(in: operations).filter { $0.hasPrefix("export ETCDCTL_") }
        let printed = Self.code(in: operations + lab).filter(Self.asksMember)
        for what in ["snapshot save", "endpoint status"] { #expect(printed.contains { $0.contains(what) }, "\(what)") }
        try await EtcdCluster.with(members: 3) { cluster in
            let folder = try TestFolder()
            for line in printed {
                let inLab = line.split(separator: " -- ", maxSplits: 1)
                // A host of a lab knows nothing of the shell.
                let isAlone = line.hasPrefix("roost lab exec") && inLab.count == 2
                var script = (isAlone ? [String(inLab[1])] : told + [line]).joined(separator: "\n")
                    .replacing("FILE", with: folder.path + "/copy")
                for (index, endpoint) in cluster.endpoints.enumerated() {
                    script = script.replacing("http://[fdaa:…::\(index + 1)]:2379", with: endpoint)
                }
                // etcdctl gives up after 5 s, which a busy computer may take.
                let isDone = try await poll(for: .seconds(30)) { [script] in
                    try await Command("sh", ["-c", script]).outcome().status == 0 ? true : nil
                }
                #expect(isDone == true, "\(line)")
            }
        }
    }
}
