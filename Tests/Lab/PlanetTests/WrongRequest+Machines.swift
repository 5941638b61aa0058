/// Machines and Postgres clusters.
extension WrongRequest {
    /// A config that is right but for the part that is given.
    private static func config(_ part: String) -> String { "{\"config\":{\"image\":\"{image}\",\(part)}}" }
    private static func mount(_ volume: String, _ path: String) -> String {
        "{\"volume\":\"\(volume)\",\"path\":\"\(path)\"}"
    }

    private static let wrongConfigs: [(part: String, status: Int, text: String)] = [
        ("\"services\":[{\"internal_port\":80}]", 400, "field 'config.services' is not supported"),
        ("\"guest\":5", 400, "field 'config.guest' has the wrong type"),
        ("\"guest\":{\"gpu_kind\":\"a10\"}", 400, "field 'config.guest.gpu_kind' is not supported"),
        ("\"guest\":{\"cpu_kind\":\"fast\"}", 400, "config.guest.cpu_kind"),
        ("\"guest\":{\"cpus\":\"1\"}", 400, "field 'config.guest.cpus' has the wrong type"),
        ("\"guest\":{\"cpus\":5}", 422, "ams1 needs 5 CPUs, has 4"),
        ("\"guest\":{\"memory_mb\":999999}", 422, "of memory, has"),
        ("\"env\":[]", 400, "field 'config.env' has the wrong type"),
        ("\"env\":{\"A\":5}", 400, "field 'config.env.A' has the wrong type"),
        ("\"env\":{\"\":\"x\"}", 400, "cannot be the name of an environment variable"),
        ("\"env\":{\"a=b\":\"x\"}", 400, "cannot be the name of an environment variable"),
        ("\"env\":{\"A\":\"x\\u0000y\"}", 400, "NUL"), ("\"env\":{\"A\\u0000\":\"y\"}", 400, "NUL"),
        ("\"env\":{\"A\":\"\(String(repeating: "x", count: 70_000))\"}", 400, "a config has at most 65536 bytes"),
        ("\"init\":{\"exec\":[\"a\\u0000b\"]}", 400, "NUL"), ("\"init\":{\"exec\":\"ls\"}", 400, "config.init.exec"),
        ("\"init\":{\"tty\":true}", 400, "field 'config.init.tty' is not supported"),
        ("\"mounts\":{}", 400, "field 'config.mounts' has the wrong type"),
        ("\"mounts\":[{\"volume\":\"{other-volume}\"}]", 400, "path' is missing"),
        ("\"mounts\":[\(mount("vol_1", "/data"))]", 400, "is not a valid volume id"),
        ("\"mounts\":[\(mount("vol_0123456789abcdef", "/data"))]", 404, "volume vol_0123456789abcdef not found"),
        ("\"mounts\":[\(mount("{volume}", "/data"))]", 412, "volume is currently bound to machine"),
        ("\"mounts\":[\(mount("{other-volume}", "/data"))]", 404, "it belongs to app "),
        ("\"mounts\":[\(mount("{member-volume}", "/data"))]", 404, "it belongs to app "),
        ("\"mounts\":[\(mount("{volume}", "/a")),\(mount("{volume}", "/b"))]", 400, "at most one mount"),
        (
            "\"mounts\":[{\"volume\":\"{volume}\",\"path\":\"/a\",\"encrypted\":true}]", 400,
            "encrypted' is not supported"
        ),
        ("\"restart\":{\"policy\":\"never\"}", 400, "config.restart.policy"),
        ("\"restart\":{\"policy\":\"no\",\"max_retries\":-1}", 400, "max_retries must not be negative"),
        ("\"restart\":{\"policy\":\"no\",\"gpu_bid_price\":1}", 400, "gpu_bid_price' is not supported"),
        ("\"stop_config\":{\"signal\":\"SIGBOGUS\"}", 400, "is not a signal"),
        ("\"stop_config\":{\"timeout\":\"301s\"}", 400, "a stop waits at most 300s"),
        ("\"stop_config\":{\"timeout\":\"soon\"}", 400, "is not a valid duration"),
        ("\"stop_config\":{\"timeout\":-1}", 400, "config.stop_config.timeout"),
        (
            "\"stop_config\":{\"timeout\":\"\(String(repeating: "999999999h", count: 100))\"}", 400,
            "is not a valid duration"
        ),
        ("\"auto_destroy\":\"yes\"", 400, "field 'config.auto_destroy' has the wrong type"),
    ]

