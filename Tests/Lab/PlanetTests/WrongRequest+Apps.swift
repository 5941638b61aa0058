/// Apps, volumes, the platform, and paths that lead nowhere.
extension WrongRequest {
    static let apps: [WrongRequest] =
        noObject("POST /v1/apps")
        + bodies(
            "POST /v1/apps",
            [
                ("{}", 400, "field 'name' is missing"), ("{\"name\":null}", 400, "field 'name' is missing"),
                ("{\"name\":5}", 400, "field 'name' has the wrong type"),
                ("{\"name\":[\"a\"]}", 400, "field 'name' has the wrong type"),
                ("{\"name\":\"free\",\"bogus\":1}", 400, "field 'bogus' is not supported"),
                ("{\"name\":\"free\",\"network\":\"UPPER\"}", 400, "is not a valid network name"),
                ("{\"name\":\"free\",\"network\":5}", 400, "field 'network' has the wrong type"),
                ("{\"name\":\"{shop}\"}", 422, "Name has already been taken"),
                ("{\"name\":\"{db}\"}", 422, "Name has already been taken"),
            ])
        + [
            "", "Upper", "9shop", "a_b", "-a", "a-", "{long}", "naïve", "🐓", "../etc", "a/b", "a b", "a\\u0000", "a\\n",
        ].map { .init("POST /v1/apps", "{\"name\":\"\($0)\"}", 400, "is not a valid app name") }
        + badNames.flatMap { name -> [WrongRequest] in
            ["GET", "DELETE"].map { .init("\($0) /v1/apps/\(name)", nil, 400, "is not a valid app name") }
        }
        + [
            .init("GET /v1/apps/nothing", nil, 404, "app nothing not found"),
            .init("DELETE /v1/apps/nothing", nil, 404, "app nothing not found"),
            .init("DELETE /v1/apps/{shop}", nil, 412, "still has 2 machines and 1 volume"),
            .init("DELETE /v1/apps/{db}", nil, 412, "roost pg destroy {db}".replacing("{db}", with: Stock.cluster)),
        ]

    private static let volumeNames = [
        "", "Upper", "a-b", "a b", "naïve", "../etc", "a\\u0000", String(repeating: "a", count: 31),
    ]

    static let volumes: [WrongRequest] =
        noObject("POST /v1/apps/{shop}/volumes")
        + bodies(
            "POST /v1/apps/{shop}/volumes",
            [
                ("{}", 400, "field 'name' is missing"), ("{\"name\":5}", 400, "field 'name' has the wrong type"),
                ("{\"name\":\"a\",\"encrypted\":true}", 400, "field 'encrypted' is not supported"),
                ("{\"name\":\"a\",\"snapshot_id\":\"vs_1\"}", 400, "field 'snapshot_id' is not supported"),
                ("{\"name\":\"a\",\"size_gb\":\"1\"}", 400, "field 'size_gb' has the wrong type"),
                ("{\"name\":\"a\",\"size_gb\":1.5}", 400, "a number in it does not fit"),
                ("{\"name\":\"a\",\"size_gb\":1e30}", 400, "a number in it does not fit"),
                ("{\"name\":\"a\",\"size_gb\":400}", 422, "no host in region ams fits: ams1 needs 400 GiB of disk"),
                ("{\"name\":\"a\",\"region\":\"iad\"}", 400, "there is no region 'iad'; there are: ams"),
                ("{\"name\":\"a\",\"region\":\"A\"}", 400, "is not a valid region"),
                ("{\"name\":\"a\",\"fstype\":\"raw\"}", 400, "fstype is ext4"),
                ("{\"name\":\"a\",\"require_unique_zone\":\"no\"}", 400, "has the wrong type"),
                ("{\"name\":\"a\",\"compute\":5}", 400, "field 'compute' has the wrong type"),
                ("{\"name\":\"a\",\"compute\":{\"gpus\":1}}", 400, "field 'compute.gpus' is not supported"),
                ("{\"name\":\"a\",\"compute\":{\"cpu_kind\":\"fast\"}}", 400, "compute.cpu_kind"),
                ("{\"name\":\"a\",\"compute\":{\"memory_mb\":1048576}}", 422, "of memory, has"),
                ("{\"name\":\"a\",\"compute\":{\"cpus\":1000}}", 422, "needs 1000 CPUs"),
            ])
        + [0, -1, 501, Int.max, Int.min].map {
            .init("POST /v1/apps/{shop}/volumes", "{\"name\":\"a\",\"size_gb\":\($0)}", 400, "size_gb must be 1 to 500")
        }
        + [0, -1, 63, 1 << 43, -(1 << 43), Int.max, Int.min].map {
            .init(
                "POST /v1/apps/{shop}/volumes", "{\"name\":\"a\",\"compute\":{\"memory_mb\":\($0)}}", 400,
                "compute.memory_mb must be 64 to")
        }
        + [0, -1, 1025, Int.max, Int.min].map {
            .init(
                "POST /v1/apps/{shop}/volumes", "{\"name\":\"a\",\"compute\":{\"cpus\":\($0)}}", 400,
                "compute.cpus must be 1 to")
        }
        + volumeNames.map {
            .init("POST /v1/apps/{shop}/volumes", "{\"name\":\"\($0)\"}", 400, "is not a valid volume name")
        }
        + badNames.map { .init("GET /v1/apps/\($0)/volumes", nil, 400, "is not a valid app name") }
        + ["GET", "DELETE"].flatMap { verb -> [WrongRequest] in
            ["vol_1", "UPPER", "%00", "..%2f..", "vol_0123456789ABCDEF", "vol_0123456789abcdef0"].map {
                .init("\(verb) /v1/apps/{shop}/volumes/\($0)", nil, 400, "is not a valid volume id")
            } + [
                .init("\(verb) /v1/apps/{shop}/volumes/vol_0123456789abcdef", nil, 404, "not found"),
                .init("\(verb) /v1/apps/{shop}/volumes/{other-volume}", nil, 404, "not found"),
                .init("\(verb) /v1/apps/nothing/volumes/{volume}", nil, 404, "not found"),
                .init("\(verb) /v1/apps/UPPER/volumes/{volume}", nil, 400, "is not a valid app name"),
            ]
        }
        + [
            .init("GET /v1/apps/nothing/volumes", nil, 404, "app nothing not found"),
            .init("POST /v1/apps/nothing/volumes", "{\"name\":\"a\"}", 404, "app nothing not found"),
            .init("POST /v1/apps/{db}/volumes", "{\"name\":\"a\"}", 412, "is a Postgres cluster"),
            .init("DELETE /v1/apps/{shop}/volumes/{volume}", nil, 412, "volume is currently bound to machine"),
            .init("DELETE /v1/apps/{db}/volumes/{member-volume}", nil, 412, "is a Postgres cluster"),
        ]

