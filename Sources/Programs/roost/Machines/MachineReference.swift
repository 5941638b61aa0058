import ArgumentParser
import RoostClient
import RoostModel
import RoostWire

/// The machine a command is about: by its id, or by its name in the app.
enum MachineReference: Hashable, CustomStringConvertible {
    case id(MachineID)
    case name(AppName)

    init(_ text: String) throws {
        if let id = try? MachineID(text) {
            self = .id(id)
        } else if let name = try? AppName(text) {
            self = .name(name)
        } else {
            throw InvalidValue(kind: "machine", value: text, rule: "give its name, or its id of 14 hexadecimal digits")
        }
    }

    var description: String {
        switch self {
        case .id(let id): id.text
        case .name(let name): name.text
        }
    }

    /// The one machine of that name. One that is destroyed is shown by its id for a while, and has no name any more.
    static func only(_ name: AppName, of app: AppName, among machines: [MachineBody]) throws(CommandFailure)
        -> MachineID
    {
        let found = all(name, among: machines)
        switch found.count {
        case 1: return found[0].id
        case 0:
            throw CommandFailure(
                "app \(app) has no machine named \(name)", advice: "See them: roost machines list \(app)",
                isAbsence: true)
        default:
            let all = found.map { "\($0.id) on \($0.host)" }.joined(separator: ", ")
            throw CommandFailure(
                "app \(app) has \(found.count) machines named \(name): \(all)", advice: "Say which one by its id.")
        }
    }

    static func all(_ name: AppName, among machines: [MachineBody]) -> [MachineBody] {
        machines.filter { $0.name == name.text && $0.state != .destroyed }.sorted { $0.id < $1.id }
    }
}

struct MachineArgument: ParsableArguments {
    @Argument(help: "The app's name.", transform: { try AppName($0) })
    var app: AppName

    @Argument(
        help: "The machine's name, or its id of 14 hexadecimal digits.", transform: { try MachineReference($0) })
    var machine: MachineReference

    /// The machine's id. A name is looked up among the machines that the app has now.
    func id(on planet: Roostds) async throws -> MachineID {
        switch machine {
        case .id(let id): id
        case .name(let name):
            try MachineReference.only(name, of: app, among: try await machines(named: name, on: planet))
        }
    }

    /// That there is none is said only by a host that has heard of all.
    private func machines(named name: AppName, on planet: Roostds) async throws -> [MachineBody] {
        let listed = MachineReference.all(name, among: try await planet.ask { try await $0.machines(of: app) })
        guard listed.isEmpty else { return listed }
        do { return try await planet.ask { try await $0.allMachines(of: app) } } catch let error as APIError {
            // A host of a version before, which does not know the question.
            guard error.status == 400 else { throw error }
            return []
        }
    }

    /// As ``id(on:)``, and a name is one of machines only that their own hosts say are there: the list is what the asked host
    /// has heard, and has a machine that was just destroyed for a moment longer. Who destroys by name would be told that this
    /// one is destroyed, and mean another.
    func idOfPresent(on planet: Roostds) async throws -> MachineID {
        guard case .name(let name) = machine else { return try await id(on: planet) }
        var present: [MachineBody] = []
        for listed in MachineReference.all(name, among: try await machines(named: name, on: planet)) {
            do { present.append(try await planet.machine(listed.id, of: app)) } catch let error as APIError {
                // One whose host does not say is taken as it is listed.
                if !error.isNotFound { present.append(listed) }
            }
        }
        return try MachineReference.only(name, of: app, among: present)
    }
}

extension MachineArgument {
    /// What to say when an order is interrupted. Its host may have it by then, and carries it out.
    func advice(_ doing: String, undo: String?) -> String {
        let see = "A host that has the order goes on \(doing). See it: roost machines show \(app) \(machine)"
        return see + (undo.map { "\nTake it back: roost machines \($0) \(app) \(machine)" } ?? "")
    }
}
