import RoostWire
import Testing

@testable import RoostRoutes

@Suite struct ImageNameTests {
    @Test(arguments: [
        ("registry.example/team/app:1.2", "registry.example", "team/app", "1.2", ""),
        ("localhost:5000/app", "localhost:5000", "app", "", ""),
        ("localhost:5000/app:tag@sha256:abc", "localhost:5000", "app", "tag", "sha256:abc"),
        ("library/redis", "", "library/redis", "", ""), ("redis:7", "", "redis", "7", ""),
        ("redis@sha256:abc", "", "redis", "", "sha256:abc"), ("", "", "", "", ""), (":", "", "", "", ""),
        ("docker://docker.io/library/redis:7", "docker.io", "library/redis", "7", ""),
        ("docker://redis@sha256:abc", "", "redis", "", "sha256:abc"),
        ("docker://localhost:5000/app", "localhost:5000", "app", "", ""),
        ("oci:/srv/my.images/app:17", "", "oci:/srv/my.images/app", "17", ""),
        ("oci:/srv/app", "", "oci:/srv/app", "latest", ""), ("dir:/srv/a.b/c:1@x", "", "dir:/srv/a.b/c:1@x", "", ""),
        ("@", "", "@", "", ""), ("a/", "", "a/", "", ""),
    ])
    func imageNamesAreTakenApart(
        reference: String, registry: String, repository: String, tag: String, digest: String
    ) {
        let parts = ImageRefBody(reference: reference)
        let expected = ImageRefBody(registry: registry, repository: repository, tag: tag, digest: digest)
        #expect(parts == expected)
    }
}
