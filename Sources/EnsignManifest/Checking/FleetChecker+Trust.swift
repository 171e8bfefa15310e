import EnsignCrypto
import EnsignModel

extension FleetChecker {
    /// Checks who may sign.
    func checkTrust() throws {
        for node in fleet.accepted(try fleet.folder(RepositoryPath.trust) ?? [], in: RepositoryPath.trust) {
            guard node.name == "allowed_signers", node.kind == .file else {
                try fleet.ignored(node, in: RepositoryPath.trust)
                continue
            }
            let path = RepositoryPath.allowedSigners
            guard let bytes = fleet.source(path) else {
                fleet.report(Finding(code: "too-large", "the file has more than 1 MiB", path: path))
                continue
            }
            let (signers, problems) = AllowedSigners.parse(bytes)
            for entry in signers.entries {
                report(uselessSigner: entry)
                report(uselessApprover: entry)
            }
            for problem in problems {
                fleet.report(
                    Finding(
                        code: "allowed-signers",
                        problem.message,
                        path: path,
                        at: Position(line: UInt32(problem.line), column: UInt32(problem.column)),
                        hint: "see 'ALLOWED SIGNERS' in man ssh-keygen"
                    )
                )
            }
        }
    }

    /// A line that no signature will ever be good by.
    private func report(uselessSigner entry: AllowedSigners.Entry) {
        let message: String
        if !entry.key.isCheckable {
            message = "signatures by a key of type '\(entry.key.typeName.cut(utf8: 64))' cannot be checked"
        } else if entry.principals.signers.isEmpty {
            message = "the line names nobody: its own principals exclude each other"
        } else {
            return
        }
        fleet.report(
            Finding(
                .warning,
                code: "useless-signer",
                message,
                path: RepositoryPath.allowedSigners,
                at: Position(line: UInt32(entry.line), column: 1),
                hint: "the ledger says 'unknown-key' or 'unsupported' of commits that it should vouch for"
            )
        )
    }

    /// A line for approvals by which nobody can agree to a call.
    private func report(uselessApprover entry: AllowedSigners.Entry) {
        guard entry.namesApprovals else { return }
        let message: String
        var hint = "write one line for each person, with the principal that the teams name"
        if entry.isCertificateAuthority {
            message = "a certificate authority agrees to nothing: approvals are signed by people's own keys"
        } else if entry.key.isCheckable, entry.key.kind == .other {
            message = "approvals by a key of type '\(entry.key.typeName.cut(utf8: 64))' are not checked"
            hint = "use an Ed25519 key: ssh-keygen -t ed25519, or -t ed25519-sk with a security key"
        } else if !entry.principals.signers.isEmpty, entry.approvers.isEmpty {
            message =
                "'\(entry.principals.description.onOneLine(utf8: 64))' names no person exactly, so nobody agrees with this key"
        } else {
            return
        }
        fleet.report(
            Finding(
                .warning,
                code: "useless-approver",
                message,
                path: RepositoryPath.allowedSigners,
                at: Position(line: UInt32(entry.line), column: 1),
                hint: hint
            )
        )
    }
}
