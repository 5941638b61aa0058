import RoostModel
import RoostWire
import Testing

@testable import RoostAPI

@Suite struct FlyPathsTests {
    private func status(_ line: String) -> Int {
        let parts = line.split(separator: " ").map(String.init)
        return FlyPaths.refusal(method: parts[0], path: parts[1]).code.status
    }

    /// Every operation of Fly.io's descriptions of its Machines and Postgres APIs that docs/api.md does not list.
    @Test(arguments: [
        "GET /v1/apps/x/certificates", "POST /v1/apps/x/certificates/acme", "POST /v1/apps/x/certificates/custom",
        "GET /v1/apps/x/certificates/x", "DELETE /v1/apps/x/certificates/x", "DELETE /v1/apps/x/certificates/x/acme",
        "POST /v1/apps/x/certificates/x/check", "DELETE /v1/apps/x/certificates/x/custom",
        "POST /v1/apps/x/deploy_token", "GET /v1/apps/x/ip_assignments", "POST /v1/apps/x/ip_assignments",
        "DELETE /v1/apps/x/ip_assignments/x", "POST /v1/apps/x/machines/x", "POST /v1/apps/x/machines/x/cordon",
        "GET /v1/apps/x/machines/x/lease", "POST /v1/apps/x/machines/x/lease", "DELETE /v1/apps/x/machines/x/lease",
        "GET /v1/apps/x/machines/x/memory", "PUT /v1/apps/x/machines/x/memory",
        "POST /v1/apps/x/machines/x/memory/reclaim", "GET /v1/apps/x/machines/x/metadata",
        "PUT /v1/apps/x/machines/x/metadata", "PATCH /v1/apps/x/machines/x/metadata",
        "GET /v1/apps/x/machines/x/metadata/x", "POST /v1/apps/x/machines/x/metadata/x",
        "DELETE /v1/apps/x/machines/x/metadata/x", "GET /v1/apps/x/machines/x/ps",
        "POST /v1/apps/x/machines/x/signal", "POST /v1/apps/x/machines/x/suspend",
        "POST /v1/apps/x/machines/x/uncordon", "GET /v1/apps/x/machines/x/versions", "GET /v1/apps/x/secretkeys",
        "GET /v1/apps/x/secretkeys/x", "POST /v1/apps/x/secretkeys/x", "DELETE /v1/apps/x/secretkeys/x",
        "POST /v1/apps/x/secretkeys/x/decrypt", "POST /v1/apps/x/secretkeys/x/encrypt",
        "POST /v1/apps/x/secretkeys/x/generate", "POST /v1/apps/x/secretkeys/x/sign",
        "POST /v1/apps/x/secretkeys/x/verify", "GET /v1/apps/x/secrets", "POST /v1/apps/x/secrets",
        "GET /v1/apps/x/secrets/x", "POST /v1/apps/x/secrets/x", "DELETE /v1/apps/x/secrets/x",
        "PUT /v1/apps/x/volumes/x", "PUT /v1/apps/x/volumes/x/extend", "GET /v1/apps/x/volumes/x/snapshots",
        "POST /v1/apps/x/volumes/x/snapshots", "GET /v1/orgs/x/machines", "GET /v1/orgs/x/volumes",
        "POST /v1/platform/placements", "POST /v1/tokens/authenticate", "POST /v1/tokens/authorize",
        "GET /v1/tokens/current", "POST /v1/tokens/kms", "POST /v1/tokens/oidc", "POST /v1/postgres/x/attachments",
        "DELETE /v1/postgres/x/attachments/x", "GET /v1/postgres/x/backups", "POST /v1/postgres/x/backups",
        "GET /v1/postgres/x/databases", "POST /v1/postgres/x/databases", "DELETE /v1/postgres/x/databases/x",
        "GET /v1/postgres/x/databases/x/extensions", "POST /v1/postgres/x/databases/x/extensions",
        "DELETE /v1/postgres/x/databases/x/extensions/x", "POST /v1/postgres/x/fork", "POST /v1/postgres/x/restore",
        "GET /v1/postgres/x/queries/active", "GET /v1/postgres/x/queries/slow", "GET /v1/postgres/x/users",
        "POST /v1/postgres/x/users", "DELETE /v1/postgres/x/users/x", "PATCH /v1/postgres/x/users/x",
        "GET /v1/postgres/x/users/x/credentials", "POST /v1/postgres/x/users/x/rotate_password",
    ])
    func whatFlyHasAndRoostHasNotIs501(line: String) { #expect(status(line) == 501) }

    @Test(arguments: [
        "GET /", "GET /v1", "GET /v1/bogus", "GET /v1/apps/x/machines/y/bogus", "PUT /v1/apps/x/machines/y",
        "GET /v1/apps/x/machines/y/metadata/k/more", "POST /v1/apps/x/volumes/y", "GET /v1/orgs", "GET /v1/tokens",
        "GET /v1/apps/x/secretkeys/y/z".replacing("secretkeys", with: "secretkey"), "GET /v1/postgres/x/queries",
        "GET /v1/postgres/x/switchover/y", "GET /v2/apps/x/secrets",
    ])
    func everythingElseIs404(line: String) {
        #expect(status(line) == 404)
    }

    @Test(arguments: [
        ("/a/b", "/a/b", true), ("/a/b", "/a/*", true), ("/a", "/a/*", false), ("/a/b/c", "/a/*", false),
        ("/a/b/c", "/a/**", true), ("/a", "/a/**", false), ("/", "/**", false), ("//a//b/", "/a/b", true),
    ])
    func patternsMatchWholePaths(path: String, pattern: String, matches: Bool) {
        #expect(FlyPaths.matches(path, pattern) == matches)
    }
}
