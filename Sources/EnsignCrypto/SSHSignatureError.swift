/// Why bytes are not an SSH signature that can be judged. That a signature does not verify is not an error, but a
/// ``SSHSignature/Verdict``.
package enum SSHSignatureError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Not exactly a BEGIN line, base64 and an END line (PROTOCOL.sshsig, section 1), for this reason.
    case malformedArmor(String)
    /// The base64 does not encode exactly one signature (PROTOCOL.sshsig, section 2), for this reason.
    case malformedBlob(String)
    /// A version of the format other than 1.
    case unsupportedVersion(UInt32)
    /// A hash other than `sha256` and `sha512`: this one, or its bytes in hexadecimal if they are not text.
    case unsupportedHash(String)

    /// What is wrong, for people.
    package var description: String {
        switch self {
        case .malformedArmor(let why): "not an SSH signature: \(why)"
        case .malformedBlob(let why): "not a valid SSH signature: \(why)"
        case .unsupportedVersion(let version): "SSH signatures of version \(version) are not supported, only 1"
        case .unsupportedHash(let name): "SSH signatures over '\(name)' are not supported, only sha256 and sha512"
        }
    }
}