    static let newMachines: [WrongRequest] =
        noObject("POST /v1/apps/{shop}/machines")
        + wrongConfigs.map { .init("POST /v1/apps/{shop}/machines", config($0.part), $0.status, $0.text) }
        + ["data", "/", "//", "/./", "/../x", "/a/../../b", ""].map {
            .init(
                "POST /v1/apps/{shop}/machines", config("\"mounts\":[\(mount("{volume}", $0))]"), 400,
                "must be an absolute path below /")
        }
        + [0, -1, 63, 1 << 43, -(1 << 43), Int.max, Int.min].map {
            .init(
                "POST /v1/apps/{shop}/machines", config("\"guest\":{\"memory_mb\":\($0)}"), 400,
                "guest.memory_mb must be 64 to")
        }
        + [0, -1, 1025, Int.max, Int.min].map {
            .init("POST /v1/apps/{shop}/machines", config("\"guest\":{\"cpus\":\($0)}"), 400, "guest.cpus must be 1 to")
        }
        + ["", "dir:relative", "a b", "oci:x", "/x", "-x", "naïve", String(repeating: "a", count: 513)].map {
            .init("POST /v1/apps/{shop}/machines", "{\"config\":{\"image\":\"\($0)\"}}", 400, "is not a valid image")
        }
        + ["UPPER", "a_b", "{long}", "../a", "🐓"].map {
            .init(
                "POST /v1/apps/{shop}/machines", "{\"name\":\"\($0)\",\"config\":{\"image\":\"{image}\"}}", 400,
                "is not a valid machine name")
        }
        + bodies(
            "POST /v1/apps/{shop}/machines",
            [
                ("{}", 400, "field 'config' is missing"), ("{\"config\":null}", 400, "field 'config'"),
                ("{\"config\":\"x\"}", 400, "field 'config' has the wrong type"),
                ("{\"config\":{}}", 400, "field 'config.image' is missing"),
                ("{\"config\":{\"image\":5}}", 400, "field 'config.image' has the wrong type"),
                ("{\"config\":{\"image\":\"{image}\"},\"lease_ttl\":5}", 400, "field 'lease_ttl' is not supported"),
                ("{\"config\":{\"image\":\"{image}\"},\"skip_launch\":\"yes\"}", 400, "has the wrong type"),
                ("{\"config\":{\"image\":\"{image}\"},\"region\":\"iad\"}", 400, "there is no region 'iad'"),
                ("{\"config\":{\"image\":\"{image}\"},\"region\":\"A\"}", 400, "is not a valid region"),
                (
                    "{\"name\":\"running\",\"config\":{\"image\":\"{image}\",\"guest\":{\"memory_mb\":64}}}", 422,
                    "has a machine named running already"
                ),
            ])
        + [
            .init("POST /v1/apps/nothing/machines", config("\"env\":{}"), 404, "app nothing not found"),
            .init("POST /v1/apps/UPPER/machines", config("\"env\":{}"), 400, "is not a valid app name"),
            .init("POST /v1/apps/{db}/machines", config("\"env\":{}"), 412, "is a Postgres cluster"),
        ]

    /// One machine's endpoints, with a body or a query that would be right.
    private static let endpoints = [
        "GET /v1/apps/{app}/machines/{id}", "DELETE /v1/apps/{app}/machines/{id}?force=true",
        "POST /v1/apps/{app}/machines/{id}/start", "POST /v1/apps/{app}/machines/{id}/stop",
        "POST /v1/apps/{app}/machines/{id}/restart", "GET /v1/apps/{app}/machines/{id}/wait?timeout=1",
        "GET /v1/apps/{app}/machines/{id}/events", "GET /v1/apps/{app}/machines/{id}/logs",
        "POST /v1/apps/{app}/machines/{id}/exec",
    ]

