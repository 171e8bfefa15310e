import EnsignTestSupport
import Foundation
import Testing

/// A copy of a host whose `prod` ledger has the entries 0 to 4, for one test to damage.
///
/// The branch is one commit ahead: a reconcile has something to write, and must decide whether it may.
final class LedgerCopy: Sendable {
    static let ref = "refs/ensign/ledger/prod"

    private static let template = Result { () throws -> Host in
        let host = try Host(fleet: FleetFixture(), pushes: false)
        // One environment is enough, and takes half the time.
        try host.hostGit("config", "ensign.environments", "prod")
        try host.git("push", "-q", "origin", "main")
        try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        try FileManager.default.removeItem(atPath: "\(host.bare)/hooks/post-receive")
        try host.push(FleetFixture.deploymentPath, "maximum: 90", "maximum: 80")
        atexit { LedgerCopy.removeTemplate() }
        return host
    }

    private static func removeTemplate() {
        if let host = try? template.get() { try? FileManager.default.removeItem(atPath: host.scratch.path) }
    }

    let scratch: ScratchDirectory
    let bare: String
    /// Commits of the ledger by number.
    let entries: [String]

    init() throws {
        let host = try Self.template.get()
        scratch = try ScratchDirectory()
        bare = "\(scratch.path)/fleet.git"
        let copying = try run("cp", ["-a", host.bare, bare], in: scratch.path)
        try #require(copying.status == 0, "\(copying.errors)")
        entries = try host.entries().reversed()
        try #require(entries.count == 5)
    }

    var tip: String { entries[4] }

    // MARK: Running

    @discardableResult
    func git(_ arguments: String..., input: String = "", environment: [String: String] = [:]) throws -> String {
        let result = try run("git", arguments, in: bare, environment: environment, input: input)
        guard result.status == 0 else { throw Host.Failed(command: "git \(arguments)", result: result) }
        return result.output.hasSuffix("\n") ? String(result.output.dropLast()) : result.output
    }

    func ensign(_ arguments: String..., input: String = "") throws -> CommandResult {
        try run(Host.ensign, arguments, in: bare, input: input)
    }

    /// `ensign verify`: its status, and the verdict in its own words.
    func verify() throws -> (status: Int32, verdict: String) {
        let result = try ensign("verify", "--env", "prod", "--output", "json")
        let json = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
        let ledgers = json?["ledgers"] as? [[String: Any]]
        return (result.status, try #require(ledgers?.first?["verdict"] as? String))
    }

    func point(at commit: String) throws { try git("update-ref", Self.ref, commit) }

    /// The commit that the ref names, whatever state its object is in.
    func pointsAt() throws -> String { try git("for-each-ref", "--format=%(objectname)", Self.ref) }

    // MARK: Files

    func write(_ path: String, _ text: String) throws {
        try? FileManager.default.removeItem(atPath: "\(bare)/\(path)")
        try scratch.write("fleet.git/\(path)", text)
    }

    func read(_ path: String) throws -> String { try scratch.read("fleet.git/\(path)") }

    /// The file of a loose object, made writable.
    func looseObject(_ revision: String) throws -> String {
        let id = try git("rev-parse", revision)
        let path = "\(bare)/objects/\(id.prefix(2))/\(id.dropFirst(2))"
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
        return path
    }

    // MARK: Forging

    /// A commit's text without its signature: what the signature is made over.
    func payload(_ revision: String) throws -> String {
        var lines: [Substring] = []
        var inSignature = false
        for line in try git("cat-file", "commit", revision).split(separator: "\n", omittingEmptySubsequences: false) {
            inSignature = line.hasPrefix("gpgsig ") || (inSignature && line.hasPrefix(" "))
            if !inSignature { lines.append(line) }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The signature's armour over a payload.
    ///
    /// - Parameter key: A private key file; the ledger's own, as a thief would have it, if left out.
    func signature(_ payload: String, key: String? = nil) throws -> String {
        let file = try scratch.write("payload", payload)
        try? FileManager.default.removeItem(atPath: "\(file).sig")
        let signing = try run(
            "ssh-keygen",
            ["-q", "-Y", "sign", "-f", key ?? "\(bare)/ensign/keys/prod", "-n", "git", file],
            in: scratch.path
        )
        try #require(signing.status == 0, "\(signing.errors)")
        return try scratch.read("payload.sig")
    }

    /// The commit's text with a signature in the place where git puts it.
    func signed(_ payload: String, _ signature: String) throws -> String {
        let header = signature.split(separator: "\n").joined(separator: "\n ")
        let end = try #require(payload.range(of: "\n\n"))
        return payload[..<end.lowerBound] + "\ngpgsig \(header)" + payload[end.lowerBound...]
    }

    /// Stores a commit's text as it is, well formed or not.
    func store(_ commit: String) throws -> String {
        try git("hash-object", "-t", "commit", "-w", "--literally", "--stdin", input: commit)
    }

    /// Another person's key.
    func strangersKey() throws -> String {
        let path = "\(scratch.path)/stranger"
        let making = try run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", path], in: scratch.path)
        try #require(making.status == 0, "\(making.errors)")
        return path
    }

    /// A commit like `revision` with another entry or other files, everything else made to agree.
    ///
    /// - Parameters:
    ///   - entry: Changes the text of `entry.json`.
    ///   - files: Files of the tree to set, or with nil to remove.
    ///   - header: Changes what is signed at last.
    func forged(
        _ revision: String,
        entry change: (String) -> String = { $0 },
        files: [String: String?] = [:],
        header: (String) -> String = { $0 },
        key: String? = nil
    ) throws -> String {
        let before = try run("git", ["cat-file", "blob", "\(revision):entry.json"], in: bare).output
        let after = change(before)
        var edits = files
        if after != before { edits["entry.json"] = after }
        let index = ["GIT_INDEX_FILE": "\(scratch.path)/index"]
        try git("read-tree", "\(revision)^{tree}", environment: index)
        for (path, text) in edits {
            let blob = try text.map { try git("hash-object", "-w", "--stdin", input: $0) }
            let line = blob.map { "100644 \($0)\t\(path)\n" } ?? "0 \(String(repeating: "0", count: 40))\t\(path)\n"
            try git("update-index", "--index-info", input: line, environment: index)
        }
        let tree = try git("write-tree", environment: index)
        let payload = header(
            try self.payload(revision)
                .replacingOccurrences(of: try git("rev-parse", "\(revision)^{tree}"), with: tree)
                .replacingOccurrences(of: try sha256(before), with: try sha256(after))
        )
        return try store(try signed(payload, try signature(payload, key: key)))
    }

    func sha256(_ text: String) throws -> String {
        String(try run("sha256sum", [], in: scratch.path, input: text).output.prefix(64))
    }
}
