import FoundationEssentials
import Glibc
import RoostLinux

/// The program: plugs all links in, then carries packets until it is told to end.
public enum WideAreaNetwork {
    /// Blocks the calling thread, which should be the program's main thread. The devices vanish with it.
    ///
    /// The control socket appears when all links are plugged in.
    public static func run(configurationPath: String, controlPath: String) throws {
        signal(SIGPIPE, SIG_IGN)
        guard let text = try DurableFile.read(configurationPath) else {
            throw WANError("there is no configuration \(configurationPath)")
        }
        let configuration: WANConfiguration
        do {
            configuration = try JSONDecoder().decode(WANConfiguration.self, from: Data(text))
        } catch {
            throw WANError("\(configurationPath) is no configuration: \(error)")
        }
        try Engine(configuration).run(controlPath: controlPath)
    }
}
