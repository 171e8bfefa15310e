import EnsignCommandLine
import EnsignGateway
import EnsignJSON
import EnsignModel
import EnsignSystem

extension Verb {
    static let replay = Verb(
        name: "replay",
        group: .record,
        summary: "Decide recorded calls again, from the bundles that they name",
        discussion: """
            The log keeps no arguments, but their HMACs. With --arguments, a file of JSON values of which each may have \
            been the arguments of a call, those calls are decided in full; without it, what could not be decided is \
            counted. Refusals for counts, approvals, pins and servers are not decided again. Exit status 5 when a verdict \
            does not follow from its bundle.
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
        options: LogFiles.options + Option.places.filter { $0.name != "live" } + [
            Option(
                name: "live",
                summary: "Name the live directory, or a copy of it; with --config the operator's",
                value: "DIR",
                kind: .file
            ),
            Option(name: "arguments", summary: "Read JSON values, a line each", value: "FILE", kind: .file),
        ],
        formats: [.text, .json],
        examples: [
            Example(
                command: "ensign-gateway replay --config gateway.yaml --arguments calls.jsonl",
                meaning: "whether today's log follows from what was merged"
            )
        ],
        output: .answer
    ) { invocation in
        var log = try LogFiles(invocation)
        var live = invocation["live"]
        if live == nil, invocation.has("config") { live = try OperatorFile(invocation).file.live.value }
        guard let live else {
            throw UsageError(message: "'replay' needs --live DIR: the bundles are there", verb: "replay")
        }
        guard try Files.status(live) != nil else { throw Failure(message: "there is no folder \(live)") }
        let arguments = try invocation["arguments"].map(values) ?? []
        // Files of a state's log have its secret beside them: nothing but the digests of arguments is held against it.
        if !arguments.isEmpty, log.secret == nil { log.secret = try LogFiles.secretBeside(invocation.arguments) }
        if !arguments.isEmpty, log.secret == nil {
            throw UsageError(
                message:
                    "without the log's secret no arguments can be recognised, and there is no log.key beside the log",
                hint: "name it: --secret <state>/log.key",
                verb: "replay"
            )
        }
        var replay = Replay(live: live, arguments: arguments, secret: log.secret)
        for file in log.files { try replay.take(file) }
        let console = invocation.console
        if invocation.format == .json {
            invocation.json(replay.json)
        } else {
            for difference in replay.differences {
                console.line(
                    "\(difference.file):\(difference.line): \(difference.sequence) was \(difference.recorded), "
                        + "and is \(console.paint(difference.decided, .red))"
                )
            }
            console.line(words(replay))
        }
        return replay.different == 0 && replay.unreadable == 0 ? .done : .integrity
    }

    private static func words(_ replay: Replay) -> String {
        var text = "\(counted(replay.same, "verdict")) the same, \(replay.different) different"
        if replay.unreadable > 0 { text += ", \(counted(replay.unreadable, "line")) that cannot be read" }
        let gaps: [(Replay.Gap, String)] = [
            (.arguments, "without their arguments"), (.bundle, "without their bundle"),
            (.circumstances, "that more than bundle and arguments decided"),
        ]
        for (gap, words) in gaps {
            if let count = replay.gaps[gap], count > 0 { text += ", \(count) \(words)" }
        }
        return text
    }

    /// Values of JSON, a line each.
    private static func values(_ path: String) throws -> [JSONValue] {
        if let real = Files.canonical(path), try Files.status(real)?.kind != .file {
            throw Failure(message: "\(path) is not a regular file: arguments are read from one that ends")
        }
        guard let bytes = try Files.read(path, limit: 256 << 20) else {
            throw Failure(message: "there is no file \(path)")
        }
        var values: [JSONValue] = []
        for (index, line) in bytes.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated()
        where !line.isEmpty {
            guard let value = try? JSONParser.parse(Array(line)) else {
                throw Failure(message: "\(path):\(index + 1): this line is not a JSON value", code: .invalid)
            }
            values.append(value)
        }
        return values
    }
}
