import Glibc
import RoostLinux
import Testing

@Suite("The program that runs") struct RunningProgramTests {
    @Test("is a file, in the folder that is named")
    func path() throws {
        let path = try RunningProgram.path()
        #expect(path.hasPrefix(RunningProgram.folder + "/") && access(path, X_OK) == 0)
    }

    @Test(
        "A path's folder is what stands before its last slash",
        arguments: [("/opt/roost/bin/roostd", "/opt/roost/bin"), ("/roostd", ""), ("roostd", ".")])
    func folder(path: String, folder: String) { #expect(RunningProgram.folder(of: path) == folder) }
}
