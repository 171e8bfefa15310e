import EnsignCommandLine
import EnsignGateway
import EnsignModel

extension Verb {
    static let verify = Verb(
        name: "verify",
        group: .record,
        summary: "Check that the decision log is whole",
        discussion: """
            Each line follows from the one before, was written with the log's secret, and agrees with every head that the \
            gateway signed: in the log, and with --heads in a copy that was kept elsewhere. Names the line that was \
            changed, added, moved or cut away; lines that were removed by age are not missed, as a signed \
            head says which those were. Exit status 5 when it is not whole. Where files are named those alone are \
            checked, and --config only says whose secret and key count.
            """,
        arguments: [
            Argument(
                name: "LOG...",
                summary: "Files or folders of a log",
                isRequired: false,
                isRepeatable: true,
                kind: .file
            )
        ],
        options: LogFiles.options + Option.places + [
            Option(
                name: "heads",
                summary: "Hold it against signed heads that were kept elsewhere",
                value: "FILE",
                kind: .file,
                isRepeatable: true
            ),
            Option(
                name: "key",
                summary: "Name the gateway's public key, <state>/gateway.pub, where files are named",
                value: "FILE",
                kind: .file
            ),
        ],
        formats: [.text, .json],
        examples: [
            Example(command: "ensign-gateway verify --config gateway.yaml", meaning: "the log of this gateway"),
            Example(
                command: "ensign-gateway verify --heads /mnt/worm/heads.jsonl --key gateway.pub log/",
                meaning: "a copy of a log, against heads that an anchor kept"
            ),
        ],
        output: .answer
    ) { invocation in
        let log = try LogFiles(invocation)
        if log.folder != nil, log.secret == nil, log.files.isEmpty {
            throw Failure(message: "nothing was recorded here yet")
        }
        let check = try LogCheck.check(
            files: log.files,
            heads: log.heads,
            keys: LogCheck.Keys(secret: log.secret, heads: log.key),
            folder: log.folder,
            isAll: log.hasFolder
        )
        let console = invocation.console
        if invocation.format == .json {
            var members = check.json.object ?? [:]
            members["unproven"] = unproven(check).map(JSONValue.string)
            invocation.json(.object(members))
        } else {
            for problem in check.problems {
                let line = problem.line > 0 ? ":\(problem.line)" : ""
                let place = problem.file.isEmpty ? "the log" : "\(problem.file)\(line)"
                console.line("\(place.onOneLine): \(problem.message)")
            }
            console.line(words(check, log, console))
        }
        return check.isWhole ? .done : .integrity
    }

    private static func words(_ check: LogCheck, _ log: LogFiles, _ console: Console) -> String {
        let range = check.first.flatMap { first in check.last.map { ", \(first) to \($0)" } } ?? ""
        let verdict = check.isWhole ? console.paint("whole", .green) : console.paint("not whole", .red)
        var text = "\(verdict): \(counted(check.lines, "line"))\(range), \(counted(check.heads, "signed head"))"
        if check.open > 0 { text += ", \(counted(check.open, "call")) without an outcome yet" }
        if log.secret == nil { text += "; without the log's secret only the chain was checked" }
        if let unproven = unproven(check) {
            text += "; \(unproven)"
        } else if log.key == nil {
            text += "; without the gateway's key no head was checked"
        }
        return text
    }

    /// What files alone cannot prove; nil where there was a head.
    private static func unproven(_ check: LogCheck) -> String? {
        guard check.heads == 0 else { return nil }
        return "no signed head was there, so nothing proves that the end is there: --heads names heads that were kept"
    }
}
