import ArgumentParser
import Glibc
import RoostLinux
import RoostPostgresImage

struct ImageCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "image", abstract: "Machine images.", subcommands: [Build.self])

    struct Build: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Build an image on this host.", subcommands: [Postgres.self])
    }

    struct Postgres: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "postgres", abstract: "Build the image of Postgres clusters from Debian's packages.",
            discussion: "Does nothing if the image is there and made of the same packages list and roost-pg.")

        @Option(help: .init("The folder of the OCI layout.", valueName: "folder"))
        var layout = PostgresImage.layoutDefault

        @Option(help: "The image's tag.")
        var tag = PostgresImage.tagDefault

        @Option(help: .init("The roost-pg to put in (else the one beside this program).", valueName: "file"))
        var program: String?

        @Flag(help: "Fetch the packages anew, for newer versions of them.")
        var refresh = false

        func run() async throws {
            guard geteuid() == 0 else {
                throw CommandFailure("only root can build an image", advice: "Run it as root.")
            }
            let program = program ?? "\(RunningProgram.folder)/roost-pg"
            let begin = ContinuousClock.now
            do {
                let advice = """
                    The build is broken off; an image that was there before is still there.
                    Begin again: roost image build postgres
                    """
                let outcome = try await interruptible(advice: advice) {
                    try await Progress.show("building \(layout):\(tag)") { progress in
                        try await PostgresImage.build(to: layout, tag: tag, program: program, refresh: refresh) {
                            progress.say($0)
                        }
                    }
                }
                Terminal.result(Self.words(outcome, "\(layout):\(tag)", ContinuousClock.now - begin))
            } catch let error as PostgresImageError {
                throw CommandFailure("\(error)", advice: "See what is missing on this host: roost doctor")
            }
        }

        private static func words(_ outcome: PostgresImage.Outcome, _ image: String, _ time: Duration) -> String {
            switch outcome {
            case .unchanged: "Image \(image) is as it should be."
            case .programRenewed: "Image \(image) has the new roost-pg (\(Figure.seconds(time)))."
            case .built: "Image \(image) is built (\(Figure.seconds(time)))."
            }
        }
    }
}
