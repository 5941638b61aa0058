import Foundation
import RoostClient
import RoostLab
import RoostLinux
import RoostModel
import RoostWire
import Testing

/// Machines and volumes on a planet: where they land, what they survive, what they cannot reach.
@Suite(.serialized, .onPlanet(), .timeLimit(.minutes(20)))
struct MachinesOnPlanetTests {
    /// Runs until it is told to end, with a status of its own.
    static let waiting = ["sh", "-c", "while [ ! -e /tmp/die ]; do sleep 0.1; done; exit 3"]

    let planet: LabPlanet

    init() async throws {
        planet = try LabPlanet.present()
        try await planet.recover()
        try planet.makeSmallRoot()
    }

    var api: RoostAPIClient { planet.api(of: planet.plan.hosts[0].name) }

    func app(_ name: String) async throws -> AppName {
        let name = try AppName("\(name)-\(UInt16.random(in: 0...UInt16.max))")
        try await api.createApp(CreateAppRequest(name: name.text))
        try await everyHost("to know app \(name)") { client in try await client.apps().contains { $0.name == name } }
        return name
    }

    func everyHost(_ what: String, _ condition: (RoostAPIClient) async throws -> Bool) async throws {
        let all = try await poll(for: .seconds(15), every: .milliseconds(100)) { () -> Bool? in
            for host in planet.plan.hosts {
                guard try await condition(planet.api(of: host.name)) else { return nil }
            }
            return true
        }
        try #require(all == true, "not every host came \(what)")
    }

    func machine(
        _ app: AppName, region: String? = nil, volume: VolumeID? = nil, command: [String] = waiting,
        policy: MachineRestart.Policy = .always
    ) async throws -> MachineBody {
        let config = MachineConfig(
            image: planet.smallImage, guest: MachineGuest(memoryMebibytes: 64), initial: MachineInit(exec: command),
            mounts: volume.map { [MachineMount(volume: $0, path: "/data")] } ?? [],
            restart: MachineRestart(policy: policy), stop: StopConfig(timeout: DurationText(.seconds(1))))
        let machine = try await api.createMachine(CreateMachineRequest(region: region, config: config), in: app)
        _ = try await api.waitForMachine(machine.id, of: app, state: .started)
        return machine
    }

    func shell(_ line: String, in machine: MachineBody, of app: AppName) async throws -> ExecResponse {
        try await api.exec(ExecBody(command: ["sh", "-c", line], timeout: 30), on: machine.id, of: app)
    }

    // MARK: - Placement and locality

    @Test func aMachineWithAVolumeRunsOnTheVolumesHostAndNowhereElse() async throws {
        let app = try await app("local")
        var zones: [String: VolumeBody] = [:]
        for region in ["ams", "iad", "sin"] {
            let volume = try await api.createVolume(
                CreateVolumeRequest(name: "data", region: region, sizeGigabytes: 1), in: app)
            #expect(volume.region.text == region)
            zones[region] = volume
            let machine = try await machine(app, volume: volume.id)
            #expect(machine.host.text == volume.zone)
            #expect(machine.region.text == region)
        }
        let volume = try #require(zones["iad"])
        await #expect(throws: APIError.self) { try await self.machine(app, region: "ams", volume: volume.id) }
        do {
            _ = try await self.machine(app, volume: volume.id)
            Issue.record("two machines have one volume")
        } catch let error as APIError {
            #expect("\(error)".contains("volume is currently bound to machine"))
        }
        // Two volumes of one name keep apart while a host is free.
        let second = try await api.createVolume(
            CreateVolumeRequest(name: "data", region: "iad", sizeGigabytes: 1), in: app)
        #expect(second.zone != volume.zone)
        do throws(APIError) {
            _ = try await api.createVolume(
                CreateVolumeRequest(name: "data", region: "iad", sizeGigabytes: 400), in: app)
            Issue.record("a volume larger than any disk was made")
        } catch {
            #expect("\(error)".contains("no host in region iad fits"), "\(error)")
        }
        try await clear(app)
    }

    // MARK: - Survival

