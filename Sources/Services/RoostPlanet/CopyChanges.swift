import RoostModel
import RoostRecords
import RoostStore

extension PlanetCopy {
    /// What is to be written to the copy.
    struct Changes: Sendable {
        /// Parts that were listed anew, or are not followed any more, in this order.
        private(set) var listings: [Listed] = []
        /// After the listings: present records, and nil for those that are gone.
        var records: [String: Entry?] = [:]

        struct Listed: Sendable {
            /// Nil: all parts.
            var part: PlanetPart?
            var entries: [Entry]
            /// Keys whose former row stays although the listing does not have it in a form that can be read.
            var unreadable: Set<String>
            /// Parts of this one whose rows stay.
            var spared: Set<PlanetPart> = []

            func has(_ key: String) -> Bool {
                guard let part else { return true }
                let key = StoreKey(key)
                return part.has(key) && !spared.contains { $0.has(key) }
            }

            /// Whether nothing of another one is left after this one.
            func covers(_ other: Self) -> Bool {
                guard let part else { return true }
                guard let narrow = other.part, part.has(narrow) else { return false }
                return spared.isEmpty || spared == other.spared
            }
        }

        var isEmpty: Bool { listings.isEmpty && records.isEmpty }

        mutating func add(_ event: WatchEvent, of part: PlanetPart?, unreadable keys: Set<String>, _ rule: CopyRule) {
            switch event {
            case .interrupted: break
            case .listing(let listing):
                add(
                    Listed(
                        part: part,
                        entries: listing.entries.compactMap { keys.contains($0.key) ? nil : rule.kept($0) },
                        unreadable: keys))
            case .changes(let changes, _):
                for change in changes {
                    switch change {
                    case .put(let entry):
                        if !keys.contains(entry.key), let kept = rule.kept(entry) { records[entry.key] = .some(kept) }
                    case .delete(let key): records[key] = .some(nil)
                    }
                }
            }
        }

        /// A part is not followed any more; what is of another one that is followed stays.
        mutating func forget(_ part: PlanetPart, but others: Set<PlanetPart>) {
            add(Listed(part: part, entries: [], unreadable: [], spared: others.filter { $0 != part && part.has($0) }))
        }

        private mutating func add(_ listed: Listed) {
            listings.removeAll { listed.covers($0) }
            listings.append(listed)
            records = records.filter { !listed.has($0.key) }
        }

        /// These changes, then the later ones.
        func followed(by later: Self) -> Self {
            var all = self
            for listed in later.listings { all.add(listed) }
            all.records.merge(later.records) { $1 }
            return all
        }

        /// Takes those out that say only how things go: they change all the time and may wait.
        mutating func takeReports() -> [String: Entry?] {
            let reports = records.filter { Self.isReport($0.key) }
            if !reports.isEmpty { records = records.filter { !Self.isReport($0.key) } }
            return reports
        }

        /// Puts those back that were taken out before these.
        mutating func put(back reports: [String: Entry?]) {
            for (key, entry) in reports where records[key] == nil {
                guard !listings.contains(where: { $0.has(key) }) else { continue }
                records[key] = .some(entry)
            }
        }

        private static func isReport(_ key: String) -> Bool {
            switch StoreKey(key) {
            case .cluster(_, .report): true
            case .cluster, .host, .generation, .machine, .volume, .app, .address, .secrets, .identity, .operation,
                .other:
                false
            }
        }
    }
}

/// Which records a host keeps on its disk, and what of them.
///
/// Passwords are on no disk but the store's own: who needs them needs the store, too. An edge keeps what it shows to
/// clients, because it serves them also while the store is away.
struct CopyRule: Hashable, Sendable {
    /// The host is an edge.
    var keepsIdentities: Bool

    /// The entry as it is kept; nil when it is not.
    func kept(_ entry: Entry) -> Entry? {
        switch StoreKey(entry.key) {
        // A heartbeat changes several times a second and means nothing later; what is not of the planet is not kept.
        case .other, .cluster(_, .heartbeat), .secrets: return nil
        case .identity: return keepsIdentities ? entry : nil
        case .cluster(_, .secrets): return keepsIdentities ? Self.withoutPasswords(entry) : nil
        case .host, .generation, .machine, .volume, .app, .address, .cluster, .operation: return entry
        }
    }

    static func isSecret(_ key: String) -> Bool {
        switch StoreKey(key) {
        case .secrets, .identity, .cluster(_, .secrets): true
        case .host, .generation, .machine, .volume, .app, .address, .cluster, .operation, .other: false
        }
    }

    private static func withoutPasswords(_ entry: Entry) -> Entry? {
        guard var secrets = try? RecordCodec.read(ClusterSecrets.self, from: entry.value) else { return nil }
        (secrets.ownerPassword, secrets.replicationPassword) = ("", "")
        guard let value = try? RecordCodec.write(secrets) else { return nil }
        var entry = entry
        entry.value = value
        return entry
    }
}
