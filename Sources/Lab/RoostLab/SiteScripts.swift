import RoostModel

/// The shell scripts that bring a site up: short, and readable in the lab's folder when something is wrong.
struct SiteScripts {
    let plan: LabPlan
    let paths: LabPaths
    let cgroups: ControlGroups.Version
    /// Where `roostd` and `roost-wan` are.
    public let programFolder: String

    init(plan: LabPlan, cgroups: ControlGroups.Version, programFolder: String) {
        self.plan = plan
        paths = LabPaths(name: plan.shape.name)
        self.cgroups = cgroups
        self.programFolder = programFolder
    }

    static let searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    private static let logBytesMax = 1_000_000
    private static let logFilesMax = 5
    /// What the store's session is worth beside the others (sched(7), "The autogroup feature"; runsvdir -P gives every
    /// service a session): 28 times as much. As one among a hundred sessions an etcd gets a hundredth of the processor, is
    /// late with its heartbeats, loses its leader, and all hosts ask again at once. On a real host it has a computer, or
    /// a unit with a weight.
    private static let storeNice = -15

    /// The first lines of every script that stays: leave the caller's terminal, join the site's group.
    private func head(_ site: String, _ purpose: String) -> String {
        """
        #!/bin/sh
        # \(purpose)
        set -eu
        exec >>'\(paths.logFile(site))' 2>&1 </dev/null
        cd /
        echo 0 >'\(ControlGroups(version: cgroups).processFile(of: paths.cgroup(site)))'
        exec env -i PATH=\(Self.searchPath) HOME=/root LANG=C.UTF-8 \\

        """
    }

    var wan: String {
        head(LabPaths.wanSite, "Carries the packets between all sites.") + """
                '\(programFolder)/roost-wan' --config '\(paths.wanConfigFile)' --control '\(paths.wanSocket)'

            """
    }

    func pop(_ pop: LabPop) -> String {
        head(pop.name, "Routes for \(pop.provider) in \(pop.region).") + """
                nsenter --net='\(paths.namespace(pop.name))' \\
                bird -f -c '\(paths.files(pop.name))/bird.conf' \\
                -s '\(paths.runFolder)/\(pop.name).ctl' -P '\(paths.runFolder)/\(pop.name).pid'

            """
    }

    /// Starts the host's process 1 in namespaces of its own. The host dies with it.
    func host(_ host: LabHost) -> String {
        head(host.name.text, "Boots \(host.name).") + """
                nsenter --net='\(paths.namespace(host.name.text))' \\
                unshare --mount --propagation slave --uts --ipc --pid --fork --kill-child --mount-proc \\
                sh '\(paths.files(host.name.text))/init'

            """
    }

    /// The host's process 1, until it becomes tini.
    func initialise(_ host: LabHost) -> String {
        let run = paths.hostRun(host.name.text)
        let files = paths.files(host.name.text)
        var text = """
            #!/bin/sh
            # The first moments of \(host.name), as its process 1.
            set -eu
            hostname '\(host.name)'
            # /run is the host's own and empty, like after a power loss; only its API's folder is seen from outside.
            mkdir -p '\(files)/hold'
            mount --bind '\(run)' '\(files)/hold'
            # What is mounted below a point goes with it: one program for /run/netns, not one for each site of every lab.
            awk '$5 ~ "^/run/" { print $5 }' /proc/self/mountinfo | sort |
                awk 'last == "" || index($0, last "/") != 1 { print; last = $0 }' | while read -r point; do
                umount -l "$point" 2>/dev/null || true
            done
            mount -t tmpfs -o mode=755,size=64m tmpfs /run
            mkdir -p '\(run)' /run/lock /run/netns /run/wireguard /run/services
            mount --move '\(files)/hold' '\(run)'
            cp -r '\(files)/services/.' /run/services/
            ulimit -n "$(ulimit -H -n)"

            """
        for service in services(of: host) {
            let log = paths.serviceLog(host.name.text, service.name)
            text += """
                mkdir -p '\(log)'
                printf 's\(Self.logBytesMax)\\nn\(Self.logFilesMax)\\n' >'\(log)/config'

                """
        }
        return text + "exec tini -- runsvdir -P /run/services\n"
    }

    /// A service under runit: its folder's name and the script that becomes the service.
    struct Service {
        var name: String
        var run: String
    }

    func services(of host: LabHost) -> [Service] {
        guard !plan.shape.isNetworkOnly else { return [] }
        var services = [
            Service(
                name: "roostd",
                run: """
                    #!/bin/sh
                    exec 2>&1
                    exec '\(programFolder)/roostd' --config '\(paths.configFile(host.name.text))'

                    """)
        ]
        guard host.isStoreMember else { return services }
        let words = EtcdArguments(host: host, plan: plan).list.map { "'\($0)'" }.joined(separator: " ")
        services.append(
            Service(
                name: "etcd",
                run: """
                    #!/bin/sh
                    exec 2>&1
                    # The mesh brings the address.
                    until ip -6 -o addr show | grep -qF ' \(host.mesh)/'; do sleep 0.2; done
                    # A kernel without the feature has no such file.
                    { echo \(Self.storeNice) >/proc/self/autogroup; } 2>/dev/null || true
                    exec etcd \(words)

                    """))
        return services
    }

    /// Keeps what a service prints, bounded.
    func logger(of service: Service, on host: LabHost) -> String {
        "#!/bin/sh\nexec svlogd -tt '\(paths.serviceLog(host.name.text, service.name))'\n"
    }
}
