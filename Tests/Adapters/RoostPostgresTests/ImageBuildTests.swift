import Glibc
import RoostLinux
import RoostPostgresImage
import Testing

@Suite(.serialized, .timeLimit(.minutes(10)))
struct ImageBuildTests {
    @Test("A build takes away what one that died has left, also where there is nothing to build")
    func leftovers() async throws {
        _ = try await TestRoot.shared.path()
        let layout = PostgresImage.layoutDefault
        let left = ["debian.left-\(getpid())", "guard.left-\(getpid()).root"].map { "\(layout)/\($0)" }
        try DurableFile.write("half", to: left[0])
        try DurableFile.makeFolder(left[1] + "/usr")
        #expect(try await PostgresImage.build(to: layout, program: try TestRoot.program()) == .unchanged)
        for path in left { #expect(try !DurableFile.exists(path), "\(path)") }
    }
}
