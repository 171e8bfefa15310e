package import EnsignSystem
import Glibc
import Synchronization

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
    /// Whether results go to a terminal.
    package var isTerminal = false
    /// How many columns the terminal has that results go to; nil when they go elsewhere.
    package var width: Int?
    /// What becomes of the work when nobody can read its results.
    package var output = Verb.Output.answer
    private let loss = OutputLoss()

    package init(
        _ program: String,
        colour: Bool,
        errorColour: Bool,
        isInteractive: Bool,
        width: Int? = nil
    ) {
        self.program = program
        self.colour = colour
        self.errorColour = errorColour
        self.isInteractive = isInteractive
        self.width = width
    }

    /// The console of this process. `NO_COLOR` (https://no-color.org) and `TERM=dumb` are honoured.
    package static func standard(_ program: String, noColour: Bool) -> Console {
        let plain =
            noColour || Machine.environment("NO_COLOR").map { !$0.isEmpty } ?? false
            || Machine.environment("TERM") == "dumb"
        var console = Console(
            program,
            colour: !plain && Machine.isTerminal(1),
            errorColour: !plain && Machine.isTerminal(2),
            isInteractive: Machine.isTerminal(2),
            width: Machine.terminalWidth(1)
        )
        console.isTerminal = Machine.isTerminal(1)
        return console
    }

    /// Writes results to standard output.
    package func out(_ text: String) { out(Array(text.utf8)) }

    package func line(_ text: String = "") { out(text + "\n") }

    /// An answer ends with its first write that fails. Other work goes on: see ``status(_:)``.
    package func out(_ bytes: [UInt8]) {
        guard let code = Self.write(bytes, to: 1) else { return }
        loss.set(code)
        if output == .answer { exit(status(.done).rawValue) }
    }

    /// Whether results can no longer be written.
    package var isCutOff: Bool { loss.code != nil }

    /// The exit status of work that has ended. Its own failure counts first, then results that could not be written. A
    /// reader that has gone away is not a failure: whoever runs `ensign log | head` has seen enough.
    package func status(_ own: ExitCode) -> ExitCode {
        guard own == .done, output != .log, let code = loss.code, code != EPIPE else { return own }
        note("\(program): error: \(output == .change ? "it is done, but " : "")cannot write the output")
        return .failed
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

/// The error of the first write of results that failed: one for all copies of a console.
private final class OutputLoss: Sendable {
    private let first = Mutex<Int32?>(nil)

    var code: Int32? { first.withLock { $0 } }

    func set(_ code: Int32) { first.withLock { $0 = $0 ?? code } }
}
