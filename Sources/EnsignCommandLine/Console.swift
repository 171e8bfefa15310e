package import EnsignSystem
import Glibc

/// A line of output: a result, or what is said beside results.
package enum Said: Sendable, Hashable {
    case result(String)
    case note(String)
}

/// The two output streams of a command.
package struct Console: Sendable {
    /// The program that speaks.
    package var program: String
    /// Whether results may be coloured.
    package var colour: Bool
    /// Whether what is said beside the results may be coloured.
    package var errorColour: Bool
    /// Whether someone watches standard error on a terminal.
    package var isInteractive: Bool
    /// How many columns the terminal has that results go to; nil when they go elsewhere.
    package var width: Int?
    /// Whether the program ends when results cannot be written: true for questions. Work goes on without a reader.
    package var endsWithReader = true

    package init(
        _ program: String,
        colour: Bool,
        errorColour: Bool,
        isInteractive: Bool,
        width: Int? = nil,
        endsWithReader: Bool = true
    ) {
        self.program = program
        self.colour = colour
        self.errorColour = errorColour
        self.isInteractive = isInteractive
        self.width = width
        self.endsWithReader = endsWithReader
    }

    /// The console of this process. `NO_COLOR` (https://no-color.org) and `TERM=dumb` are honoured.
    package static func standard(_ program: String, noColour: Bool) -> Console {
        let plain =
            noColour || Machine.environment("NO_COLOR").map { !$0.isEmpty } ?? false
            || Machine.environment("TERM") == "dumb"
        return Console(
            program,
            colour: !plain && Machine.isTerminal(1),
            errorColour: !plain && Machine.isTerminal(2),
            isInteractive: Machine.isTerminal(2),
            width: Machine.terminalWidth(1)
        )
    }

    /// Writes results to standard output.
    package func out(_ text: String) { out(Array(text.utf8)) }

    package func line(_ text: String = "") { out(text + "\n") }

    /// A reader that has gone away is not a failure: whoever runs `ensign log | head` has seen enough.
    package func out(_ bytes: [UInt8]) {
        guard let code = Self.write(bytes, to: 1), endsWithReader else { return }
        if code == EPIPE { exit(ExitCode.done.rawValue) }
        note("\(program): error: cannot write the output")
        exit(ExitCode.failed.rawValue)
    }

    /// Writes everything else to standard error.
    package func note(_ text: String) { _ = Self.write(Array("\(text)\n".utf8), to: 2) }

    /// Everything on standard input.
    ///
    /// - Throws: ``SystemError`` when it cannot be read to its end, with `EFBIG` when it is longer than 16 MiB.
    package static func readInput() throws(SystemError) -> [UInt8] {
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

    package func say(_ lines: [Said]) {
        for line in lines {
            switch line {
            case .result(let text): self.line(text)
            case .note(let text): note(text)
            }
        }
    }

    package func paint(_ text: String, _ style: Style) -> String { colour ? style.apply(text) : text }

    package func paintNote(_ text: String, _ style: Style) -> String { errorColour ? style.apply(text) : text }

    package enum Style: String, Sendable {
        case bold = "1"
        case dim = "2"
        case red = "31"
        case green = "32"
        case yellow = "33"
        case cyan = "36"

        package func apply(_ text: String) -> String { "\u{1B}[\(rawValue)m\(text)\u{1B}[0m" }
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
