import EnsignCommandLine
import EnsignGateway
import EnsignModel
import EnsignSystem

/// What is served by the files of `listen.https`, which are renewed while connections are open.
struct ServedEncryption {
    private let https: GatewayFile.Listen.Encrypted
    private let path: String
    /// Who listens with them.
    let front: HTTPFront
    private var served: Files
    /// What was looked at last and not taken: that is said once.
    private var refused: Files?

    /// The content of the files; nil for one that cannot be read.
    private struct Files: Hashable {
        var certificate: String?
        var key: String?
        var authorities: String?

        init(_ https: GatewayFile.Listen.Encrypted) {
            func text(_ path: String) -> String? {
                (try? EnsignSystem.Files.read(path, limit: 1 << 20)).map { String(decoding: $0, as: UTF8.self) }
            }
            certificate = text(https.certificate.value)
            key = text(https.key.value)
            authorities = https.clientCA.flatMap { text($0.value) }
        }

        var encryption: HTTPFront.Encryption? {
            guard let certificate, let key else { return nil }
            return HTTPFront.Encryption(certificate: certificate, key: key, authorities: authorities)
        }
    }

    /// Starts to listen. Nil where the file has no `listen.https`.
    init?(_ file: GatewayFile, _ service: any Gatekeeper) throws {
        guard let https = file.listen.https else { return nil }
        (self.https, path) = (https, file.path)
        served = Files(https)
        guard let encryption = served.encryption, (encryption.authorities != nil) == (https.clientCA != nil) else {
            throw Failure(message: "the certificate, its key or the client's authorities cannot be read")
        }
        front = try HTTPFront(
            ListeningSocket(https.address),
            encryption: encryption,
            gatekeeper: service,
            version: GatewayApp.version
        )
    }

    var address: String { "https://\(https.address)" }

    /// Takes the files as they are now, where they have changed and are good.
    mutating func renew(_ tell: (String) -> Void) {
        let now = Files(https)
        guard now != served, now != refused else { return }
        let error = Surroundings().findings(of: https, in: path).first { $0.severity == .error }
        if error == nil, let encryption = now.encryption, front.renew(encryption) {
            (served, refused) = (now, nil)
            tell("the certificate of \(address) was read again: connections that begin have it")
        } else {
            refused = now
            // They may have been in the middle of a change.
            let reason = error?.message ?? "its files do not belong together"
            tell("the certificate of \(address) was not taken, and the one before still counts: \(reason)")
        }
    }
}
