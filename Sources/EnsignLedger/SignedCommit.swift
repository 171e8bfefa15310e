package import EnsignGit
package import EnsignModel

/// A commit that Ensign makes in its own name, signed with the key of an environment's ledger.
package struct SignedCommit {
    private let tree: ObjectID
    private let parent: ObjectID
    private let environment: String
    private let time: Timestamp
    private let message: String

    /// - Parameter message: Ends with a line feed.
    package init(tree: ObjectID, parent: ObjectID, environment: String, time: Timestamp, message: String) {
        self.tree = tree
        self.parent = parent
        self.environment = environment
        self.time = time
        self.message = message
    }

    /// Writes the commit, and everything that the writer has written, durably.
    package func write(_ writer: inout ObjectWriter, signedBy key: LedgerKey) throws -> ObjectID {
        let identity = "Ensign \(environment) <\(environment)@ensign.invalid> \(time.seconds) +0000"
        let payload = Array(
            "tree \(tree)\nparent \(parent)\nauthor \(identity)\ncommitter \(identity)\n\n\(message)".utf8
        )
        let commit = try writer.write(LedgerCommit.signed(payload, signature: key.sign(payload)), .commit)
        try ObjectSync.sync(writer, objects: writer.repository.commonDirectory + "objects")
        return commit
    }
}
