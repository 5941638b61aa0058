import Glibc
import RoostLinux
import RoostModel
import Synchronization

/// Tells on standard error what is being waited for, once it has taken longer than a second: on a terminal as one
/// line that is drawn again, elsewhere as one line for each new phase. What has happened meanwhile gets lines that stay.
final class Progress: Sendable {
    private struct State {
        var text: String
        var toldPhase: [Substring]?
        /// To be told once, above what is being waited for.
        var news: [String] = []
        var hasToldNews = false
        var isDrawn = false
        var frame = 0
    }

    private let state: Mutex<State>
    private let begin = BootClock.now()
    private let isTerminal = Terminal.isTerminal(.error)

    static let silence = Duration.seconds(1)
    static let interval = Duration.milliseconds(120)
    private static let frames = Array("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")

    private init(_ text: String) { state = Mutex(State(text: text)) }

    /// What is being waited for now.
    func say(_ text: String) { state.withLock { $0.text = text } }

    /// Something has happened: a line that stays.
    func tell(_ news: String) { state.withLock { $0.news.append(news) } }

    static func show<Value: Sendable>(
        _ text: String, during work: (Progress) async throws -> Value
    ) async throws -> Value {
        let progress = Progress(text)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await progress.draw() }
            defer {
                group.cancelAll()
                progress.clear()
            }
            return try await work(progress)
        }
    }

    private func draw() async {
        guard (try? await Task.sleep(for: Self.silence)) != nil else { return }
        repeat { drawOnce() } while (try? await Task.sleep(for: Self.interval)) != nil
    }

    private func drawOnce() {
        let elapsed = BootClock.now() - begin
        state.withLock { state in
            Self.tellNews(&state)
            if isTerminal {
                let frame = Self.frames[state.frame % Self.frames.count]
                let line = Self.line(
                    "\(frame) \(state.text)", time: Figure.seconds(elapsed), columns: Terminal.columns(of: .error))
                Terminal.put("\r\u{1b}[K" + line, on: .error)
                state.frame += 1
                state.isDrawn = true
            } else if state.toldPhase != Self.phase(of: state.text) {
                Terminal.say("\(state.text) …")
                state.toldPhase = Self.phase(of: state.text)
            }
        }
    }

    /// Without how long and how much, which change from one look to the next: `for 6 s`, `12 MiB of 30 MiB`.
    static func phase(of text: String) -> [Substring] {
        let units: Set<Substring> = ["ms", "s", "min", "h", "%", "B", "KiB", "MiB", "GiB", "TiB"]
        let words = text.split(separator: " ")
        return words.indices.compactMap { index in
            let unit = index + 1 < words.count ? words[index + 1].prefix { $0.isLetter || $0 == "%" } : ""
            let isAmount = Double(words[index]) != nil && units.contains(unit)
            return isAmount ? nil : words[index]
        }
    }

    private static func tellNews(_ state: inout State) {
        guard !state.news.isEmpty else { return }
        if state.isDrawn { Terminal.put("\r\u{1b}[K", on: .error) }
        for line in state.news { Terminal.say(Terminal.harmless(line)) }
        (state.news, state.hasToldNews) = ([], true)
    }

    /// Never longer than a line of the terminal: what runs over would be left behind at every drawing.
    static func line(_ text: String, time: String, columns: Int) -> String {
        let ending = " (\(time))"
        let room = columns - 1 - ending.count
        return (text.count <= room ? text : String(text.prefix(max(room - 1, 0))) + "…") + ending
    }

    private func clear() {
        state.withLock { state in
            if state.isDrawn { Terminal.put("\r\u{1b}[K", on: .error) }
            state.isDrawn = false
            // What was begun is told to its end: who was told what is waited for is told what came of it.
            if state.hasToldNews || state.toldPhase != nil || state.frame > 0 { Self.tellNews(&state) }
        }
    }
}
