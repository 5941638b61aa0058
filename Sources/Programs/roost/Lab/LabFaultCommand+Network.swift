import ArgumentParser
import RoostLab

extension LabFaultCommand {
    struct PairArguments: ParsableArguments {
        @Argument(help: "A host, region, client or provider.")
        var from: String

        @Argument(help: "Another one.")
        var to: String

        @Flag(help: "Only what travels from the first to the second.")
        var oneWay = false

        @OptionGroup var lab: LabOptions
    }

    struct Cut: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let nothing pass between two.",
            discussion: """
                Between a host or client and a provider this is the link; between two regions, all links and all \
                traffic between their hosts and clients; between two hosts, all traffic between them; between a host and \
                its own region, all traffic between it and the others of the region.
                """)
        @OptionGroup var pair: PairArguments

        func run() async throws {
            try await inLab { try await pair.lab.planet().cut(pair.from, pair.to, isOneWay: pair.oneWay) }
        }
    }

    struct Loss: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lose some packets between two.")
        @OptionGroup var pair: PairArguments

        @Argument(help: "Percent of the packets, in each direction.")
        var percent: Double

        func run() async throws {
            try await inLab {
                try await pair.lab.planet().loss(pair.from, pair.to, percent: percent, isOneWay: pair.oneWay)
            }
        }
    }

    struct Delay: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add delay between two.",
            discussion: "The delay is added in each direction: a round trip takes longer by twice as much.")
        @OptionGroup var pair: PairArguments

        @Argument(help: "Milliseconds, in each direction.")
        var milliseconds: Double

        func run() async throws {
            try await inLab {
                try await pair.lab.planet().delay(
                    pair.from, pair.to, milliseconds: milliseconds, isOneWay: pair.oneWay)
            }
        }
    }

    struct Heal: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Undo cut, loss and delay between two, or everything.",
            usage: """
                roost lab fault heal <a> <b> [--one-way]
                roost lab fault heal --all
                """)

        @Argument(help: "A host, region, client or provider.")
        var from: String?

        @Argument(help: "Another one.")
        var to: String?

        @Flag(help: "Only what travels from the first to the second.")
        var oneWay = false

        @Flag(help: "Heal all links, thaw hosts and processes, start hosts that are down.")
        var all = false

        @OptionGroup var lab: LabOptions

        func validate() throws {
            guard all ? from == nil && !oneWay : to != nil else {
                throw ValidationError("name two parties, or give --all alone")
            }
        }

        func run() async throws {
            try await inLab {
                let planet = try lab.planet()
                let healed: [String]
                if let from, let to {
                    healed = try await planet.heal(from, to, isOneWay: oneWay).map(\.description)
                } else {
                    healed = try await planet.healAll().map(\.description)
                }
                let stopped = all ? await planet.stoppedEdges() : []
                if healed.isEmpty, stopped.isEmpty { Terminal.say("There was nothing to heal.") }
                for fault in healed { Terminal.say("no longer: \(fault)") }
                for edge in stopped {
                    Terminal.say(
                        "not healed: the edge of \(edge) is stopped. To start it: roost lab fault start-edge \(edge)")
                }
            }
        }
    }
}
