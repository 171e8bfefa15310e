import EnsignModel
import EnsignSystem

/// OpenSSH's own verification, for signatures by keys that libsodium cannot check: RSA, ECDSA, certificates, FIDO keys.
///
/// It asks as git does (gpg-interface.c, `verify_ssh_signed_buffer`). No shell is involved, and time and output are bounded.
struct SSHKeygen {
    /// Where files for ssh-keygen may be: leftovers there are swept.
    let folder: String
    var run: @Sendable (Subprocess) throws(SystemError) -> Subprocess.Outcome = {
        (process) throws(SystemError) in try process.run()
    }

    /// What is known of a signature.
    enum Answer: Sendable, Hashable {
        /// A key that the list names made it.
        case good
        case bad
        /// The signature is right, and the list does not let its key sign.
        case unknownKey
        /// There is no ssh-keygen, or it does not know the key's type or these questions.
        case unsupported
    }

    /// Checks a signature in git's namespace.
    ///
    /// - Parameters:
    ///   - signers: The allowed-signers file; nil when there is none.
    ///   - time: When the key must be valid, in seconds since 1970.
    /// - Throws: ``SystemError`` when files cannot be written.
    func check(_ signature: [UInt8], of payload: [UInt8], signers: [UInt8]?, at time: Int64) throws(SystemError)
        -> Answer
    {
        let (text, list) = (temporary(), temporary())
        defer {
            try? Files.remove(text)
            try? Files.remove(list)
        }
        try Files.makeDirectories(folder)
        try Files.replace(text, with: signature, durable: false)
        guard let alone = ask(["check-novalidate", "-n", "git", "-s", text], payload) else { return .unsupported }
        guard isGood(alone) else { return says(alone, "incorrect signature") ? .bad : .unsupported }
        guard let signers, time > 0 else { return .unknownKey }
        try Files.replace(list, with: signers, durable: false)
        let digits = Timestamp(seconds: time).description.filter(\.isNumber)
        let question = ["-f", list, "-s", text, "-Overify-time=\(digits)"]
        guard let found = ask(["find-principals"] + question, []) else { return .unsupported }
        guard found.status == 0 else { return says(found, "No principal matched") ? .unknownKey : .unsupported }
        for principal in found.outputText.split(separator: "\n") {
            guard let answer = ask(["verify", "-n", "git", "-I", String(principal)] + question, payload) else {
                return .unsupported
            }
            if isGood(answer) { return .good }
        }
        return .unknownKey
    }

    private func temporary() -> String { Files.temporaryName(for: folder + "/signature") }

    /// - Returns: nil when it cannot be started, or gives no answer in time.
    private func ask(_ question: [String], _ input: [UInt8]) -> Subprocess.Outcome? {
        let process = Subprocess(
            "ssh-keygen",
            ["-Y"] + question,
            // A time without a zone means UTC, here and everywhere: see AllowedSigners.parse.
            environment: ["LC_ALL": "C", "TZ": "UTC"],
            input: input,
            deadline: .seconds(10),
            outputLimit: 1 << 16
        )
        guard let outcome = try? run(process), !outcome.timedOut else { return nil }
        return outcome
    }

    private func isGood(_ outcome: Subprocess.Outcome) -> Bool {
        outcome.status == 0 && outcome.outputText.hasPrefix("Good \"git\" signature ")
    }

    private func says(_ outcome: Subprocess.Outcome, _ text: String) -> Bool {
        outcome.errorText.contains(text) || outcome.outputText.contains(text)
    }
}
