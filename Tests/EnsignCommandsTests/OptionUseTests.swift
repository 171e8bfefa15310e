import EnsignCommandLine
import Testing

@testable import EnsignCommands

/// An option that would change nothing is refused: whoever gave it believes that it does.
@Suite("An option is taken where it means something, and nowhere else")
struct OptionUseTests {
    private static let console = Console("ensign", colour: false, errorColour: false, isInteractive: false)

    private func refusal(_ line: String) -> UsageError? {
        let words = line.split(separator: " ").map { String($0) }
        do {
            _ = try Parser(App.program).parse(words, console: Self.console)
            return nil
        } catch {
            return error as? UsageError
        }
    }

    /// What is refused, and the sentence that says why.
    private static let refused = [
        // The first argument says what they are for.
        ("import openapi bill f --command x", "--command is for 'import mcp'"),
        ("import openapi bill f --url u", "--url is for 'import mcp'"),
        ("import openapi bill f --url u --header A:b", "--url is for 'import mcp'"),
        ("import openapi bill f --header A:b", "--header is for 'import mcp'"),
        ("import openapi bill f --from F", "--from is for 'import mcp'"),
        ("import openapi bill f --client-config F", "--client-config is for 'import mcp'"),
        ("import openapi bill f --run", "--run is for 'import mcp'"),
        ("import openapi bill f --pass-env A", "--pass-env is for 'import mcp'"),
        ("import openapi bill f --timeout abc", "--timeout is for 'import mcp'"),
        ("import openapi bill f --model a/b", "--model is for 'import crewai' and 'import langgraph'"),
        ("import crewai DIR --only nosuch", "--only is for 'import mcp' and 'import openapi'"),
        ("import langgraph DIR --timeout 99999", "--timeout is for 'import mcp'"),
        ("import mcp tt extra --from F", "'import mcp' does not know what to do with 'extra'"),
        ("import crewai DIR extra", "'import crewai' does not know what to do with 'extra'"),
        ("new agent support/q --env prod", "--env is for 'new deployment' and 'new binding'"),
        ("new agent support/q --tool crm", "--tool is for 'new role'"),
        ("new agent support/q --team sales", "--team is for 'new tool'"),
        ("new team x --env prod", "--env is for 'new deployment' and 'new binding'"),
        ("new team x --tool nope", "--tool is for 'new role'"),
        ("new env qa --team nope", "--team is for 'new tool'"),
        ("rollout status --env p --reason z", "--reason is for 'rollout pause', 'rollout resume', "),
        ("rollout status a/b --env p --version 3.0.0", "--version is for 'rollout retry' and 'rollout override'"),
        ("rollout pause a/b --env p --reason z --version 3.0.0", "--version is for 'rollout retry' and "),
        ("rollout pause a/b --env p --reason z --watch", "--watch is for 'rollout status'"),
        ("get tools --team it", "--team is for 'get agents'"),
        ("get teams --label a=b", "--label is for 'get agents'"),
        ("get tools --model m", "--model is for 'get agents'"),
        ("get teams --tool t", "--tool is for 'get agents'"),
        ("get tools --env prod", "--env is for 'get agents'"),
        // Nothing without another one.
        ("import mcp tt --from F --header A:b", "--header is for --url"),
        ("import mcp tt --command x --header A:b", "--header is for --url"),
        ("import mcp tt --command x --run", "--run is for --client-config"),
        ("import mcp tt --url u --pass-env A", "--pass-env is for --command or --client-config"),
        ("import mcp tt --from F --timeout abc", "--timeout is for --command, --url or --client-config"),
        ("rollback a/b --env p --to 1.0.0", "--to is for --now: in git, edit the version"),
        ("discover --telemetry t --team nosuch", "--team is for --write: "),
        ("reconcile --env p --reason z", "--reason is for --allow-prune: "),
        ("get agents --at 7d", "--at is for --env: "),
        ("get agents --entry 7", "--entry is for --env: "),
        // Nothing beside another one.
        ("rollback a/b --env p --now --reason z --branch mine", "--branch and --now exclude each other"),
        ("--repo /nonexistent propose DIR --agent a/b --to .", "--to and --repo exclude each other"),
        ("propose DIR --agent a/b --dry-run --branch foo", "--branch and --dry-run exclude each other"),
        ("tighten a/b --env p --dry-run --branch foo", "--branch and --dry-run exclude each other"),
        ("log --env p --at 1d --until 2d", "--at and --until exclude each other"),
        ("log --env p --at 1d --since 2d", "--at and --since exclude each other"),
        ("log --env p --at 1d --limit 7", "--at and --limit exclude each other"),
        ("log --env p --at 1d --entry 7", "--at and --entry exclude each other"),
        ("log --env p --entry 7 --all", "--entry and --all exclude each other"),
        ("log --env p --entry 7 --limit 7", "--entry and --limit exclude each other"),
        ("get agents --env p --rev main", "--env and --rev exclude each other"),
        ("get agents --env p --at 1d --entry 7", "--at and --entry exclude each other"),
        // In a format that has no place for it.
        ("rollout status --env p --watch -o json", "--watch has no answer in json"),
        ("discover --telemetry t --write -o json", "--write has no answer in json"),
        // Before the words of another program.
        ("-q --repo /nonexistent -c nonsense gateway version", "'-q' is before 'gateway'"),
        ("--repo /nonexistent gateway version", "'--repo' is before 'gateway'"),
        ("-- gateway version", "'--' is before 'gateway'"),
        // Settings that nothing reads.
        ("-c ensign.brnach=x status", "reads the setting 'ensign.brnach'"),
        ("-c ensign.prod.targett=x status", "reads the setting 'ensign.prod.targett'"),
        ("-c ensign.target=x status", "reads the setting 'ensign.target'"),
        ("-c core.bare=x status", "reads the setting 'core.bare'"),
        ("-c nothing=x status", "reads the setting 'nothing'"),
    ]