    private static func atEach(_ app: String, _ id: String, _ status: Int, _ text: String) -> [WrongRequest] {
        endpoints.map {
            .init(
                $0.replacing("{app}", with: app).replacing("{id}", with: id),
                $0.hasSuffix("exec") ? "{\"command\":[\"ls\"]}" : nil, status, text)
        }
    }

    static let machines: [WrongRequest] =
        ["123", "0123456789ABCD", "0123456789abcde", "%00", "..%2f..", "na%C3%AFve"].flatMap {
            atEach("{shop}", $0, 400, "is not a valid machine id")
        }
        + atEach("{shop}", "0123456789abcd", 404, "machine 0123456789abcd not found")
        + atEach("{shop}", "{other-machine}", 404, "not found") + atEach("{shop}", "{member}", 404, "not found")
        + atEach("nothing", "{machine}", 404, "not found")
        + atEach("UPPER", "{machine}", 400, "is not a valid app name")
        + noObject("POST /v1/apps/{shop}/machines/{machine}/stop", isBodyNeeded: false)
        + bodies(
            "POST /v1/apps/{shop}/machines/{machine}/stop",
            [
                ("{\"signal\":\"SIGBOGUS\"}", 400, "is not a signal"), ("{\"signal\":9}", 400, "has the wrong type"),
                ("{\"id\":\"0123456789abcd\"}", 400, "the path says"), ("{\"timeout\":\"301s\"}", 400, "at most 300s"),
                ("{\"timeout\":\"soon\"}", 400, "is not a valid duration"), ("{\"timeout\":-1}", 400, "timeout"),
            ])
        + ["timeout=soon", "timeout=-1", "timeout=9999999"].map {
            .init("POST /v1/apps/{shop}/machines/{machine}/restart?\($0)", nil, 400, "is not a valid duration")
        }
        + [
            .init("POST /v1/apps/{shop}/machines/{machine}/restart?timeout=301", nil, 400, "at most 300s"),
            .init("POST /v1/apps/{shop}/machines/{machine}/restart?timeout=6m", nil, 400, "at most 300s"),
            .init("POST /v1/apps/{shop}/machines/{machine}/restart?signal=BOGUS", nil, 400, "is not a signal"),
            .init("POST /v1/apps/{shop}/machines/{machine}/restart?force_stop=maybe", nil, 400, "true or false"),
            .init("POST /v1/apps/{shop}/machines/{idle}/restart", nil, 412, "from current state: 'created'"),
            .init("DELETE /v1/apps/{shop}/machines/{machine}", nil, 412, "not currently in a destroyable state"),
            .init("DELETE /v1/apps/{shop}/machines/{machine}?force=false", nil, 412, "destroyable state"),
            .init("DELETE /v1/apps/{shop}/machines/{machine}?force=maybe", nil, 400, "true or false"),
            .init("DELETE /v1/apps/{db}/machines/{member}?force=true", nil, 412, "is a Postgres cluster"),
            .init("GET /v1/apps/nothing/machines", nil, 404, "app nothing not found"),
            .init("GET /v1/apps/{shop}/machines?state=asleep", nil, 400, "is not a machine state"),
            .init("GET /v1/apps/{shop}/machines?state=started,asleep", nil, 400, "is not a machine state"),
            .init("GET /v1/apps/{shop}/machines?region=iad", nil, 400, "there is no region 'iad'"),
            .init("GET /v1/apps/{shop}/machines/{machine}/wait?state=asleep", nil, 400, "is not a machine state"),
            .init("GET /v1/apps/{shop}/machines/{machine}/wait?instance_id=01NOSUCH", nil, 412, "no version"),
            .init("DELETE /v1/apps/{shop}/machines/{machine}?force=", nil, 400, "true or false"),
            .init("DELETE /v1/apps/{shop}/machines/{machine}?froce=true", nil, 400, "'froce' is not supported"),
            .init("GET /v1/apps/{shop}/machines?name=running", nil, 400, "'name' is not supported"),
            .init("GET /v1/apps/{shop}/machines/{machine}/wait?timeout=61", nil, 400, "at most 60 s"),
            .init("GET /v1/apps/{shop}/machines/{machine}/wait?timeout=-1", nil, 400, "is not a valid duration"),
            .init("GET /v1/apps/{shop}/machines/{machine}/wait?state=stopped&timeout=1", nil, 408, "deadline_exceeded"),
        ]
        + ["0", "-1", "many", "1000000", "1.5", "9223372036854775808"].flatMap { value -> [WrongRequest] in
            [.init("GET /v1/apps/{shop}/machines/{machine}/events?limit=\(value)", nil, 400, "limit must be 1 to")]
        }
        + ["0", "-1", "many", "1048577"].map {
            .init("GET /v1/apps/{shop}/machines/{machine}/logs?bytes=\($0)", nil, 400, "bytes must be 1 to 1048576")
        }
        + exec

