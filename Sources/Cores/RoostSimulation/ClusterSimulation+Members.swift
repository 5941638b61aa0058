internal import RoostFailover
import RoostModel

// Members that come and go, as the platform does it.
extension ClusterSimulation {
    /// Those that the rule names; before there is one, those that there shall be.
    var present: [Int] {
        let names = store.view.rule?.members ?? store.view.members
        return members.indices.filter { names.contains(members[$0].name) }
    }

    /// Those that have a machine.
    var made: [Int] { members.indices.filter { members[$0].isMade } }

    func askForChange(_ fault: ClusterScenario.Fault, of member: Int) {
        guard let rule = store.view.rule, rule.change?.current == nil, !storeWentBack else { return }
        let comer = members.indices.first {
            $0 >= scenario.members && !members[$0].isMade && members[$0].life == 0
                && !store.view.members.contains(members[$0].name)
        }
        var steps: [MemberChange.Step] = []
        if fault != .removeMember {
            guard let comer, store.view.members.count < PostgresNames.membersMax else { return }
            steps.append(.init(.add, members[comer].name))
        }
        if fault != .addMember {
            guard rule.members.contains(members[member].name), rule.members.count > 1 || fault == .replaceMember else {
                return
            }
            steps.append(.init(.remove, members[member].name))
            if rule.members.count > 3, random.chance(30),
                let other = rule.members.first(where: { name in
                    name != members[member].name && name != rule.leader
                })
            {
                steps.append(.init(.remove, other))
            }
        }
        tokens += 1
        let change = MemberChange(id: "change \(tokens)", steps: steps)
        note("somebody asks for \(steps.map { "\($0.kind) \($0.member)" })")
        store.askForChange(change)
        if fault != .removeMember, let comer {
            members[comer].isMade = true
            schedule(.start(comer), after: random.pick(100, 3000) * Self.millisecond)
        }
        publish()
    }

    /// The next step is in the store, and whoever asked for it does not hear of that for long.
    func stallAtChange(_ former: ClusterRule?, of member: Int) {
        let long = members[member].stallsAtChange
        guard long > 0, let rule = store.view.rule, let former, rule.change != former.change else { return }
        members[member].stallsAtChange = 0
        guard !isHealed else { return }
        note("\(members[member].name) has changed who is a member, and stands still")
        if random.chance(30) {
            crash(member, for: long)
        } else {
            members[member].supervisorFrozenUntil = time + long
            schedule(.thaw(member), after: long)
        }
    }

    func cancelChange() {
        guard store.view.rule?.change?.current != nil else { return }
        store.changeRule {
            $0.change?.refusal = "it was taken back"
            $0.change?.isPrepared = nil
        }
        publish()
    }

    /// Whoever the rule names no more is destroyed after a while, or was away and comes back.
    func noteDeparted() {
        guard let rule = store.view.rule else { return }
        let departed = store.settle(rule)
        for name in departed {
            guard let member = members.firstIndex(where: { $0.name == name }) else { continue }
            note("\(name) is to be destroyed")
            schedule(.destroy(member), after: random.pick(0, 20_000) * Self.millisecond)
        }
    }

    func destroy(_ member: Int) {
        note("\(members[member].name) is destroyed")
        killMachine(member)
        members[member].isMade = false
        emptyDisk(of: member)
    }
}
