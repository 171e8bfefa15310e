import EnsignTestSupport
import Testing

/// The tour of docs/tutorial.md: whoever types what it says sees what it shows.
@Suite struct TutorialTests {
    private func play(_ page: String, in scratch: ScratchDirectory) throws -> CommandResult {
        let script = "\(Host.package)/docs/tools/tutorial.py"
        return try run("python3", [script, Host.ensign, page], in: scratch.path)
    }

    @Test("Every command of the tutorial prints what the page says, in the order of the page")
    func asItIsWritten() throws {
        let result = try play("\(Host.package)/docs/tutorial.md", in: ScratchDirectory())
        #expect(result.status == 0, "\(result.errors)")
    }

    @Test("A page that says something else is found, with the line and what was printed instead")
    func findsWhatDiffers() throws {
        let scratch = try ScratchDirectory()
        let page = """
            ```console
            $ printf 'one\\ntwo\\nthree\\n'
            one
            ...
            $ echo "entry 7 (2eeda93d2b), 3s ago" && \\
                echo two
            entry 7 (fe5e4957cc), just now
            three
            ```
            """
        try scratch.write("page.md", page)
        let result = try play("\(scratch.path)/page.md", in: scratch)
        #expect(result.status == 1 && result.output.isEmpty)
        #expect(result.errors.contains("page.md:8: '$ echo"), "\(result.errors)")
        #expect(result.errors.contains("-three\n+two\n"), "\(result.errors)")
        #expect(result.errors.contains("1 of 2 commands differ"), "\(result.errors)")
    }
}
