import RoostModel
import RoostWire

/// BIRD's configuration file (2.0.12), and the names of what is in it.
///
/// Two static protocols hold the prefixes, one to announce plainly and one to announce as the last choice; both are
/// disabled at the start. To enable or disable one reaches the neighbours in milliseconds and needs no new
/// configuration, so that is all that ever changes. A BIRD that runs and reads its configuration anew takes from it which
/// of them are disabled, and would withdraw at that: so there is a text for each that it may announce.
struct BirdText: Sendable {
    let configuration: AnycastConfiguration
    /// By a BIRD that reads it.
    var announced = EdgeHealth.down

    static let up = "roost_up"
    static let drain = "roost_drain"
    static let uplinkPrefix = "uplink_"

    /// BIRD's own defaults (hold 240 s, retry 120 s, error wait 60–300 s) keep an edge away for minutes after a blip.
    private static let timers = """
            hold time 9; keepalive time 3; connect retry time 5; connect delay time 1;
            error wait time 1, 10; error forget time 30;
            bfd { interval 100 ms; multiplier 5; };
        """
    /// More than a provider sends to an edge that asked for no full table.
    private static let importedRoutesMax = 10_000
    /// Of a prefix that is routed between providers (RFC 7454, 6.1.3).
    private static let importedLengthMax = 24
    /// This host, links, multicast, nobody (RFC 6890): never on the way to elsewhere. Private and shared ranges are let
    /// through, since an uplink may be a router of one's own.
    private static let martians = "0.0.0.0/8+, 127.0.0.0/8+, 169.254.0.0/16+, 224.0.0.0/3+"
    /// For the neighbours to tell their routes again to a BIRD that has just started.
    private static let recoverySeconds = 5

    var text: String {
        let routes = configuration.prefixes.map { "    route \($0) blackhole;" }.joined(separator: "\n")
        let own = configuration.prefixes.map { "\($0)+" }.joined(separator: ", ")
        let localAS = configuration.localAS
        let uplinks = configuration.uplinks.map(uplink).joined(separator: "\n")
        return """
            # Written by roostd at each start: changes made here are lost.
            log stderr { warning, error, fatal, bug };
            router id \(configuration.routerID);
            graceful restart wait \(Self.recoverySeconds);

            protocol device { scan time 10; }
            protocol bfd { }

            protocol static \(Self.up) {
                disabled\(announced == .healthy ? " no" : "");
                ipv4;
            \(routes)
            }
            protocol static \(Self.drain) {
                disabled\(announced == .draining ? " no" : "");
                ipv4;
            \(routes)
            }

            filter roost_export {
                if proto = "\(Self.up)" then accept;
                if proto = "\(Self.drain)" then {
                    # GRACEFUL_SHUTDOWN of RFC 8326, and a longer path for those who do not know it.
                    bgp_community.add((65535, 0));
                    bgp_path.prepend(\(localAS));
                    bgp_path.prepend(\(localAS));
                    accept;
                }
                reject;
            }
            \(configuration.importsRoutes ? imports(own: own) : "")
            \(uplinks)
            """ + "\n"
    }

    private func imports(own: String) -> String {
        let source = configuration.sourceAddress.map { "\n            krt_prefsrc = \($0);" } ?? ""
        return """
            # The way to everywhere, and what the Internet routes at all: nothing that is part of somebody's prefix only,
            # nothing that is nobody's.
            filter roost_import {
                if net ~ [ \(own) ] then reject;
                if net = 0.0.0.0/0 then accept;
                if net.len > \(Self.importedLengthMax) then reject;
                if net ~ [ \(Self.martians) ] then reject;
                accept;
            }
            protocol kernel {
                persist;
                graceful restart;
                merge paths on;
                ipv4 {
                    import none;
                    export filter {
                        if source != RTS_BGP then reject;\(source)
                        accept;
                    };
                };
            }
            """
    }

    private func uplink(_ uplink: EdgeUplink) -> String {
        let imported =
            configuration.importsRoutes
            ? "import limit \(Self.importedRoutesMax) action block; import filter roost_import;" : "import none;"
        return """
            protocol bgp '\(Self.uplinkPrefix)\(uplink.name)' {
                local \(uplink.local) as \(configuration.localAS);
                neighbor \(uplink.neighbor) as \(uplink.neighborAS);
                direct;
            \(uplink.password.map { "    password \"\($0)\";" } ?? "")
            \(uplink.checksTTL == true ? "    ttl security on;" : "")
            \(Self.timers)
                ipv4 {
                    \(imported)
                    export filter roost_export;
                };
            }
            """
    }
}
