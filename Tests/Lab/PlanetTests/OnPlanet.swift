import Foundation
import RoostClient
import RoostLab
import RoostLinux
import RoostModel
import RoostWire
import Testing

/// Gives a suite a planet of its own: three regions of two hosts, up before the first test and gone after the last.
struct OnPlanet: SuiteTrait, TestScoping {
    var regions: [String]
    var hostsPerRegion: Int

    @TaskLocal static var current: LabPlanet?

    var isRecursive: Bool { false }

    @concurrent func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable @concurrent () async throws -> Void
    ) async throws {
        let shape = try LabShape(
            name: "test-\(getpid())-\(UInt16.random(in: 0...UInt16.max))", regions: regions,
            hostsPerRegion: hostsPerRegion)
        let planet = try await LabPlanet.up(shape) { print("lab: \($0)") }
        defer { planet.removeSmallRoot() }
        do {
            try await Self.$current.withValue(planet) { try await function() }
        } catch {
            _ = try await planet.down()
            throw error
        }
        _ = try await planet.down()
        #expect(!LabPlanet.names.contains(shape.name), "the lab left something behind")
    }
}

extension Trait where Self == OnPlanet {
    static func onPlanet(regions: [String] = ["ams", "iad", "sin"], hostsPerRegion: Int = 2) -> Self {
        OnPlanet(regions: regions, hostsPerRegion: hostsPerRegion)
    }
}

extension LabPlanet {
    /// The planet of the running suite.
    static func present() throws -> LabPlanet { try #require(OnPlanet.current) }

    /// Heals every fault and waits until every host knows every other again.
    func recover() async throws {
        _ = try await healAll()
        for host in plan.hosts {
            switch state(of: host) {
            case .running: break
            case .frozen: try await thawHost(host.name.text)
            case .down: try await startHost(host.name.text)
            }
        }
        let isWhole = try await poll(for: .seconds(60), every: .milliseconds(250)) { () -> Bool? in
            for host in plan.hosts {
                guard let hosts = try? await api(of: host.name).hosts(), hosts.count == plan.hosts.count,
                    hosts.allSatisfy(\.isReachable)
                else { return nil }
            }
            return true
        }
        try #require(isWhole == true, "the planet is not whole a minute after its faults were healed")
    }
}
