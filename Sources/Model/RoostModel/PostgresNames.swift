/// How long the names of a cluster may be, so that Postgres takes every name that is made of them as it is; and the names
/// of its own roles.
public enum PostgresNames {
    /// The role of a member's supervisor, its only superuser. Members let it in at their local socket only.
    public static let supervisor = "roost"
    /// The role as which members follow their leader. Members let it in from each other's addresses only.
    public static let replicator = "roost_replicator"
    /// Postgres cuts names here, without an error: `NAMEDATALEN` - 1 (pg_config_manual.h).
    public static let bytesMax = 63
    /// A cluster has at most this many members at a time, so that a member's number is one digit until members have come
    /// and gone.
    public static let membersMax = 9
    /// What is added to a cluster's name, at most: the name of a member's stream or slot in the last of all epochs.
    private static let longestEnd = "-9.e\(UInt64.max)"
    /// The longest name of a cluster.
    public static let clusterBytesMax = bytesMax - longestEnd.utf8.count

    /// Members are numbered on: no number is given twice. One more digit takes one letter less in the cluster's name.
    public static func numberMax(of cluster: AppName) -> Int {
        switch clusterBytesMax - cluster.text.utf8.count {
        case ..<1: 9
        case 1: 99
        default: 999
        }
    }

    private static let clusterRule =
        "use at most \(clusterBytesMax) letters, as Postgres cuts what is made of longer names: "
        + LabelRule.letters

    /// A cluster's name from outside: an app's, but shorter.
    /// - Throws: ``InvalidValue`` with the whole rule, whatever part of it is broken.
    public static func cluster(_ text: String) throws(InvalidValue) -> AppName {
        guard text.utf8.count <= clusterBytesMax, let name = try? AppName(text) else {
            throw InvalidValue(kind: clusterNoun, value: text, rule: clusterRule)
        }
        return name
    }

    private static let clusterNoun = "name of a Postgres cluster"

    /// The name of a cluster's member, from 1 to ``numberMax(of:)``.
    public static func member(_ number: Int, of cluster: AppName) throws(InvalidValue) -> MemberName {
        guard cluster.text.utf8.count <= clusterBytesMax else {
            throw InvalidValue(kind: clusterNoun, value: cluster.text, rule: clusterRule)
        }
        let numberMax = numberMax(of: cluster)
        guard (1...numberMax).contains(number) else {
            throw InvalidValue(
                kind: "number of a member", value: "\(number)",
                rule: "members of \(cluster) are numbered from 1 to \(numberMax), each number once")
        }
        return try MemberName("\(cluster)-\(number)")
    }

    /// Which number a name has; nil where it is not one of the cluster's members'.
    public static func number(of member: MemberName, in cluster: AppName) -> Int? {
        let start = cluster.text + "-"
        guard member.text.hasPrefix(start), let number = Int(member.text.dropFirst(start.count)) else { return nil }
        // Written in one way only: `orders-04` is nobody.
        return (1...numberMax(of: cluster)).contains(number) && member.text == "\(start)\(number)" ? number : nil
    }
}
