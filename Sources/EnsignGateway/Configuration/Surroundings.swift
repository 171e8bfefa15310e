import EnsignCrypto
package import EnsignModel
import EnsignPolicy
import EnsignSystem

/// What of this machine the operator's file depends on: whether it is there, and whose it is.
package struct Surroundings: Sendable {
    /// The effective user.
    package var account: UInt32
    /// The number of an account by its login name; nil for one that does not exist.
    package var number: @Sendable (String) -> UInt32?
    /// Where bubblewrap is; nil where it is not installed.
    package var sandbox: String?

    package init(
        account: UInt32 = Machine.effectiveUserID,
        number: @escaping @Sendable (String) -> UInt32? = { Machine.number(ofAccount: $0) },
        sandbox: String? = Surroundings.bubblewrap
    ) {
        self.account = account
        self.number = number
        self.sandbox = sandbox
    }

    /// The installed bubblewrap; nil without one.
    package static var bubblewrap: String? {
        ["/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap"].first { Files.isExecutable($0) }
    }

    /// What is wrong or doubtful on this machine, sorted.
    package func findings(of file: GatewayFile) -> [Finding] {
        var list = Listing(path: file.path)
        checkOwnFile(file, &list)
        checkLive(file, &list)
        checkKeys(file, &list)
        checkState(file, &list)
        for (tool, line) in file.upstreams { check(line, tool, &list) }
        for (scheme, words) in file.credentials { checkProgram(words, "what reads '\(scheme)'", &list) }
        checkProgram(file.approvals.notify, "notify", &list)
        for words in file.anchors { checkProgram(words, "an anchor", &list) }
        for issuer in file.issuers { check(issuer, &list) }
        if let https = file.listen.https { check(https, &list) }
        if let socket = file.listen.socket { checkFolder(ofSocket: socket, &list) }
        for place in [file.telemetry, file.usage].compactMap({ $0 }) where !isFolder(place.value) {
            list.add(
                "missing-file",
                "there is no folder \(place.value) yet",
                at: place.position,
                severity: .warning
            )
        }
        return Finding.unique(list.findings)
    }

    /// What is wrong with the files of encryption.
    ///
    /// - Parameter path: The operator's file.
    package func findings(of https: GatewayFile.Listen.Encrypted, in path: String) -> [Finding] {
        var list = Listing(path: path)
        check(https, &list)
        return list.findings
    }

    private struct Listing {
        let path: String
        var findings: [Finding] = []

        mutating func add(
            _ code: String,
            _ message: String,
            at position: Position = .start,
            hint: String? = nil,
            severity: Finding.Severity = .error
        ) {
            findings.append(Finding(severity, code: code, message, path: path, at: position, hint: hint))
        }
    }

    // MARK: Files

    private func isFolder(_ path: String) -> Bool { status(path)?.kind == .directory }

    /// What a path leads to, links followed; nil when that cannot be seen.
    private func status(_ path: String) -> FileStatus? {
        Files.canonical(path).flatMap { try? Files.status($0) }
    }

    /// Whether somebody else could put another file in the place of one: whoever may write to a folder above it can.
    private func checkFolders(above path: String, at position: Position, _ list: inout Listing) {
        // The folders that the path names, and those that it leads to through links.
        for start in [path, Files.canonical(path)].compactMap({ $0 }) {
            var folder = Files.parent(of: start)
            while let current = folder {
                if let danger = danger(of: current) {
                    list.add(
                        "unsafe-folder",
                        "\(danger.words) \(current), and so could put another file in the place of \(path)",
                        at: position,
                        hint: danger.hint,
                        severity: danger.severity
                    )
                    return
                }
                folder = current == "/" ? nil : Files.parent(of: current)
            }
        }
    }

    private func danger(of folder: String) -> (words: String, hint: String?, severity: Finding.Severity)? {
        guard let status = try? Files.status(folder), status.kind == .directory else { return nil }
        // With the sticky bit names are taken away or replaced by their owners alone (chmod(2)).
        if status.permissions & 0o1000 == 0 {
            if status.permissions & 0o002 != 0 { return ("everybody may write to", "chmod o-w \(folder)", .warning) }
            if status.permissions & 0o020 != 0 { return ("a group may write to", "chmod g-w \(folder)", .warning) }
        }
        return status.owner == 0 || status.owner == account ? nil : ("another account owns", nil, .warning)
    }

    /// Whether somebody else could listen there, and be taken for the gateway by clients that show it their tokens.
    private func checkFolder(ofSocket place: Located<String>, _ list: inout Listing) {
        checkFolders(above: place.value, at: place.position, &list)
        guard let folder = Files.parent(of: place.value), let status = status(folder),
            status.permissions & 0o1002 == 0o1002
        else { return }
        list.add(
            "unsafe-folder",
            "everybody may listen in \(folder) before the gateway does, and be shown its clients' tokens",
            at: place.position,
            hint: "take a folder of the gateway's own, such as /run/ensign-gateway",
            severity: .warning
        )
    }

    private func checkOwnFile(_ file: GatewayFile, _ list: inout Listing) {
        guard let status = status(file.path) else { return }
        checkFolders(above: file.path, at: .start, &list)
        if status.permissions & 0o022 != 0 {
            list.add("unsafe-file", "others than its owner may change this file", hint: "chmod go-w \(file.path)")
        }
        if status.owner != 0, status.owner != account {
            list.add("unsafe-file", "this file belongs neither to root nor to the gateway's account")
        }
    }

    private func checkLive(_ file: GatewayFile, _ list: inout Listing) {
        guard isFolder(file.live.value) else {
            return list.add("missing-file", "there is no live directory \(file.live.value)", at: file.live.position)
        }
        if let owner = file.owner, number(owner.value) == nil {
            list.add("no-account", "there is no account '\(owner.value)'", at: owner.position)
        }
    }

    private func checkKeys(_ file: GatewayFile, _ list: inout Listing) {
        let place = file.keys
        guard let status = status(place.value) else {
            return list.add(
                "missing-file",
                "there is no file \(place.value)",
                at: place.position,
                hint: "ensign keys --env ENV > \(place.value), on the fleet's host"
            )
        }
        if status.permissions & 0o022 != 0 {
            list.add("unsafe-file", "others than its owner may change \(place.value)", at: place.position)
        }
        checkFolders(above: place.value, at: place.position, &list)
        guard let bytes = try? Files.read(place.value, limit: 1 << 20) else {
            return list.add("unreadable", "\(place.value) cannot be read", at: place.position)
        }
        if case .failure(let problems) = LiveKeys.read(bytes) {
            for problem in problems.all { list.add("bad-keys", "\(place.value): \(problem)", at: place.position) }
        }
    }

    private func checkState(_ file: GatewayFile, _ list: inout Listing) {
        let place = file.state
        guard let status = status(place.value) else { return }
        checkFolders(above: place.value, at: place.position, &list)
        if status.kind != .directory {
            list.add("missing-file", "\(place.value) is not a folder", at: place.position)
        } else if status.owner != account {
            list.add("unsafe-file", "\(place.value) does not belong to the gateway's account", at: place.position)
        } else if status.permissions & 0o077 != 0 {
            list.add(
                "unsafe-file",
                "others than the gateway may look into \(place.value)",
                at: place.position,
                hint: "chmod 700 \(place.value)"
            )
        }
        for name in StateFolder.secretFiles {
            let file = "\(place.value)/\(name)"
            guard let status = self.status(file) else { continue }
            if status.owner != account {
                list.add("unsafe-file", "\(file) does not belong to the gateway's account", at: place.position)
            } else if status.permissions & 0o077 != 0 {
                list.add(
                    "unsafe-file",
                    "others than the gateway may read \(file): they could write the log",
                    at: place.position,
                    hint: "chmod 600 \(file)"
                )
            }
        }
    }

    // MARK: Programs

    private func checkProgram(_ words: [Located<String>], _ name: String, _ list: inout Listing) {
        guard let program = words.first else { return }
        guard let status = status(program.value), status.kind == .file else {
            return list.add("missing-file", "\(name): there is no program \(program.value)", at: program.position)
        }
        if !Files.isExecutable(program.value) {
            list.add("missing-file", "\(name): \(program.value) may not be run", at: program.position)
        }
        if status.permissions & 0o022 != 0 {
            list.add("unsafe-file", "\(name): others than its owner may change \(program.value)", at: program.position)
        }
        checkFolders(above: program.value, at: program.position, &list)
    }

    private func check(_ line: GatewayFile.UpstreamLine, _ tool: String, _ list: inout Listing) {
        guard case .program(let program) = line.address, let first = program.words.first else { return }
        checkProgram(program.words, tool, &list)
        if let digest = program.sha256 { check(digest, of: first.value, tool, &list) }
        if let user = program.user {
            let wanted = number(user.value)
            if wanted == nil {
                list.add("no-account", "\(tool): there is no account '\(user.value)'", at: user.position)
            } else if account != 0, wanted != account {
                list.add(
                    "not-root",
                    "\(tool): only a gateway that is started as root can run a program as '\(user.value)'",
                    at: user.position
                )
            }
        }
        guard let inner = program.sandbox else { return }
        if sandbox == nil {
            list.add(
                "no-sandbox",
                "\(tool): bubblewrap is not installed, so there is no sandbox",
                at: line.position,
                hint: "apt-get install bubblewrap"
            )
        }
        for place in inner.read + inner.write where Files.canonical(place.value) == nil {
            list.add("missing-file", "\(tool): there is no \(place.value)", at: place.position)
        }
    }

    private func check(_ digest: Located<String>, of program: String, _ tool: String, _ list: inout Listing) {
        // A pipe or a device has no SHA-256, and would be read without end.
        guard let path = Files.canonical(program), status(path)?.kind == .file,
            let bytes = try? Files.read(path, limit: 256 << 20)
        else { return }
        if SHA256.hex(of: bytes) != digest.value {
            return list.add(
                "wrong-program",
                "\(tool): \(program) is not the program with this SHA-256",
                at: digest.position
            )
        }
        guard let interpreter = Self.interpreter(of: bytes) else { return }
        list.add(
            "interpreter-not-held",
            "\(tool): sha256 holds the script \(program), and not \(interpreter.onOneLine(utf8: 200)), which runs it, nor what "
                + "that loads",
            at: digest.position,
            hint: "name a program that needs no interpreter, or see to it that only root may change it",
            severity: .warning
        )
    }

    /// The program that the kernel starts for a script (execve(2)); nil for a program.
    static func interpreter(of bytes: [UInt8]) -> String? {
        guard bytes.starts(with: "#!".utf8) else { return nil }
        let line = bytes.dropFirst(2).prefix(254).prefix { $0 != 0x0A }
        let words = line.split { $0 == 0x20 || $0 == 0x09 }
        return words.first.map { String(decoding: $0, as: UTF8.self) } ?? "a shell"
    }

    // MARK: Keys of others

    private func check(_ issuer: GatewayFile.IssuerLine, _ list: inout Listing) {
        let place = issuer.keys
        guard let bytes = try? Files.read(place.value, limit: TokenKeys.maxBytes) else {
            return list.add("missing-file", "there is no file \(place.value) that can be read", at: place.position)
        }
        do throws(TokenKeys.ReadingFailure) {
            _ = try TokenKeys(bytes)
        } catch {
            list.add("bad-keys", "\(place.value): \(error)", at: place.position)
        }
        if let status = status(place.value), status.permissions & 0o022 != 0 {
            list.add("unsafe-file", "others than its owner may change \(place.value)", at: place.position)
        }
        checkFolders(above: place.value, at: place.position, &list)
    }

    private func check(_ https: GatewayFile.Listen.Encrypted, _ list: inout Listing) {
        for place in [https.certificate, https.key] + [https.clientCA].compactMap({ $0 })
        where status(place.value)?.kind != .file {
            list.add("missing-file", "there is no file \(place.value)", at: place.position)
        }
        func text(_ path: String) -> String? {
            (try? Files.read(path, limit: 1 << 20)).map { String(decoding: $0, as: UTF8.self) }
        }
        if let certificate = text(https.certificate.value), let key = text(https.key.value),
            !HTTPFront.Encryption(certificate: certificate, key: key).isUsable
        {
            list.add(
                "bad-keys",
                "\(https.certificate.value) is not a certificate of the key in \(https.key.value)",
                at: https.certificate.position
            )
        } else if let place = https.clientCA, let certificate = text(https.certificate.value),
            let key = text(https.key.value), let authorities = text(place.value),
            !HTTPFront.Encryption(certificate: certificate, key: key, authorities: authorities).isUsable
        {
            list.add("bad-keys", "\(place.value) has no authority's certificate", at: place.position)
        }
        if let status = status(https.key.value), status.permissions & 0o077 != 0 {
            list.add(
                "unsafe-file",
                "others than its owner may read the private key \(https.key.value)",
                at: https.key.position,
                hint: "chmod 600 \(https.key.value)"
            )
        }
    }
}

extension GatewayFile {
    /// All whose tokens count for something.
    package var issuers: [IssuerLine] {
        let ofAgents = agents.compactMap { line -> IssuerLine? in
            if case .jwt(let issuer, _) = line.proof { return issuer }
            return nil
        }
        return ofAgents + asked + approvals.issuers
    }
}
