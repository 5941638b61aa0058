import Glibc
import RoostLinux
import RoostModel

/// The one wait of a relay.
enum Readiness {
    /// Until one of the links is ready for what it is waited for, or the moment has come.
    static func wait(for links: [Link], until wakeAt: Moment) {
        var entries = links.map { link in
            // poll(2) says a hang-up and a failure whether it is asked for anything or not. Where nothing is to be read or written
            // now, that would be said again and again, with nobody to take it.
            pollfd(fd: link.isHeard ? -1 : link.file, events: Int16(link.wanted), revents: 0)
        }
        // Rounded up: a moment too early would be one turn for nothing.
        let time = max((wakeAt - BootClock.now()).milliseconds + 1, 0)
        let count = poll(&entries, nfds_t(entries.count), Int32(clamping: time))
        for (link, entry) in zip(links, entries) { link.ready = count > 0 ? Int32(entry.revents) : 0 }
    }
}
