import Glibc
import RoostLinux
import Testing

@Suite struct OpenFilesTests {
    @Test("The limit is as high as it may be")
    func raised() {
        let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        getrlimit(kind, &limit)
        // Lower, so that there is something to raise.
        limit.rlim_cur = min(limit.rlim_max, max(limit.rlim_cur, 2048) - 1)
        setrlimit(kind, &limit)
        #expect(OpenFiles.raiseLimit() == Int(clamping: limit.rlim_max))
        getrlimit(kind, &limit)
        #expect(limit.rlim_cur == limit.rlim_max)
    }
}
