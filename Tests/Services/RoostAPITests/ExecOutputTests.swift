import Foundation
import RoostWire
import Testing

@Suite struct ExecOutputTests {
    /// Counted as they are written, output comes back as long as the answer can carry it, and no longer.
    @Test(arguments: ["\n", "\t", "\r", "\u{8}", "\u{c}", "\"", "\\", "/", "\u{1}", "\u{1f}", "\u{7f}", "a", "é", "😀"])
    func outputIsCutWhereItsJSONWouldBeTooLong(letter: String) throws {
        let text = String(repeating: letter, count: ExecResponse.textBytesMax + 1)
        let answer = ExecResponse(exitCode: 0, exitSignal: 0, stdout: text, stderr: letter)
        #expect(answer.isOutputCut == true && answer.isErrorCut != true)
        let written = try JSONEncoder().encode([answer.stdout]).count - #"[""]"#.utf8.count
        #expect((ExecResponse.textBytesMax - 6...ExecResponse.textBytesMax).contains(written), "\(written)")
    }
}
