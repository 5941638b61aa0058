import Glibc
import RoostLinux
import Testing

@testable import RoostLab

@Suite struct TeardownTests {
    @Test("A lab that goes leaves no word that its hosts use the images of this computer, and takes nobody else's")
    func leavesImages() throws {
        let images = "/tmp/roost-teardown-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        let owners = images + "/owners"
        try DurableFile.makeFolder(owners)
        let paths = LabPaths(name: "here")
        let marks = [
            "a": "ams1 \(paths.hostState("ams1"))", "b": "ams2 \(paths.hostState("ams2"))",
            "c": "ams1 \(LabPaths(name: "here2").hostState("ams1"))", "d": "ams1 /var/lib/roost", "e": "",
        ]
        defer {
            for name in marks.keys { unlink("\(owners)/\(name)") }
            rmdir(owners)
            rmdir(images)
        }
        for (name, mark) in marks { try DurableFile.write(mark, to: "\(owners)/\(name)") }
        let teardown = Teardown(paths: paths)
        teardown.leaveImages(in: images)
        #expect(try FolderListing.names(in: owners) == ["c", "d", "e"])
        teardown.leaveImages(in: images + "/none")
    }
}
