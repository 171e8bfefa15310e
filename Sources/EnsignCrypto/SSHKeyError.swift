/// Why bytes are not a key that can be used here. The words never contain any of the bytes.
package enum SSHKeyError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The private key is protected by a passphrase.
    case encrypted
    /// The private key is of another type than `ssh-ed25519`: this one.
    case unsupportedType(String)
    /// Not the format that was expected, for this reason.
    case malformed(String)

    /// What is wrong, for people.
    package var description: String {
        switch self {
        case .encrypted: "the key is protected by a passphrase"
        case .unsupportedType(let name): "keys of type '\(name)' are not supported, only 'ssh-ed25519'"
        case .malformed(let why): "not a valid key: \(why)"
        }
    }
}