    private static let exec: [WrongRequest] =
        noObject("POST /v1/apps/{shop}/machines/{machine}/exec")
        + bodies(
            "POST /v1/apps/{shop}/machines/{machine}/exec",
            [
                ("{}", 400, "field 'command' (a list) or 'cmd' (a shell line) is missing"),
                ("{\"command\":[]}", 400, "field 'command'"),
                ("{\"command\":[\"ls\"],\"cmd\":\"ls\"}", 400, "exclude each other"),
                ("{\"command\":\"ls\"}", 400, "has the wrong type"),
                ("{\"command\":[5]}", 400, "has the wrong type"), ("{\"cmd\":[\"ls\"]}", 400, "has the wrong type"),
                ("{\"command\":[\"\"]}", 400, "give a command"), ("{\"command\":[\"-ls\"]}", 400, "give a command"),
                ("{\"command\":[\"ls\",\"a\\u0000b\"]}", 400, "no NUL"), ("{\"cmd\":\"a\\u0000b\"}", 400, "no NUL"),
                ("{\"cmd\":\"\(String(repeating: "x", count: 1 << 17))\"}", 400, "a command has at most 131071 bytes"),
                ("{\"command\":[\"ls\"],\"container\":\"a\"}", 400, "field 'container' is not supported"),
                ("{\"command\":[\"ls\"],\"stdin\":5}", 400, "has the wrong type"),
            ])
        + ["-1", "121", "9223372036854775807"].map {
            .init(
                "POST /v1/apps/{shop}/machines/{machine}/exec", "{\"command\":[\"ls\"],\"timeout\":\($0)}", 400,
                "timeout must be 1 to 120")
        }
        + [
            .init(
                "POST /v1/apps/{shop}/machines/{machine}/exec", "{\"command\":[\"sleep\",\"60\"],\"timeout\":1}", 408,
                "did not end within"),
            .init(
                "POST /v1/apps/{shop}/machines/{idle}/exec", "{\"command\":[\"ls\"]}", 412, "is created, not started"),
        ]

    // MARK: - Clusters

    /// A wish for a cluster that is right but for what is given.
    private static func wish(_ part: String) -> String {
        "{\"name\":\"free\",\"region\":\"ams\",\"replica_regions\":[],\(part)}"
    }

