import RoostLinux
import Testing

@Suite struct MountTableTests {
    /// As a kernel writes it: optional fields before the dash or none, odd characters as three octal digits.
    private static let text = #"""
        22 28 0:21 / /sys rw,nosuid shared:7 - sysfs sysfs rw
        30 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw,errors=remount-ro
        41 30 0:44 / /run/a\040b\134c rw shared:9 master:2 - overlay overlay rw,lowerdir=/x\054y,upperdir=/u
        42 30 0:45 / /run/a\040b\134c rw - tmpfs none
        43 30 0:46 / /run/half rw
        half a line

        """#

    @Test func readsWhatTheKernelWrites() throws {
        let table = MountTable(mountinfo: Self.text)
        #expect(table.mounts.map(\.point) == ["/sys", "/", #"/run/a b\c"#, #"/run/a b\c"#])
        #expect(table.mounts.map(\.type) == ["sysfs", "ext4", "overlay", "tmpfs"])
        let root = try #require(table.at("/"))
        #expect(root.device == "8:1" && root.source == "/dev/sda1" && root.options == "rw,errors=remount-ro")
        #expect(table.mounts[2].options == "rw,lowerdir=/x,y,upperdir=/u")
        #expect(table.at(#"/run/a b\c"#)?.type == "tmpfs", "the last one is the one that is seen")
        #expect(table.at("/run/half") == nil)
    }

    @Test func seesThisComputersOwn() throws {
        #expect(try MountTable.current().mounts.contains { $0.point == "/proc" && $0.type == "proc" })
    }
}
