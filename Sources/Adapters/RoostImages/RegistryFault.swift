/// What a registry's refusal means, in words that hold no path, address or token of the host. `skopeo`'s own words go
/// to the host's log only.
enum RegistryFault {
    private static let meanings: [(marks: [String], words: String)] = [
        (
            ["manifest unknown", "name unknown", "not found", "repository name not known"],
            "the registry has no such image: check the name and the tag"
        ),
        (
            ["unauthorized", "denied", "authentication required", "forbidden"],
            "the registry has no such image for this host, or wants a login ('skopeo login' on the host)"
        ), (["toomanyrequests", "too many requests"], "the registry asks to come back later"),
        (
            ["x509", "certificate", "tls:", "server gave http response"],
            "the registry's certificate is not trusted here"
        ),
        (
            ["no such host", "connection refused", "timeout", "unreachable", "dial tcp", "deadline exceeded"],
            "the registry cannot be reached from this host"
        ), (["no space left"], "the host's disk is full"),
    ]

    static func words(_ complaint: String) -> String {
        let text = complaint.lowercased()
        let known = meanings.first { meaning in meaning.marks.contains { text.contains($0) } }
        return known?.words ?? "the registry's answer was not understood; the host's log has it"
    }
}
