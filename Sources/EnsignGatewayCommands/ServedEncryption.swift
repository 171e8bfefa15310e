import EnsignGateway
import EnsignModel
import EnsignSystem

/// What the files of `listen.https` were when the gateway began to listen: connections have those until it starts again.
struct ServedEncryption: Sendable {
    private let files: [[UInt8]?]

    init(_ https: GatewayFile.Listen.Encrypted?) { files = https.map(Self.read) ?? [] }

    /// Whether the files are as they were.
    func isStill(_ https: GatewayFile.Listen.Encrypted) -> Bool { Self.read(https) == files }

    private static func read(_ https: GatewayFile.Listen.Encrypted) -> [[UInt8]?] {
        [https.certificate.value, https.key.value, https.clientCA?.value].map { path in
            path.flatMap { try? Files.read($0, limit: 1 << 20) }
        }
    }
}
