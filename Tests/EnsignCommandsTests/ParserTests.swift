import EnsignCommandLine
import Testing

@testable import EnsignCommands

@Suite("The command line is words, and words become an invocation")
struct ParserTests {
    private static let console = Console("ensign", colour: false, errorColour: false, isInteractive: false)

    private func run(_ words: String...) throws -> Invocation {
        guard case .run(let invocation) = try Parser(App.program).parse(words, console: Self.console) else {
            throw UsageError(message: "not a call: \(words)")
        }
        return invocation
    }

    private func message(_ words: String...) -> String? {
        do {
            _ = try Parser(App.program).parse(words, console: Self.console)
            return nil
        } catch {
            return (error as? UsageError)?.message
        }
    }

    @Test("Options may be before the verb, between arguments and behind them")
    func anywhere() throws {
        for words in [
            ["--env", "prod", "log", "support/desk"], ["log", "--env", "prod", "support/desk"],
            ["log", "support/desk", "--env=prod"],
        ] {
            guard case .run(let invocation) = try Parser(App.program).parse(words, console: Self.console) else {
                Issue.record("not a call: \(words)")
                continue
            }
            #expect(invocation.verb.name == "log")
            #expect(invocation["env"] == "prod")
            #expect(invocation.argument(0) == "support/desk")
        }
    }

    @Test("What is behind -- is an argument, whatever it looks like")
    func onlyArguments() throws {
        let invocation = try run("log", "--env", "prod", "--", "--all")
        #expect(invocation.arguments == ["--all"])
        #expect(!invocation.has("all"))
    }

    @Test("A single dash is an argument, and a value may begin with one")
    func dashes() throws {
        #expect(try run("validate", "-").arguments == ["-"])
        #expect(try run("log", "--env", "-x")["env"] == "-x")
    }

    @Test("Short forms are the same options")
    func short() throws {
        let invocation = try run("status", "-o", "json", "-q", "-c", "ensign.branch=c")
        #expect(invocation.format == .json)
        #expect(invocation.isQuiet)
        #expect(invocation.overrides.map(\.key) == ["ensign.branch"])
        #expect(invocation.overrides.map(\.value) == ["c"])
    }

    @Test("An option that repeats keeps each value, any other is refused the second time")
    func repeated() throws {
        #expect(try run("watch", "--env", "a", "--env", "b").all("env") == ["a", "b"])
        #expect(message("log", "--env", "a", "--env", "b")?.contains("--env") == true)
    }

    @Test("What is missing, unknown or too much is said, with the verb whose help explains it")
    func refusals() throws {
        #expect(message("log") == "'log' needs --env ENV")
        #expect(message("check", "support/desk", "--env", "p")?.hasPrefix("'check' needs TOOL.OPERATION") == true)
        #expect(message("get", "agents", "more")?.contains("more") == true)
        #expect(message("get", "agent")?.hasPrefix("'agent' is not one of agents, tools, teams") == true)
        #expect(message("status", "-o", "yaml")?.contains("text, json") == true)
        #expect(message("status", "--quiet=yes") == "option '--quiet' takes no value")
        #expect(message("log", "--env") == "option '--env' needs a value: ENV")
        #expect(message("log", "-c", "nothing") == "'nothing' is not KEY=VALUE")
        do {
            _ = try Parser(App.program).parse(["stauts"], console: Self.console)
        } catch let error as UsageError {
            #expect(error.hint == "did you mean 'status'?")
        }
    }

    @Test("Help and version are answers, nothing is no answer")
    func answers() throws {
        guard
            case .help(let verb?) = try Parser(App.program).parse(
                ["plan", "--nonsense", "-h"].filter { $0 != "--nonsense" },
                console: Self.console
            )
        else { throw UsageError(message: "no help") }
        #expect(verb.name == "plan")
        guard case .help(nil) = try Parser(App.program).parse(["help"], console: Self.console) else {
            throw UsageError(message: "no overview")
        }
        guard case .nothing = try Parser(App.program).parse([], console: Self.console) else {
            throw UsageError(message: "something")
        }
        guard case .version = try Parser(App.program).parse(["--version"], console: Self.console) else {
            throw UsageError(message: "no version")
        }
    }

    @Test("No words end the process")
    func hostile() {
        let words = ["", "-", "--", "--=", "-=", "---", "--env", "=", "log", "\u{0}", "--output=\u{202E}", "-c", "=x"]
        for first in words { for second in words { for third in words { _ = message(first, second, third) } } }
    }
}

@Suite("Verbs are declared once")
struct VerbTests {
    @Test("Each verb has a name of its own, a summary without a full stop, and options of their own")
    func declarations() {
        #expect(Set(Verbs.all.map(\.name)).count == Verbs.all.count)
        for verb in Verbs.all {
            #expect(!verb.summary.isEmpty && !verb.summary.hasSuffix("."), "\(verb.name)")
            let names = (verb.options + Parser.outputOption(verb) + Option.common).map(\.name)
            #expect(Set(names).count == names.count, "\(verb.name)")
            for option in verb.options { #expect(!option.summary.hasSuffix("."), "\(verb.name) --\(option.name)") }
        }
    }

    @Test("Completion knows each verb, its options and its choices, also after others and before the verb")
    func completion() {
        func words(_ line: String) -> [String] {
            Completer(App.program, line.split(separator: " ", omittingEmptySubsequences: false).map(String.init))
                .candidates().map(
                    \.word
                )
        }
        #expect(words("") == Verbs.all.map(\.name))
        #expect(words("reco") == ["reconcile"] && words("--repo /nowhere reco") == ["reconcile"])
        #expect(words("-c a=b reco") == ["reconcile"] && words("nonsense") == [])
        for verb in Verbs.all {
            for option in verb.options + Parser.outputOption(verb) {
                #expect(words("\(verb.name) --\(option.name)").contains("--\(option.name)"), "\(verb.name)")
                guard case .choice(let choices) = option.kind else { continue }
                #expect(words("\(verb.name) --\(option.name) ") == choices.sorted())
                #expect(words("\(verb.name) --\(option.name)=") == choices.sorted().map { "--\(option.name)=\($0)" })
            }
            guard let first = verb.arguments.first, case .choice(let choices) = first.kind else { continue }
            #expect(words("\(verb.name) ") == choices.sorted())
            #expect(words("\(verb.name) --quiet ") == choices.sorted())
        }
        #expect(words("--output ") == ["json", "markdown", "sarif", "text"] && words("-o js") == ["json"])
        #expect(words("--env prod reco") == ["reconcile"])
        #expect(words("judge --rules ").isEmpty && words("version x").isEmpty)
    }

    @Test("Help names everything that a verb takes, and no line is wider than a terminal")
    func help() {
        for verb in Verbs.all {
            let text = Help(App.program).verb(verb)
            for argument in verb.arguments { #expect(text.contains(argument.name)) }
            for option in verb.options { #expect(text.contains("--\(option.name)"), "\(verb.name)") }
            let body = text.prefix(upTo: text.firstRange(of: "\nEXAMPLES:")?.lowerBound ?? text.endIndex)
            for line in body.split(separator: "\n") where !line.hasPrefix("USAGE:") {
                #expect(line.count <= 80, "\(verb.name): \(line)")
            }
        }
    }
}