    @Test func aVolumeSurvivesItsMachinesCrashTheAgentsDeathAndItsHostsLoss() async throws {
        let app = try await app("keep")
        let volume = try await api.createVolume(
            CreateVolumeRequest(name: "data", region: "ams", sizeGigabytes: 1), in: app)
        let machine = try await machine(app, volume: volume.id)
        _ = try await shell("echo precious > /data/file; sync", in: machine, of: app)

        let before = try await starts(machine, app)
        // Process 1 of the machine ends by itself.
        _ = try await shell("echo > /tmp/die", in: machine, of: app)
        try await restarted(machine, app, after: before)
        #expect(try await shell("cat /data/file", in: machine, of: app).stdout == "precious\n")

        // The machine does not notice that roostd is killed, and the next roostd knows it.
        _ = try await shell("echo alive > /tmp/mark", in: machine, of: app)
        try planet.signal(SIGKILL, process: "roostd", on: volume.zone)
        let back = try await poll(for: .seconds(30), every: .milliseconds(100)) { () -> String? in
            try? await planet.api(of: HostName(volume.zone)).exec(
                ExecBody(command: ["cat", "/tmp/mark", "/data/file"], timeout: 10), on: machine.id, of: app
            ).stdout
        }
        #expect(back == "alive\nprecious\n")

        try await planet.killHost(volume.zone)
        try await planet.startHost(volume.zone)
        _ = try await planet.api(of: HostName(volume.zone)).waitForMachine(machine.id, of: app, state: .started)
        let text = try await planet.api(of: HostName(volume.zone)).exec(
            ExecBody(command: ["cat", "/data/file"], timeout: 10), on: machine.id, of: app)
        #expect(text.stdout == "precious\n")
        try await planet.recover()

        _ = try await api.destroyMachine(machine.id, of: app, force: true)
        let again = try await poll(for: .seconds(20)) { try? await self.machine(app, volume: volume.id) }
        let next = try #require(again, "the volume was not free after its machine was destroyed")
        #expect(try await shell("cat /data/file", in: next, of: app).stdout == "precious\n")
        // Its size is a hard limit.
        let full = try await shell(
            "dd if=/dev/zero of=/data/big bs=1M count=1200 2>&1; ls /data/file", in: next, of: app)
        #expect(full.stdout.contains("No space left on device"))
        try await clear(app)
    }

    private func starts(_ machine: MachineBody, _ app: AppName) async throws -> Int {
        try await api.events(of: machine.id, in: app).filter { $0.type == .start }.count
    }

    private func restarted(_ machine: MachineBody, _ app: AppName, after count: Int) async throws {
        let again = try await poll(for: .seconds(20), every: .milliseconds(50)) {
            try await starts(machine, app) > count ? true : nil
        }
        try #require(again == true, "the machine was not restarted")
    }

    // MARK: - Isolation

    @Test func aMachineReachesItsOwnNetworkAndNothingElse() async throws {
        let (first, second) = (try await app("net-a"), try await app("net-b"))
        let here = try await machine(first, region: "ams")
        let friend = try await machine(first, region: "iad")
        let stranger = try await machine(second, region: "iad")
        for (machine, app) in [(here, first), (friend, first), (stranger, second)] {
            _ = try await shell("(while true; do nc -l -p 7000; done) >/dev/null 2>&1 &", in: machine, of: app)
            // It is there for those who may reach it: itself at least.
            let own = try await poll(for: .seconds(10)) {
                try await shell("nc -w 1 \(machine.privateIP) 7000 </dev/null", in: machine, of: app).exitCode == 0
                    ? true : nil
            }
            #expect(own == true)
        }
        let hello = "for i in 1 2 3; do nc -w 2 "
        let there = " 7000 </dev/null && exit 0; sleep 0.2; done; exit 1"
        #expect(try await shell(hello + "\(friend.privateIP)" + there, in: here, of: first).exitCode == 0)
        #expect(try await shell(hello + "\(stranger.privateIP)" + there, in: here, of: first).exitCode != 0)
        #expect(try await shell(hello + "\(here.privateIP)" + there, in: stranger, of: second).exitCode != 0)

        // The knock that must fail below does work where it may.
        _ = try await shell("(nc -l -p 7777 >/dev/null 2>&1 &) ; sleep 0.2", in: friend, of: first)
        let allowed = try await shell("nc -w 1 \(friend.privateIP) 7777 </dev/null", in: here, of: first)
        #expect(allowed.exitCode == 0, "\(allowed.stderr)")
        // Neither the hosts' API nor the store, on any host.
        for host in planet.plan.hosts {
            let address = MeshAddress.host(host.name)
            for port in [4280, 2379, 2380] {
                let knock = try await shell("nc -w 1 \(address) \(port) </dev/null", in: here, of: first)
                #expect(knock.exitCode != 0, "a machine reached port \(port) of \(host.name)")
            }
        }
        // No address but its own: not even root in the machine can take one, and from outside a foreign one is dropped.
        let spoof = try await shell("ip -6 addr add \(stranger.privateIP)/128 dev eth0", in: here, of: first)
        #expect(spoof.exitCode != 0)
        try await spoofFromTheHostsSide(of: here, as: stranger, to: friend)
        try await clear(first)
        try await clear(second)
    }

