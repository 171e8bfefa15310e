import EnsignImport
import EnsignModel
import EnsignTestSupport
import Testing

/// What people wrote beside what a server says.
extension ToolImportTests {
    @Test(
        "Comments beside an operation in braces and behind what changes stay",
        arguments: [
            ("a: {access: read, risk: low}  # mine", ["a:  # mine"]),
            ("a: {access: read, # seen\n      risk: low} # don't", ["a:  # seen", "      # don't"]),
            (
                "a: {description: 'it''s # no', access: read, risk: low, # yes\n    } # end",
                ["a:  # yes", "      # end"]
            ),
            ("a: {description: \"x \\\" # no\", access: read, risk: low}", ["a:\n"]),
            ("a: # above\n      {access: read, risk: low}", ["a:  # above"]),
            (
                "a: # why\n      description: Old.  # reviewed\n      access: read\n      risk: low\n      input: {}  # none",
                ["a: # why", "description: New.  # reviewed", "input:  # none"]
            ),
        ]
    )
    func comments(operation: String, expected: [String]) throws {
        let head = "apiVersion: ensign.dev/v1\nkind: Tool\nspec:\n  owner: support\n  operations:\n    "
        let tail = "\n    z: {access: read, risk: low}  # last\n  credentials: {ref: \"vault:a\"}\n"
        let offered = [
            OfferedOperation(name: "a", description: "New.", input: ["type": "object"], isReadOnly: true),
            OfferedOperation(name: "z", isReadOnly: true),
        ]
        let result = try bring(offered, existing: head + operation + tail)
        let text = result.text ?? ""
        for comment in expected { #expect(text.contains(comment), "\(text)") }
        #expect(text.hasSuffix(tail), "\(text)")
        #expect(errors(text) == [], "\(text)")
        #expect(try bring(offered, existing: text).differences == [])
    }

    @Test("The comment above an operation goes with it, and no other")
    func removed() throws {
        let text = """
            apiVersion: ensign.dev/v1
            kind: Tool
            spec:
              owner: support
              operations:
                # Of a.
                a: {access: read, risk: low}

                # Of b,
                # two lines.
                b:
                  access: read
                  risk: low

                # Of c.
                c: {access: read, risk: low}

            """
        let result = try bring(
            [OfferedOperation(name: "a", isReadOnly: true), OfferedOperation(name: "c", isReadOnly: true)],
            existing: text
        )
        #expect(result.text == text.replacing(try Regex("    # Of b,(.|\n)*?low\n\n"), with: ""))
    }

    @Test("What stands on a server's word alone follows when the word is withdrawn, and what people decided stays")
    func hint() throws {
        var search = Self.search
        search.isIdempotent = true
        let offered = [
            search, OfferedOperation(name: "put", isReadOnly: false, isDestructive: false, isIdempotent: true),
        ]
        let first = try #require(try bring(offered).text)
        func told(_ change: (inout OfferedOperation) -> Void, _ text: String) throws -> (ToolImport, [String]) {
            var offered = offered
            for index in offered.indices { change(&offered[index]) }
            let result = try bring(offered, existing: text)
            #expect(errors(result.text ?? "") == [])
            // Once.
            #expect(try bring(offered, existing: result.text).differences == [])
            return (result, result.differences.map(\.text))
        }
        #expect(try told({ _ in }, first).1 == [])
        let (withdrawn, words) = try told({ $0.isReadOnly = nil }, first)
        #expect(words.count == 2 && words.allSatisfy { $0.contains("access execute (was ") })
        #expect(withdrawn.text?.ranges(of: "access: execute  # guess: no readOnlyHint\n      risk: high\n").count == 2)
        #expect(withdrawn.text?.contains("input:") == true && withdrawn.decisions.isEmpty)
        let (destructive, _) = try told({ if $0.name == "put" { $0.isDestructive = true } }, first)
        #expect(destructive.text?.contains("access: execute  # destructiveHint, the server's own word") == true)
        let (repeated, _) = try told({ if $0.name == "put" { $0.isIdempotent = nil } }, first)
        #expect(repeated.text?.contains("idempotent") == false)
        // More trust on the server's word alone is nobody's decision.
        let unsure = try #require(try bring([OfferedOperation(name: "put")]).text)
        #expect(try bring([OfferedOperation(name: "put", isReadOnly: true)], existing: unsure).differences == [])
        // A risk that a person has chosen stays.
        let risky = first.replacing("own word\n      risk: low", with: "own word\n      risk: medium")
        let (kept, _) = try told({ if $0.name == "search" { $0.isReadOnly = nil } }, risky)
        #expect(kept.text?.contains("access: execute  # guess: no readOnlyHint\n      risk: medium\n") == true)
        // What a person has decided is on no server's word: it stays, and what the server denies is told.
        let decided = first.replacing("access: read  # readOnlyHint, the server's own word", with: "access: read")
        #expect(try told({ if $0.name == "search" { $0.isReadOnly = nil } }, decided).0.decisions.isEmpty)
        let (denied, differences) = try told({ if $0.name == "search" { $0.isReadOnly = false } }, decided)
        #expect(differences == [] && denied.decisions.map(\.subject) == ["search"])
    }
}
