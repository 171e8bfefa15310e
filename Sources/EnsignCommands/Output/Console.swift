import EnsignSystem
import Glibc

/// A line of output: a result, or what is said beside results.
enum Said: Sendable, Hashable {
    case result(String)
    case note(String)
}

/// The two output streams of a command.
struct Console: Sendable {
    /// Whether results may be coloured.
    var colour: Bool
    /// Whether what is said beside the results may be coloured.
    var errorColour: Bool
    /// Whether someone watches standard error on a terminal.
    var isInteractive: Bool
    /// How many columns the terminal has that results go to; nil when they go elsewhere.
    var width: Int?
    /// Whether the program ends when results cannot be written: true for questions. Work goes on without a reader.
    var endsWithReader = true

    /// The console of this process. `NO_COLOR` (https://no-color.org) and `TERM=dumb` are honoured.
    static func standard(noColour: Bool) -> Console {
        let plain =
            noColour || Machine.environment("NO_COLOR").map { !$0.isEmpty } ?? false
            || Machine.environment("TERM") == "dumb"
        return Console(
            colour: !plain && Machine.isTerminal(1),
            errorColour: !plain && Machine.isTerminal(2),
            isInteractive: Machine.isTerminal(2),
            width: Machine.terminalWidth(1)
        )
    }

    /// Writes results to standard output.
    func out(_ text: String) { out(Array(text.utf8)) }

    func line(_ text: String = "") { out(text + "\n") }

    /// A reader that has gone away is not a failure: whoever runs `ensign log | head` has seen enough.
    func out(_ bytes: [UInt8]) {
        guard let code = Self.write(bytes, to: 1), endsWithReader else { return }
        if code == EPIPE { exit(ExitCode.done.rawValue) }
        note("ensign: error: cannot write the output")
        exit(ExitCode.failed.rawValue)
    }

    /// Writes everything else to standard error.
    func note(_ text: String) { _ = Self.write(Array("\(text)\n".utf8), to: 2) }

    /// Everything on standard input.
    ///
    /// - Throws: ``SystemError`` when it cannot be read to its end, with `EFBIG` when it is longer than 16 MiB.
    static func readInput() throws(SystemError) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = unsafe read(0, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw SystemError(code: errno, operation: "read standard input") }
            if count == 0 { return bytes }
            bytes.append(contentsOf: chunk[..<count])
            guard bytes.count < 1 << 24 else { throw SystemError(code: EFBIG, operation: "read standard input") }
        }
    }

    func say(_ lines: [Said]) {
        for line in lines {
            switch line {
            case .result(let text): self.line(text)
            case .note(let text): note(text)
            }
        }
    }

    func paint(_ text: String, _ style: Style) -> String { colour ? style.apply(text) : text }

    func paintNote(_ text: String, _ style: Style) -> String { errorColour ? style.apply(text) : text }

    enum Style: String, Sendable {
        case bold = "1"
        case dim = "2"
        case red = "31"
        case green = "32"
        case yellow = "33"
        case cyan = "36"

        func apply(_ text: String) -> String { "\u{1B}[\(rawValue)m\(text)\u{1B}[0m" }
    }

    /// Writes all bytes; the error's code when that is not possible.
    private static func write(_ bytes: [UInt8], to stream: Int32) -> Int32? {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = unsafe rest.withUnsafeBytes { unsafe Glibc.write(stream, $0.baseAddress, $0.count) }
            if written < 0 {
                if errno == EINTR { continue }
                return errno
            }
            rest = rest.dropFirst(written)
        }
        return nil
    }
}