    /// Root of the host adds the address inside the machine's namespace, which the machine itself cannot: the rules on
    /// the link must still drop what is sent from it.
    private func spoofFromTheHostsSide(of machine: MachineBody, as other: MachineBody, to friend: MachineBody)
        async throws
    {
        let inside = ["nsenter", "--net=\(planet.namespacePath(of: machine.id, on: machine.host))"]
        let host = machine.host.text
        let link = "$(ip -o link | grep -v ' lo' | cut -d: -f2 | cut -d@ -f1 | head -1)"
        let line =
            "ip -6 addr add \(other.privateIP)/128 dev \(link) nodad; ping -6 -c 2 -W 2 -I \(other.privateIP) \(friend.privateIP)"
        let output = try await planet.run(in: host, inside + ["sh", "-c", line])
        #expect(output.status != 0, "a packet with a foreign source address arrived")
        let honest = try await planet.run(
            in: host,
            inside + ["ping", "-6", "-c", "2", "-W", "2", "-I", "\(machine.privateIP)", "\(friend.privateIP)"])
        #expect(honest.status == 0, "\(honest.standardOutput)")
    }

    // MARK: - Packets

    @Test func largePacketsAndTransfersFitFromEndToEnd() async throws {
        let app = try await app("mtu")
        let receiver = try await machine(
            app, region: "sin",
            command: ["sh", "-c", "nc -l -p 9000 > /tmp/part; mv /tmp/part /tmp/got; sleep 100000"])
        let sender = try await machine(app, region: "ams")
        let inside = ["nsenter", "--net=\(planet.namespacePath(of: sender.id, on: sender.host))"]
        // 1420 bytes: 40 of IPv6, 8 of ICMPv6, 1372 of payload.
        let fits = try await planet.run(
            in: sender.host.text,
            inside + ["ping", "-6", "-M", "do", "-s", "1372", "-c", "3", "-W", "2", "\(receiver.privateIP)"])
        #expect(fits.status == 0, "\(fits.standardOutput)")
        let tooLarge = try await planet.run(
            in: sender.host.text,
            inside + ["ping", "-6", "-M", "do", "-s", "1373", "-c", "1", "-W", "2", "\(receiver.privateIP)"])
        #expect(tooLarge.status != 0)
        let sent = try await planet.run(
            in: sender.host.text,
            inside + ["bash", "-c", "head -c 1048576 /dev/urandom > /dev/tcp/\(receiver.privateIP)/9000"])
        #expect(sent.status == 0, "\(sent.standardError)")
        let size = try await poll(for: .seconds(20)) { () -> Bool? in
            try await shell("ls -l /tmp/got | grep -q ' 1048576 '", in: receiver, of: app).exitCode == 0 ? true : nil
        }
        #expect(size == true, "a megabyte did not arrive whole")
        try await clear(app)
    }

    @Test func theMeshMeasuresTheDistancesOfThePlanet() async throws {
        let matrix = try await api.mesh()
        #expect(matrix.silent.isEmpty)
        let expected = ["ams-iad": 80.0, "ams-sin": 160.0, "iad-sin": 220.0]
        let regions = Dictionary(uniqueKeysWithValues: planet.plan.hosts.map { ($0.name, $0.region.text) })
        var found: Set<String> = []
        for row in matrix.rows {
            for path in row.paths {
                let pair = [row.region.text, regions[path.peer] ?? ""].sorted().joined(separator: "-")
                guard let milliseconds = expected[pair] else { continue }
                found.insert(pair)
                let measured = Double(try #require(path.roundTripMicroseconds)) / 1000
                #expect(abs(measured - milliseconds) < milliseconds * 0.1, "\(row.host)–\(path.peer): \(measured) ms")
            }
        }
        #expect(found == Set(expected.keys))
    }

    private func clear(_ app: AppName) async throws {
        for machine in try await api.machines(of: app) {
            try await api.destroyMachine(machine.id, of: app, force: true)
        }
        let isEmpty = try await poll(for: .seconds(30)) { try await api.machines(of: app).isEmpty ? true : nil }
        #expect(isEmpty == true)
        for volume in try await api.volumes(of: app) { _ = try await api.destroyVolume(volume.id, of: app) }
        let isFree = try await poll(for: .seconds(30)) { try await api.volumes(of: app).isEmpty ? true : nil }
        #expect(isFree == true)
        try await api.destroyApp(app)
    }
}