    static let platform: [WrongRequest] =
        noObject("POST /v1/platform/hosts/ams1/edge")
        + bodies(
            "POST /v1/platform/hosts/ams1/edge",
            [
                ("{}", 400, "field 'state' is missing"), ("{\"state\":\"paused\"}", 400, "none of started, stopped"),
                ("{\"state\":true}", 400, "field 'state' has the wrong type"),
                ("{\"state\":\"started\",\"drain\":1}", 400, "field 'drain' is not supported"),
            ])
        + badNames.map {
            .init("POST /v1/platform/hosts/\($0)/edge", "{\"state\":\"stopped\"}", 400, "is not a valid host name")
        }
        + [.init("POST /v1/platform/hosts/ams9/edge", "{\"state\":\"stopped\"}", 404, "host ams9 not found")]

    /// Unknown paths and methods, and what Fly.io has and this version has not.
    static let paths: [WrongRequest] =
        [
            "GET /", "GET /v1", "GET /v2/apps", "GET /v1/bogus", "GET /v1/apps/{shop}/bogus", "GET /v1/apps/../../etc",
            "GET /v1/apps/{shop}/machines/{machine}/bogus", "GET /v1/platform", "GET /v1/platform/bogus",
            "GET /v1/postgres/{db}/bogus", "GET /index.html", "GET /v1/internal/mesh",
            "DELETE /v1/internal/machines/{machine}",
        ].map { .init($0, nil, 404, "not found") }
        + [
            "PUT /v1/apps", "PATCH /v1/apps/{shop}", "POST /v1/apps/{shop}", "PUT /v1/apps/{shop}/machines",
            "PUT /v1/apps/{shop}/machines/{machine}", "GET /v1/apps/{shop}/machines/{machine}/start",
            "POST /v1/apps/{shop}/machines/{machine}/wait", "POST /v1/apps/{shop}/volumes/{volume}",
            "DELETE /v1/postgres", "PUT /v1/postgres/{db}", "GET /v1/postgres/{db}/switchover",
            "GET /v1/platform/hosts/ams1/edge", "POST /v1/platform/ips", "DELETE /v1/platform/mesh",
            "OPTIONS /v1/apps", "TRACE /v1/apps",
        ].map { .init($0, nil, 405, "it takes ") }
        + [.init("POST /v1/bogus", large, 404, "not found")]
        + [
            "GET /v1/apps/{shop}/certificates", "POST /v1/apps/{shop}/certificates/acme",
            "POST /v1/apps/{shop}/deploy_token", "GET /v1/apps/{shop}/ip_assignments",
            "POST /v1/apps/{shop}/machines/{machine}", "POST /v1/apps/{shop}/machines/{machine}/cordon",
            "GET /v1/apps/{shop}/machines/{machine}/lease", "PUT /v1/apps/{shop}/machines/{machine}/memory",
            "PATCH /v1/apps/{shop}/machines/{machine}/metadata", "POST /v1/apps/{shop}/machines/{machine}/signal",
            "POST /v1/apps/{shop}/machines/{machine}/suspend", "GET /v1/apps/{shop}/machines/{machine}/versions",
            "GET /v1/apps/{shop}/secrets", "POST /v1/apps/{shop}/secretkeys/a/generate",
            "PUT /v1/apps/{shop}/volumes/{volume}", "PUT /v1/apps/{shop}/volumes/{volume}/extend",
            "POST /v1/apps/{shop}/volumes/{volume}/snapshots", "GET /v1/orgs/personal/machines",
            "POST /v1/platform/placements", "GET /v1/tokens/current", "POST /v1/postgres/{db}/backups",
            "POST /v1/postgres/{db}/restore", "GET /v1/postgres/{db}/users/a/credentials",
        ].map { .init($0, "{}", 501, "that Roost does not serve yet") }
}
