/// BIRD's configuration of a provider's router.
///
/// The nearest exit wins, whoever's it is: MED carries the round trip in milliseconds that a route has gathered on
/// its way, and decides before anything else. That is how a client lands on the edge of its own region while there
/// is one, and on the next nearest when there is none.
struct PopRouting {
    let pop: LabPop
    let regionPrefix: String
    let run: String

    /// Withdrawals must be seen within a second: both ends of every session use these.
    static let customerBFDMilliseconds = 100
    static let providerBFDMilliseconds = 200
    static let bfdMultiplier = 5

    var text: String {
        """
        # \(pop.provider) (AS \(pop.number)) in \(pop.region).
        log "\(run)/\(pop.name).bird.log" 1048576 "\(run)/\(pop.name).bird.log.old" { info, warning, error, fatal, bug };
        router id \(pop.router);

        \(statics)
        \(filters)
        \(sessions)
        """
    }

    private var statics: String {
        var certain = ""
        var fallback = ""
        for customer in pop.customers {
            let route = "    route \(customer.address)/32 via \(customer.remote)"
            certain += route + (customer.isEdge ? " bfd;\n" : ";\n")
            if customer.isEdge { fallback += route + ";\n" }
        }
        let intervals = pop.customers.filter(\.isEdge).map { customer in
            """
                interface "\(customer.interface)" { interval \(Self.customerBFDMilliseconds) ms; \
            multiplier \(Self.bfdMultiplier); };

            """
        }.joined()
        return """
            protocol device { scan time 10; }
            protocol direct { ipv4; }
            protocol bfd {
            \(intervals)    interface "*" { interval \(Self.providerBFDMilliseconds) ms; multiplier \(Self.bfdMultiplier); };
            }
            protocol kernel {
                scan time 20;
                ipv4 { import none; export where source != RTS_DEVICE && net != 0.0.0.0/0; };
            }

            # Customers. Who has two uplinks is reached over one that BFD finds alive; while it does not speak BFD,
            # over any.
            protocol static customers {
                ipv4 { preference 200; };
            \(certain)}
            protocol static fallback {
                ipv4 { preference 50; };
            \(fallback)}
            protocol static region {
                ipv4;
                route \(regionPrefix) unreachable;
            }
            protocol static everything {
                ipv4;
                route 0.0.0.0/0 unreachable;
            }

            """
    }

    private var filters: String {
        """
        # Nearest first; who drains (RFC 8326) after everybody who does not.
        function weigh(int milliseconds) {
            if ! defined(bgp_med) then bgp_med = 0;
            bgp_med = bgp_med + milliseconds;
            if (65535, 0) ~ bgp_community then bgp_local_pref = 100000 - bgp_med;
            else bgp_local_pref = 200000 - bgp_med;
        }
        filter from_customer {
            if net !~ [ \(LabAddresses.anycast){24,32} ] then reject;
            if bgp_path.first != \(LabPlan.platformNumber) then reject;
            bgp_med = 0;
            weigh(0);
            accept;
        }
        filter to_provider {
            if net = 0.0.0.0/0 || proto = "fallback" then reject;
            # Another AS is told the distance too.
            if defined(bgp_med) then bgp_med = bgp_med + 0; else bgp_med = 0;
            accept;
        }
        template bgp session {
            hold time 9;
            connect delay time 1;
            connect retry time 2;
            error wait time 1, 2;
            error forget time 10;
            bfd yes;
        }

        """
    }

    private var sessions: String {
        var text = ""
        for neighbor in pop.neighbors {
            let name = Self.symbol(neighbor.name)
            let direct = neighbor.kind == .backbone ? " direct;" : ""
            text += """
                protocol bgp \(name) from session {
                    local \(neighbor.local) as \(pop.number);
                    neighbor \(neighbor.remote) as \(neighbor.number);\(direct)
                    ipv4 {
                        import filter { weigh(\(neighbor.distance)); accept; };
                        export filter to_provider;
                        next hop self;
                    };
                }

                """
        }
        for customer in pop.customers where customer.isEdge {
            text += """
                protocol bgp \(Self.symbol(customer.name)) from session {
                    local \(customer.local) as \(pop.number);
                    neighbor \(customer.remote) as \(LabPlan.platformNumber);
                    ipv4 {
                        import filter from_customer;
                        import limit 64 action block;
                        export where net = 0.0.0.0/0;
                        next hop self;
                    };
                }

                """
        }
        return text
    }

    /// BIRD's symbols have no '-'.
    static func symbol(_ name: String) -> String { name.split(separator: "-").joined(separator: "_") }
}
