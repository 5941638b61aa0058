/// The parts of an OCI bundle's `config.json` that Roost sets
/// (https://github.com/opencontainers/runtime-spec/blob/main/config.md).
struct RuntimeSpec: Encodable {
    var ociVersion = "1.0.2"
    var process: Process
    var root: Root
    var hostname: String
    var mounts: [Mount]
    var linux: Linux

    struct Root: Encodable {
        var path: String
        var readonly = false
    }

    struct Process: Encodable, Sendable {
        var terminal = false
        var user: User
        var args: [String]
        var env: [String]
        var cwd: String
        var capabilities: Capabilities
        var rlimits: [Limit]
        var noNewPrivileges = true
        var oomScoreAdj: Int

        struct User: Encodable {
            var uid: UInt32
            var gid: UInt32
            var additionalGids: [UInt32]
        }

        struct Capabilities: Encodable {
            var bounding: [String]
            var effective: [String]
            var permitted: [String]
            var inheritable: [String] = []
            var ambient: [String] = []
        }

        struct Limit: Encodable {
            var type: String
            var soft: UInt64
            var hard: UInt64
        }
    }

    struct Mount: Encodable {
        var destination: String
        var type: String
        var source: String
        var options: [String]
    }

    struct Linux: Encodable {
        var namespaces: [Namespace]
        var cgroupsPath: String
        var resources: Resources
        var sysctl: [String: String]
        var seccomp: SeccompProfile
        var maskedPaths: [String]
        var readonlyPaths: [String]

        struct Namespace: Encodable {
            var type: String
            var path: String?
        }

        struct Resources: Encodable {
            var devices: [DeviceRule]
            var memory: Memory
            var cpu: CPU
            var pids: PIDs

            struct DeviceRule: Encodable {
                var allow: Bool
                var access: String
            }
            struct Memory: Encodable {
                var limit: Int64
                var swap: Int64?
            }
            struct CPU: Encodable {
                var shares: UInt64
                var quota: Int64
                var period: UInt64
            }
            struct PIDs: Encodable {
                var limit: Int64
            }
        }
    }
}
