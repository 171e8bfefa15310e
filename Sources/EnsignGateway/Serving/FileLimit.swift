import Glibc

/// How many files this process may have open.
package enum FileLimit {
    /// Takes as many as the system allows at all: what is set for people's programs is too few for a server of many
    /// connections. What is started from here on has it, too.
    package static func raise() {
        guard var limit = current else { return }
        limit.rlim_cur = limit.rlim_max
        _ = unsafe setrlimit(kind, &limit)
    }

    /// The most connections at one address: so few that files are left for other addresses, for servers and for the log.
    static var connections: Int { connections(files: current?.rlim_cur ?? 1_024) }

    static func connections(files: UInt) -> Int { Int(min(max(files / 8, 16), 1_024)) }

    private static let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)

    private static var current: rlimit? {
        var limit = rlimit()
        return unsafe getrlimit(kind, &limit) == 0 ? limit : nil
    }
}
