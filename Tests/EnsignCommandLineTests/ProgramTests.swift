import EnsignCommandLine
import Testing

@Suite("A program speaks under its own name")
struct ProgramTests {
    private static let program = Program(
        name: "lamp",
        version: "2.0.0",
        summary: "Lights things",
        discussion: "It lights what it is told to light, and nothing else.",
        groups: [Verb.Group("Light"), Verb.Group("Nothing")],
        verbs: [
            Verb(
                name: "light",
                group: Verb.Group("Light"),
                summary: "Light a room",
                arguments: [Argument(name: "ROOM", summary: "which one", kind: .team)],
                options: [
                    Option(name: "colour", summary: "Choose one", value: "C", kind: .choice(["red", "green"])),
                    Option(name: "set", summary: "Set a value", value: "KEY=VALUE", kind: .setting),
                ]
            ) { _ in .done },
            Verb(
                name: "carry",
                group: Verb.Group("Light"),
                summary: "Carry things",
                arguments: [Argument(name: "THING...", summary: "what", isRequired: false, isRepeatable: true)]
            ) { _ in .done },
            Verb(
                name: "other",
                group: Verb.Group("Light"),
                summary: "Become another program",
                arguments: [Argument(name: "WORD...", summary: "its", isRequired: false, isRepeatable: true)],
                passesOn: { "torch" }
            ) { _ in .done },
        ],
        common: [Option(name: "house", short: "x", summary: "Name the house", value: "H"), .quiet, .help],
        names: { kind, line in kind == .team ? ["\(line.verb?.name ?? "") hall", "kitchen"] : [] },
        explain: { error, invocation in Explanation("\(error)", [invocation?.verb.name ?? "none"], .failed) },
        slip: { _ in nil }
    )

    private func words(_ line: [String]) -> [String] { Completer(Self.program, line).candidates().map(\.word) }

    @Test("help shows its name, its verbs, and only the groups that have some")
    func help() {
        let text = Help(Self.program).overview()
        #expect(
            text.hasPrefix(
                "OVERVIEW: Lights things\n\nIt lights what it is told to light, and nothing else.\n\nUSAGE: lamp COMMAND"
            )
        )
        #expect(text.contains("\nLIGHT:\n  light") && !text.contains("NOTHING"))
        #expect(text.contains("'lamp COMMAND --help'") && !text.contains("ensign"))
        #expect(Help(Self.program).usage(Self.program.verbs[0]) == "lamp light ROOM [--colour C] [--set KEY=VALUE]")
    }

    @Test("completion asks it for names, and its scripts complete it alone")
    func completion() {
        #expect(words([""]) == ["light", "carry", "other"])
        #expect(words(["light", ""]) == ["kitchen", "light hall"])
        #expect(words(["light", "--colour", ""]) == ["green", "red"])
        #expect(words(["light", "--set", ""]) == [])
        for script in [CompletionScript.bash("lamp"), CompletionScript.zsh("lamp")] {
            #expect(script.contains("lamp") && !script.contains("ensign"))
        }
    }

    @Test("what is behind a verb that becomes another program is that program's to complete")
    func passedOn() {
        func passed(_ line: String) -> [String]? {
            Completer(Self.program, line.split(separator: " ", omittingEmptySubsequences: false).map(String.init))
                .passedOn
        }
        #expect(passed("other ") == [""] && passed("other che") == ["che"])
        #expect(passed("-x mine other --quiet check --con") == ["--quiet", "check", "--con"])
        #expect(passed("other -- light ") == ["--", "light", ""])
        #expect(passed("other") == nil && passed("light other") == nil && passed("--house other ") == nil)
    }

    @Test("the value of a letter's option before the verb is not a verb")
    func lettersFirst() throws {
        let console = Console("lamp", colour: false, errorColour: false, isInteractive: false)
        guard case .run(let line) = try Parser(Self.program).parse(["-x", "mine", "light", "hall"], console: console)
        else {
            Issue.record("it was not parsed")
            return
        }
        #expect(line.verb.name == "light" && line["house"] == "mine" && line.arguments == ["hall"])
    }

    @Test("the last argument may stand several times, and a verb that becomes another program passes all words on")
    func manyWords() throws {
        let console = Console("lamp", colour: false, errorColour: false, isInteractive: false)
        func arguments(_ words: String...) throws -> [String] {
            guard case .run(let line) = try Parser(Self.program).parse(words, console: console) else {
                return ["no run"]
            }
            return line.arguments
        }
        #expect(try arguments("carry", "a", "b", "c") == ["a", "b", "c"])
        #expect(throws: UsageError.self) { try arguments("light", "hall", "kitchen") }
        #expect(try arguments("other", "--help", "-q", "--x=1") == ["--help", "-q", "--x=1"])
        // What stands before it is for nobody.
        #expect(throws: UsageError.self) { try arguments("--house", "other", "other", "--help") }
    }

    @Test("wrong use points at its own help")
    func wrongUse() {
        let error = #expect(throws: UsageError.self) {
            try Parser(Self.program).parse(
                ["light", "hall", "--set", "x"],
                console: Console("lamp", colour: false, errorColour: false, isInteractive: false)
            )
        }
        #expect(error?.message == "'x' is not KEY=VALUE")
        if let error { #expect(Explanation(error, of: "lamp").hints == ["lamp light --help"]) }
    }
}
