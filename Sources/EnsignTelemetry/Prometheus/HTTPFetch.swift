import EnsignModel
import EnsignSystem
import Glibc

/// A finished answer, whatever its status.
package struct HTTPResponse: Sendable, Hashable {
    package var status: Int
    package var body: [UInt8]

    package init(status: Int, body: [UInt8]) {
        self.status = status
        self.body = body
    }
}

/// Why there was no answer.
package struct HTTPFailure: Error, Sendable, Hashable {
    package enum Kind: String, Sendable {
        /// Nobody there: refused, no route, no such host.
        case down
        /// No answer in time.
        case slow
        case tooLarge
        /// The program that fetches is not there, or what it says is not understood.
        case broken
    }

    package var kind: Kind
    package var message: String

    package init(kind: Kind, message: String) {
        self.kind = kind
        self.message = message
    }
}

/// Fetches a URL within a time and a size.
package typealias HTTPFetch =
    @Sendable (_ url: String, _ timeout: Duration, _ limit: Int) -> Result<HTTPResponse, HTTPFailure>

/// HTTP through the `curl` program (docs/decisions/0011-http-through-curl.md).
package enum Curl {
    /// Fetches a URL with GET; follows no redirects and reads no user's `.curlrc`.
    ///
    /// The URL goes over standard input: every user of the machine can see arguments.
    package static func fetch(
        _ url: String,
        _ timeout: Duration,
        _ limit: Int
    ) -> Result<HTTPResponse, HTTPFailure> {
        fetch(url, timeout, limit) { false }
    }

    /// The same, ended early when `isCancelled` says so.
    package static func fetch(
        _ url: String,
        _ timeout: Duration,
        _ limit: Int,
        isCancelled: @escaping @Sendable () -> Bool
    ) -> Result<HTTPResponse, HTTPFailure> {
        guard url.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") })
        else { return .failure(HTTPFailure(kind: .broken, message: "the URL has characters that must be escaped")) }
        let milliseconds =
            timeout.components.seconds * 1_000 + timeout.components.attoseconds / 1_000_000_000_000_000
        let configuration = """
            url = "\(url)"
            globoff
            silent
            show-error
            proto = "=http,https"
            max-time = \(max(milliseconds, 1) / 1_000).\(threeDigits(max(milliseconds, 1) % 1_000))
            max-filesize = \(limit)
            header = "Accept: application/json"
            write-out = "%{stderr}\\n%{http_code}"

            """
        var process = Subprocess(
            "curl",
            ["--disable", "--config", "-"],
            input: Array(configuration.utf8),
            deadline: timeout + .seconds(1),
            outputLimit: limit + 1
        )
        process.isCancelled = isCancelled
        do throws(SystemError) {
            return read(try process.run(), limit)
        } catch {
            let reason = error.isMissing ? "the program 'curl' is not installed" : "\(error)"
            return .failure(HTTPFailure(kind: .broken, message: reason))
        }
    }

    private static func read(_ outcome: Subprocess.Outcome, _ limit: Int) -> Result<HTTPResponse, HTTPFailure> {
        if outcome.timedOut { return .failure(HTTPFailure(kind: .slow, message: "no answer in time")) }
        if outcome.output.count > limit {
            return .failure(HTTPFailure(kind: .tooLarge, message: "the answer has more than \(limit) bytes"))
        }
        let lines = outcome.errorText.split(separator: "\n")
        if outcome.status == 0, let status = lines.last.flatMap({ Int($0) }), (100...599).contains(status) {
            return .success(HTTPResponse(status: status, body: outcome.output))
        }
        // Exit codes: curl(1), "EXIT CODES".
        switch outcome.status {
        case 28: return .failure(HTTPFailure(kind: .slow, message: "no answer in time"))
        case 63: return .failure(HTTPFailure(kind: .tooLarge, message: "the answer has more than \(limit) bytes"))
        case 5, 6: return .failure(HTTPFailure(kind: .down, message: "the host's name cannot be resolved"))
        case 7: return .failure(HTTPFailure(kind: .down, message: "the connection was refused"))
        case 35, 51, 58, 60, 77:
            return .failure(HTTPFailure(kind: .down, message: "TLS failed (curl exit status \(outcome.status))"))
        case 52, 55, 56: return .failure(HTTPFailure(kind: .down, message: "the connection was cut"))
        default:
            return .failure(HTTPFailure(kind: .broken, message: "curl ended with exit status \(outcome.status)"))
        }
    }

    private static func threeDigits(_ number: Int64) -> String {
        let digits = String(number)
        return String(repeating: "0", count: 3 - digits.count) + digits
    }
}