    @Test("What would be ignored is wrong use, in a sentence that says why", arguments: refused)
    func ignored(_ line: String, _ sentence: String) throws {
        let error = try #require(refusal(line), "\(line) is taken")
        #expect(error.message.contains(sentence), "\(line): \(error.message)")
    }

    @Test(
        "The same is taken where it means something",
        arguments: [
            "import mcp tt --url u --header A:b --timeout 7 --only x --team it",
            "import openapi bill f --only x --team it",
            "import mcp --client-config f --run --pass-env A --timeout 7", "import mcp tt --command x --pass-env A",
            "import crewai DIR --model a/b --team it --check", "new tool crm --team it", "new role r --tool crm",
            "new binding crm --env prod", "new deployment a/b --env prod", "rollout retry a/b --env p --version 1.0.0",
            "rollout status --env p --watch", "rollout status --env p --watch -o text",
            "rollout status --env p -o json",
            "rollback a/b --env p --branch mine", "rollback a/b --env p --now --to 1.0.0 --reason z",
            "discover --telemetry t --write --team it", "discover --telemetry t -o json",
            "propose DIR --agent a/b --to .",
            "propose DIR --agent a/b --dry-run", "--repo . propose DIR --agent a/b --branch foo", "log --env p --at 1d",
            "log --env p --since 1d --until 2d --limit 7 --all", "log a/b --env p --entry 7",
            "get agents --env p --at 1d",
            "get agents --rev main --label a=b --label c=d", "gateway -q --repo x", "gateway --help",
            "reconcile --env p --allow-prune --reason z", "-c ensign.branch=x status", "-c ENSIGN.Branch=x status",
            "-c ensign.prod.target=directory:/x status", "-c ensign.a.b.signingkey=x status", "-c user.name=Bob status",
            "-c USER.EMAIL=bob@example.com status", "-c commit.gpgsign=false status",
        ]
    )
    func taken(_ line: String) {
        let error = refusal(line)
        #expect(error == nil, "\(line): \(error?.message ?? "")")
    }

    @Test("A setting that is nearly one is told with what was probably meant")
    func nearest() {
        #expect(refusal("-c ensign.brnach=x status")?.hint == "did you mean 'ensign.branch'?")
        #expect(refusal("-c ensign.prod.targett=x status")?.hint == "did you mean 'ensign.prod.target'?")
        #expect(refusal("-c user.nmae=x status")?.hint == "did you mean 'user.name'?")
        #expect(refusal("-c core.bare=x status")?.hint?.contains("docs/settings.md") == true)
    }

    @Test("Help before a verb that passes words on is that verb's")
    func help() throws {
        guard case .help(let verb?) = try Parser(App.program).parse(["--help", "gateway"], console: Self.console) else {
            Issue.record("not help")
            return
        }
        #expect(verb.name == "gateway")
    }

    @Test("What an option is for names arguments, options and formats that there are")
    func declared() {
        for verb in App.program.verbs {
            let names = Set((verb.options + App.program.common).map(\.name))
            var choices: Set<String> = []
            if case .choice(let all)? = verb.arguments.first?.kind { choices = Set(all) }
            for option in verb.options {
                let use = option.use
                #expect(names.isSuperset(of: use.needs + use.excludes), "\(verb.name) --\(option.name)")
                #expect(choices.isSuperset(of: use.with ?? []), "\(verb.name) --\(option.name)")
                #expect(Set(verb.formats).isSuperset(of: use.formats ?? []), "\(verb.name) --\(option.name)")
            }
            for argument in verb.arguments { #expect(choices.isSuperset(of: argument.with ?? []), "\(verb.name)") }
        }
    }
}