    static let clusters: [WrongRequest] =
        noObject("POST /v1/postgres")
        + bodies(
            "POST /v1/postgres",
            [
                ("{\"name\":\"free\"}", 400, "field 'region' is missing"),
                ("{\"name\":\"free\",\"region\":\"ams\"}", 400, "field 'replica_regions' is missing"),
                ("{\"name\":5,\"region\":\"ams\",\"replica_regions\":[]}", 400, "field 'name' has the wrong type"),
                ("{\"name\":\"free\",\"region\":\"iad\",\"replica_regions\":[]}", 400, "there is no region 'iad'"),
                ("{\"name\":\"free\",\"region\":\"\",\"replica_regions\":[]}", 400, "is not a valid region"),
                ("{\"name\":\"free\",\"region\":\"ams\",\"replica_regions\":\"ams\"}", 400, "has the wrong type"),
                ("{\"name\":\"free\",\"region\":\"ams\",\"replica_regions\":[\"iad\"]}", 400, "there is no region"),
                (
                    "{\"name\":\"free\",\"region\":\"ams\",\"replica_regions\":[\(Array(repeating: "\"ams\"", count: 9).joined(separator: ","))]}",
                    400, "a cluster has 1 to 9 members"
                ),
                (
                    "{\"name\":\"\(String(repeating: "a", count: 63))\",\"region\":\"ams\",\"replica_regions\":[]}",
                    400,
                    "use at most 39 letters"
                ),
                ("{\"name\":\"a-\",\"region\":\"ams\",\"replica_regions\":[]}", 400, "ending with a letter or digit"),
                ("{\"name\":\"{db}\",\"region\":\"ams\",\"replica_regions\":[]}", 422, "Name has already been taken"),
                ("{\"name\":\"{shop}\",\"region\":\"ams\",\"replica_regions\":[]}", 422, "Name has already been taken"),
                (wish("\"volume_size_gb\":\"1\""), 400, "field 'volume_size_gb' has the wrong type"),
                (wish("\"guest\":{\"memory_mb\":255}"), 400, "guest.memory_mb must be at least 256"),
                (wish("\"guest\":{\"cpus\":0}"), 400, "guest.cpus must be 1 to"),
                (wish("\"guest\":{\"cpus\":\(Int.min)}"), 400, "guest.cpus must be 1 to"),
                (wish("\"guest\":{\"memory_mb\":\(1 << 43)}"), 400, "guest.memory_mb must be 64 to"),
                (wish("\"guest\":{\"gpus\":1}"), 400, "field 'guest.gpus' is not supported"),
                (wish("\"image\":\"dir:relative\""), 400, "is not a valid image"),
                (wish("\"pg_major_version\":17"), 400, "field 'pg_major_version' is not supported"),
            ])
        + [0, -1, 501, 10_000, Int.max, Int.min].map {
            .init("POST /v1/postgres", wish("\"volume_size_gb\":\($0)"), 400, "volume_size_gb must be 1 to 500")
        }
        + ["", "Upper", "9db", "a_b", "{long}", "naïve", "../etc", "a\\u0000"].map {
            .init(
                "POST /v1/postgres", "{\"name\":\"\($0)\",\"region\":\"ams\",\"replica_regions\":[]}", 400,
                "is not a valid name of a Postgres cluster")
        }
        + badNames.flatMap { name -> [WrongRequest] in
            [
                .init("GET /v1/postgres/\(name)", nil, 400, "is not a valid app name"),
                .init("DELETE /v1/postgres/\(name)", nil, 400, "is not a valid app name"),
                .init("POST /v1/postgres/\(name)/switchover", nil, 400, "is not a valid app name"),
            ]
        }
        + ["nothing", "{shop}"].flatMap { name -> [WrongRequest] in
            [
                .init("GET /v1/postgres/\(name)", nil, 404, "not found"),
                .init("DELETE /v1/postgres/\(name)", nil, 404, "not found"),
                .init("POST /v1/postgres/\(name)/switchover", nil, 404, "not found"),
            ]
        }
        + noObject("POST /v1/postgres/{db}/switchover", isBodyNeeded: false)
        + bodies(
            "POST /v1/postgres/{db}/switchover",
            [
                (nil, 412, "the cluster has one member"), ("{}", 412, "the cluster has one member"),
                ("{\"to\":\"{db}-9\"}", 404, "is not a member; there are"),
                ("{\"to\":\"\"}", 400, "is not a valid member name"), ("{\"to\":5}", 400, "has the wrong type"),
                ("{\"to\":\"UPPER\"}", 400, "is not a valid member name"),
                ("{\"target\":\"{db}-1\"}", 400, "field 'target' is not supported"),
            ])
}
