import Foundation
import Testing

@testable import roost

@Suite struct DiagnosisTests {
    private func answers(without missing: Set<Probe>) -> [Probe: Probe.Answer] {
        Dictionary(
            uniqueKeysWithValues: Probe.allCases.map { ($0, missing.contains($0) ? .no("no") : .yes()) })
    }

    private func finding(_ probe: Probe, in diagnosis: Diagnosis) throws -> Diagnosis.Finding {
        let name = try #require(Requirement.all.first { $0.probe == probe }).name
        return try #require(diagnosis.findings.first { $0.name == name })
    }

    @Test func everyProbeIsAskedForARequirement() {
        let asked = Set(Requirement.all.map(\.probe))
        #expect(Set(Probe.allCases) == asked)
    }

    @Test(
        "Versions are compared as Debian orders them",
        arguments: [
            ("1.1.5+ds1-1", "1.1.5+ds1-1+deb12u1", true), ("1.1.5+ds1-1+deb12u1", "1.1.5+ds1-1+deb12u1", false),
            ("1.1.5+ds1-1+deb12u2", "1.1.5+ds1-1+deb12u1", false), ("1.1.15+ds1-2", "1.1.5+ds1-1+deb12u1", false),
            ("1.1.4+ds1-9", "1.1.5+ds1-1+deb12u1", true), ("0.4.7+ds-3~bpo1", "0.4.7+ds-3", true),
        ])
    func versions(installed: String, least: String, isOlder: Bool) async {
        #expect(await PackageVersion.isOlder(installed, than: least) == isOlder)
    }

    @Test(
        "A package that was removed has no version, whatever dpkg remembers of it",
        arguments: [
            ("installed 1.1.4+ds1-1", "1.1.4+ds1-1"), ("half-configured 2.0.12-7", "2.0.12-7"),
            ("config-files 1.1.4+ds1-1", nil), ("not-installed ", nil), ("", nil),
        ])
    func removedPackage(answer: String, version: String?) {
        #expect(PackageVersion.installed(answer) == version)
    }

    @Test("What has a least version says of what package, and a package that is too old is missing, not there")
    func tooOld() throws {
        for (probe, least) in PackageVersion.least {
            let requirement = try #require(Requirement.all.first { $0.probe == probe })
            #expect(requirement.packages.isEmpty || requirement.packages.contains(least.package), "\(probe)")
        }
        var answers = answers(without: [])
        answers[.runc] = .no("runc 1.1.4 is older than 1.1.5")
        let diagnosis = Diagnosis(answers)
        #expect(!diagnosis.ready)
        #expect(diagnosis.install == "apt-get install -y --no-install-recommends runc")
    }

    @Test func fullComputerIsReady() {
        let diagnosis = Diagnosis(answers(without: []))
        #expect(diagnosis.ready)
        #expect(diagnosis.install == nil)
    }

    @Test func kernelsWithoutWireGuardAndNetemAreServedInUserSpace() throws {
        let diagnosis = Diagnosis(answers(without: [.wireguard, .netem]))
        #expect(diagnosis.ready)
        #expect(try finding(.wireguard, in: diagnosis).uses?.contains("wireguard-go") == true)
        #expect(try finding(.netem, in: diagnosis).uses?.contains("roost-wan") == true)
    }

    @Test func wireguardGoMattersOnlyWithoutTheModule() throws {
        #expect(Diagnosis(answers(without: [.wireguardGo, .tun])).ready)
        let both = Diagnosis(answers(without: [.wireguard, .wireguardGo]))
        #expect(!both.ready)
        #expect(both.install == "apt-get install -y --no-install-recommends wireguard-go")
    }

    @Test func runcRunsMachinesOnEveryKernel() throws {
        #expect(Diagnosis(answers(without: [.crun])).ready)
        #expect(!Diagnosis(answers(without: [.runc])).ready)
    }

    @Test func toolsOfBuildAndBenchAreNotNeededToRun() throws {
        let diagnosis = Diagnosis(answers(without: [.swift, .libpq, .podman]))
        #expect(diagnosis.ready)
        #expect(diagnosis.install == "apt-get install -y --no-install-recommends podman libpq-dev")
    }

    @Test func everythingMissingNamesEachPackageOnce() throws {
        let diagnosis = Diagnosis(answers(without: Set(Probe.allCases)))
        let packages = try #require(diagnosis.install).split(separator: " ").dropFirst(4)
        #expect(packages.count == Set(packages).count)
    }

    /// What doctor would install, `make setup` installs too.
    @Test func setupKnowsEveryPackage() throws {
        let file = URL(filePath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "scripts/packages")
        let known = Set(try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map(String.init))
        let wanted = Set(Requirement.all.flatMap(\.packages))
        #expect(wanted.subtracting(known).isEmpty)
    }
}
