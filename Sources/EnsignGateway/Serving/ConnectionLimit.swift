import EnsignSystem

/// The most connections at one address: so few that files are left for other addresses, for servers and for the log.
enum ConnectionLimit {
    static var connections: Int { connections(files: FileLimit.files ?? 1_024) }

    static func connections(files: UInt) -> Int { Int(min(max(files / 8, 16), 1_024)) }
}
