package import EnsignGit
package import EnsignModel

/// A commit that Ensign makes in its own name, signed with the key of an environment's ledger.
package enum SignedCommit {
    /// Writes the commit, and everything that the writer has written, durably.
    ///
    /// - Parameter message: Ends with a line feed.
    package static func write(
        tree: ObjectID,
        parent: ObjectID,
        environment: String,
        time: Timestamp,
        message: String,
        key: LedgerKey,
        writer: inout ObjectWriter
    ) throws -> ObjectID {
        let identity = "Ensign \(environment) <\(environment)@ensign.invalid> \(time.seconds) +0000"
        let payload = Array(
            "tree \(tree)\nparent \(parent)\nauthor \(identity)\ncommitter \(identity)\n\n\(message)".utf8
        )
        let commit = try writer.write(LedgerCommit.signed(payload, signature: key.sign(payload)), .commit)
        try ObjectSync.sync(writer, objects: writer.repository.commonDirectory + "objects")
        return commit
    }
}
