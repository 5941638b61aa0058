import CLinux
import Glibc
import RoostLinux
import RoostModel
import Testing

@testable import RoostAnycast

@Suite struct GuardAdmissionTests {
    @Test("Who cannot be let in is looked at again after a pause, and spoken of once")
    func pauses() {
        var admission = GuardAdmission()
        let now = Moment(sinceBoot: .seconds(100))
        #expect(admission.nextTry(at: now) == nil)
        var isSaid = admission.failed(at: now)
        #expect(isSaid)
        #expect(admission.nextTry(at: now) == now + GuardAdmission.pause)
        #expect(admission.nextTry(at: now + GuardAdmission.pause) == nil)
        isSaid = admission.failed(at: now + GuardAdmission.pause)
        #expect(!isSaid)
        for code in [EMFILE, ENFILE, ENOMEM, ENOBUFS] { #expect(!GuardAdmission.isOfOneVisitor(code)) }
        // One who has gone again closes nothing for the next.
        for code in [ECONNABORTED, EAGAIN, EINTR] { #expect(GuardAdmission.isOfOneVisitor(code)) }
        admission.succeeded()
        #expect(admission.nextTry(at: now + GuardAdmission.pause) == nil)
        isSaid = admission.failed(at: now)
        #expect(isSaid)
    }
}
