import RoostModel

// Who has to answer before it can be decided who leads next.
extension ClusterRule {
    /// Of so many, one has each commit that was confirmed, whoever has led.
    var standbysNeeded: Int { max(members.count - confirmations, 1) }

    /// So many members at least must have answered, also where what they have proves nothing. Who led last knows all that was
    /// confirmed under it; but it may have been replaced by others, of whom it knows nothing. Of more than half one has heard of
    /// that.
    var answersNeeded: Int { majority == true ? members.count / 2 + 1 : 1 }

    /// The word of one that is about to come may be asked for, as soon as a step is prepared; it decides nothing before.
    func isHeard(_ member: MemberName) -> Bool { members.contains(member) || joining == member }

    /// Somebody is there to be spoken to.
    var hasOthers: Bool { members.count > 1 || joining != nil }

    /// What these have together is all that was confirmed.
    func isCovered(by able: [MemberName]) -> Bool {
        able.contains(leader) && majority != true || members.count(where: able.contains) >= standbysNeeded
    }

    /// These can decide.
    func canBeDecided(by able: [MemberName]) -> Bool {
        isCovered(by: able) && members.count(where: able.contains) >= answersNeeded
    }
}
