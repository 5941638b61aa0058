import Foundation
import Glibc
import RoostFailover
import RoostLinux
import RoostModel
import Testing

@testable import RoostPostgres

@Suite struct MemberFileTests {
    /// A folder of its own until `body` is over; with a size, a file system of its own.
    private static func withFolder(size: ByteCount? = nil, _ body: (String) throws -> Void) throws {
        let folder = NSTemporaryDirectory() + "roost-member-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        try DurableFile.makeFolder(folder)
        defer {
            umount2(folder, Int32(MNT_DETACH))
            try? FileManager.default.removeItem(atPath: folder)
        }
        if let size { try #require(mount("tmpfs", folder, "tmpfs", 0, "size=\(size.bytes),mode=755") == 0) }
        try body(folder)
    }

    private static func state(_ promised: UInt64) throws -> DurableState {
        DurableState(
            promised: Epoch(promised), chain: [Reign(epoch: .first, leader: try MemberName("m1"), begin: .zero)],
            data: .usable, led: .first)
    }

    private static func fill(_ folder: String) {
        let filler = open(folder + "/filler", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        let chunk = [UInt8](repeating: 1, count: 4096)
        while write(filler, chunk, chunk.count) > 0 {}
        close(filler)
    }

    private static func text(_ path: String) throws -> String {
        String(decoding: try DurableFile.read(path) ?? [], as: UTF8.self)
    }

    @Test func whatWasWrittenIsReadAndDamageIsAnError() throws {
        try Self.withFolder { folder in
            let path = folder + "/roost-member.json"
            let file = MemberFile(path)
            #expect(try file.read() == nil)
            try file.settle(DurableState())
            let state = try Self.state(3)
            try file.write(state)
            #expect(try MemberFile(path).read() == state)
            // Of what counts, nothing is left.
            let slots = folder + "/roost-member.slots"
            let length = try #require(try DurableFile.read(slots)).count
            try DurableFile.write([UInt8](repeating: 7, count: length), to: slots)
            #expect(throws: MemberFileError.self) { try MemberFile(path).read() }
            unlink(slots)
            #expect(throws: MemberFileError.self) { try MemberFile(path).read() }
            // What a program before the slots has written, damaged.
            try DurableFile.write("{\"promised\":", to: path)
            #expect(throws: MemberFileError.self) { try MemberFile(path).read() }
        }
    }

    @Test(
        "A member on a full volume can promise, and one whose file an earlier version wrote keeps it until there is room"
    )
    func full() throws {
        try Self.withFolder(size: .mebibytes(1)) { folder in
            let path = folder + "/roost-member.json"
            let file = MemberFile(path)
            #expect(try file.read() == nil)
            try file.settle(DurableState())
            Self.fill(folder)
            #expect(throws: SystemError.self, "it is full") { try DurableFile.write("{}", to: folder + "/other") }
            for promised in 1...5 {
                try file.write(try Self.state(UInt64(promised)))
                #expect(try MemberFile(path).read() == Self.state(UInt64(promised)))
            }
        }
        try Self.withFolder(size: .mebibytes(1)) { folder in
            let path = folder + "/roost-member.json"
            try DurableFile.write(Self.written[0], to: path)
            Self.fill(folder)
            let file = MemberFile(path)
            #expect(try file.read() == Self.state(3))
            #expect(file.isOfEarlierVersion)
            #expect(throws: MemberFileError.self) { try file.settle(Self.state(3)) }
            #expect(throws: MemberFileError.self) { try file.write(Self.state(4)) }
            #expect(try MemberFile(path).read() == Self.state(3), "nothing was promised")
            #expect(try Self.text(path) == Self.written[0])
            unlink(folder + "/filler")
            try file.write(Self.state(4))
            #expect(try MemberFile(path).read() == Self.state(4))
        }
    }

    @Test("However far a write came when the power went, the record is the one before or the new one")
    func tornWrites() throws {
        try Self.withFolder { folder in
            let path = folder + "/roost-member.json"
            let slots = folder + "/roost-member.slots"
            let file = MemberFile(path)
            _ = try file.read()
            for promised in 1...4 { try file.write(Self.state(UInt64(promised))) }
            let before = try #require(try DurableFile.read(slots))
            try file.write(Self.state(5))
            let after = try #require(try DurableFile.read(slots))
            let changed = before.indices.filter { before[$0] != after[$0] }
            let (first, last) = (try #require(changed.first), try #require(changed.last))
            // One place alone is touched, and it is not the one that counted.
            #expect(first / PledgeSlots.size == last / PledgeSlots.size)
            for cut in first...last {
                try DurableFile.write(Array(after[..<cut] + before[cut...]), to: slots)
                #expect(try MemberFile(path).read() == Self.state(4), "\(cut - first) bytes were written")
            }
            try DurableFile.write(after, to: slots)
            #expect(try MemberFile(path).read() == Self.state(5))
        }
    }

    /// As programs before the slots have written it, one for each shape that there was. They stay.
    private static let written = [
        #"{"chain":[{"begin":0,"epoch":1,"leader":"m1"}],"data":"usable","led":1,"promised":3}"#,
        #"{"chain":[{"begin":0,"epoch":1,"leader":"m1"},{"begin":50331976,"epoch":4,"leader":"m2"}],"data":"rewinding","led":0,"promised":4,"timeline":2}"#,
    ]

    @Test(
        "What a member has kept is read by every later version, and what a newer one put beside it is still there after",
        arguments: written)
    func otherVersions(text: String) throws {
        try Self.withFolder { folder in
            let path = folder + "/roost-member.json"
            try DurableFile.write(text, to: path)
            var file = MemberFile(path)
            var state = try #require(try file.read())
            try file.settle(state)
            try file.write(state)
            // Stopped in order, it leaves what every version reads.
            try file.leave(state)
            #expect(try Self.text(path) == text)
            // The next version has a field of its own, in the whole and in a reign.
            try DurableFile.write(
                text.replacing(#""led""#, with: #""future":{"a":[1,true]},"led""#)
                    .replacing(#""epoch":1,"#, with: #""epoch":1,"future":"kept","#), to: path)
            file = MemberFile(path)
            state = try #require(try file.read())
            state.promised = Epoch(9)
            state.timeline = nil
            try file.write(state)
            // Another life of the same program.
            file = MemberFile(path)
            #expect(try file.read() == state)
            try file.settle(state)
            try file.write(state)
            try file.leave(state)
            let after = try Self.text(path)
            #expect(
                after.contains(#""future":{"a":[1,true]}"#) && after.contains(#""epoch":1,"future":"kept""#), "\(after)"
            )
            #expect(after.contains(#""promised":9"#) && !after.contains("timeline"), "\(after)")
            #expect(try MemberFile(path).read() == state)
            // A word says what the data is worth: one that is not known is no state to act on.
            try DurableFile.write(
                text.replacing("\"usable\"", with: "\"shared\"").replacing("\"rewinding\"", with: "\"shared\""),
                to: path)
            #expect(throws: MemberFileError.self) { try MemberFile(path).read() }
        }
    }

    @Test(
        "An earlier version's program never acts on what a later one has gone beyond, and what it wrote itself counts")
    func backAndForth() throws {
        try Self.withFolder { folder in
            let path = folder + "/roost-member.json"
            try DurableFile.write(Self.written[0], to: path)
            let file = MemberFile(path)
            let state = try #require(try file.read())
            try file.settle(state)
            // Killed from here on: the program before the slots finds nothing that it could read.
            #expect(throws: (any Error).self) {
                try JSONDecoder().decode(DurableState.self, from: Data(Self.text(path).utf8))
            }
            try file.write(Self.state(7))
            try file.leave(Self.state(7))
            let left = try JSONDecoder().decode(DurableState.self, from: Data(Self.text(path).utf8))
            #expect(try left == Self.state(7))
            // It goes on from there, and so does the later one after it.
            try DurableFile.write(Self.text(path).replacing("\"promised\":7", with: "\"promised\":8"), to: path)
            let next = MemberFile(path)
            #expect(try next.read() == Self.state(8))
            try next.write(Self.state(9))
            #expect(try MemberFile(path).read() == Self.state(9))
        }
    }
}
