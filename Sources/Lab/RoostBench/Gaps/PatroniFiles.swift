import Glibc
import RoostLab
import RoostLinux
import RoostModel
import RoostPostgresImage

/// Patroni's root, its configuration, and how it is started on a host of the lab.
struct PatroniFiles: Sendable {
    let planet: LabPlanet
    let hosts: [LabHost]

    private static let recipe = DebianRecipe(
        suite: "trixie",
        packages: ["postgresql-17", "patroni", "python3-etcd", "python3-psycopg2", "etcd-server", "procps", "mount"])
    private static let rootFolder = "/var/lib/roost/peers"
    private static let installMax = Duration.seconds(900)
    private static let bootMax = Duration.seconds(20)

    private static var lower: String { "\(rootFolder)/patroni-\(recipe.key)" }

    /// Made once, and kept for the next time.
    func install(_ progress: LabPlanet.Progress) async throws {
        try DurableFile.makeFolder(Self.rootFolder)
        guard access(Self.lower, F_OK) != 0 else { return }
        progress("fetching and unpacking Debian 13 with Patroni (two minutes)")
        try await Self.recipe.make(folder: Self.lower, deadline: Self.installMax)
    }

    private func folder(of host: LabHost) -> String { BenchSite(planet, host.name.text).folder + "/patroni" }

    /// The root of all of its processes.
    func root(of host: LabHost) -> String { folder(of: host) + "/root" }

    /// Starts etcd and Patroni on a host that has just booted, on the data that it had. They are frozen and lost with it.
    func boot(_ host: LabHost) async throws {
        let folder = folder(of: host)
        try DurableFile.makeFolder(folder + "/upper/etc/patroni")
        try DurableFile.makeFolder(folder + "/work")
        try DurableFile.makeFolder(folder + "/root")
        try DurableFile.write(configuration(of: host), to: folder + "/upper/etc/patroni/p.yml", mode: 0o644)
        try DurableFile.write(script(of: host), to: folder + "/start", mode: 0o755)
        let line = try planet.serviceLine(on: host.name.text, [folder + "/start"])
        let output = try await Command(line[0], Array(line.dropFirst()), deadline: Self.bootMax).outcome()
        guard output.status == 0 else {
            throw LabError(.failed, "Patroni did not start on \(host.name): \(output.standardError.suffix(600))")
        }
    }

    private func script(of host: LabHost) -> String {
        let folder = folder(of: host)
        let at = "\(host.underlay)"
        let members = hosts.map { "\($0.name)=http://\($0.underlay):2380" }.joined(separator: ",")
        let heartbeat = planet.storeHeartbeatMilliseconds
        // A postmaster.pid of before the power was lost may name a process that is another one by now.
        return """
            #!/bin/sh
            set -eu
            cd '\(folder)'
            mount -t overlay overlay -o 'lowerdir=\(Self.lower),upperdir=\(folder)/upper,workdir=\(folder)/work' root
            mount -t proc proc root/proc
            mount -t tmpfs -o mode=755 tmpfs root/dev
            mkdir root/dev/shm
            chmod 1777 root/dev/shm
            mknod -m 666 root/dev/null c 1 3
            mknod -m 666 root/dev/zero c 1 5
            mknod -m 666 root/dev/random c 1 8
            mknod -m 666 root/dev/urandom c 1 9
            mkdir -p root/var/lib/patroni-etcd root/var/lib/postgresql root/run/postgresql
            rm -f root/var/lib/postgresql/data/postmaster.pid
            chroot root chown postgres:postgres /var/lib/postgresql /run/postgresql /var/lib/patroni-etcd
            state=new
            [ ! -d root/var/lib/patroni-etcd/member ] || state=existing
            setsid chroot --userspec=postgres:postgres root etcd --name \(host.name) --data-dir /var/lib/patroni-etcd \\
                --listen-client-urls http://\(at):2379 --advertise-client-urls http://\(at):2379 \\
                --listen-peer-urls http://\(at):2380 --initial-advertise-peer-urls http://\(at):2380 \\
                --initial-cluster \(members) --initial-cluster-state $state \\
                --heartbeat-interval \(heartbeat) --election-timeout \(10 * heartbeat) \\
                </dev/null >>etcd.log 2>&1 &
            HOME=/var/lib/postgresql setsid chroot --userspec=postgres:postgres root patroni /etc/patroni/p.yml \\
                </dev/null >>patroni.log 2>&1 &

            """
    }

    /// What the defaults of Patroni and of Debian are is left out. Synchronous, since Roost confirms no row that one
    /// member alone has.
    private func configuration(of host: LabHost) -> String {
        let etcd = hosts.map { "\"\($0.underlay):2379\"" }.joined(separator: ", ")
        return """
            scope: peer
            name: \(host.name)
            restapi: {listen: "\(host.underlay):8008", connect_address: "\(host.underlay):8008"}
            etcd3: {hosts: [\(etcd)]}
            bootstrap:
              dcs:
                ttl: 30
                loop_wait: 10
                retry_timeout: 10
                synchronous_mode: true
                postgresql: {use_pg_rewind: true, parameters: {max_connections: 50}}
              initdb: [{encoding: UTF8}, data-checksums]
            postgresql:
              listen: "\(host.underlay):5432"
              connect_address: "\(host.underlay):5432"
              data_dir: /var/lib/postgresql/data
              bin_dir: /usr/lib/postgresql/17/bin
              pg_hba: ["local all all trust", "host all all all trust", "host replication all all trust"]
              authentication:
                superuser: {username: postgres}
                replication: {username: replicator, password: r}
                rewind: {username: postgres}

            """
    }
}
