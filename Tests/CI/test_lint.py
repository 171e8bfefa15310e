"""Tests of Tests/lint.py. Run with `python3 -m unittest discover -s Tests/CI`."""

from __future__ import annotations

import importlib.util
import textwrap
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_spec = importlib.util.spec_from_file_location("lint", ROOT / "Tests" / "lint.py")
assert _spec is not None and _spec.loader is not None
lint = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(lint)


def target(name: str, *dependencies: str, kind: str = "regular") -> dict[str, object]:
    return {"name": name, "type": kind, "dependencies": [{"byName": [each, None]} for each in dependencies]}


class ImportTests(unittest.TestCase):
    def test_what_is_imported_is_declared_and_what_is_declared_is_imported(self) -> None:
        package = {"targets": [target("A"), target("B"), target("C", "A", "B")]}
        self.assertEqual(lint.check_imports(package, {"C": ["import A\n", "import A\npackage import B\n"]}), [])
        self.assertEqual(
            lint.check_imports(package, {"C": ["import B\n"], "B": ["import A\nimport Glibc\n"]}),
            ["Package.swift: B imports A and does not declare it", "Package.swift: C declares A and does not import it"],
        )

    def test_programs_and_what_each_target_of_tests_gets_need_no_import(self) -> None:
        package = {
            "targets": [
                target(lint.SHARED), target("tool", kind="executable"),
                target("T", "tool", lint.SHARED, kind="test"), target("U", kind="test"),
            ]
        }
        self.assertEqual(lint.check_imports(package, {"T": ["import Testing\n"]}), [])
        self.assertEqual(
            lint.check_imports(package, {"U": [f"import {lint.SHARED}\n"]}),
            [f"Package.swift: U imports {lint.SHARED} and does not declare it"],
        )

    def test_every_form_of_an_import_counts_and_no_text_does(self) -> None:
        for line in ["import A", "package import A", "@testable import A", "@preconcurrency public import A"]:
            self.assertEqual(lint.imports(line + "\n"), {"A"}, line)
        for line in ["// import A", "/*\nimport A\n*/", 'let x = """\nimport A\n"""', "    import A"]:
            self.assertEqual(lint.imports(line + "\n"), set(), line)


class CodeTests(unittest.TestCase):
    def test_texts_end_where_they_end_in_swift(self) -> None:
        for text, rest in {
            'a("x // y") // z': 'a("") ',
            r'a("\"") b': 'a("") b',
            r'a("\(b("c)"))") d': 'a("") d',
            r'a(#"\"#) b': 'a("") b',
            r'a(#"\#(b(")"))"#) c': 'a("") c',
            'a("""\n"b" {\n""") c': 'a("") c',
            "a /* { */ b": "a  b",
            "a /* b": "a ",
            'a("b': 'a(""',
        }.items():
            self.assertEqual(lint.code(text), rest, text)


class LinkTests(unittest.TestCase):
    SOURCE = textwrap.dedent(
        '''
        struct Outer<T>: Equatable {
            enum Inner: String { case one = "1", two, three(Int, of: [String: Int]) }
            let value: Int, other = 1
            init(_ value: T, at place: () -> Int) { let local = "}" }
            func run<U>(_ first: [U], of: (Int, Int), `for` last: Int = 3) -> Int { func within() {} }
            static func ==(a: Self, b: Self) -> Bool { switch a { case .hidden: true } }
        }
        extension Outer.Inner { var more: Int { let deep = 1; return deep } }
        '''
    )

    def check(self, *links: str) -> list[str]:
        comment = "\n".join(f"/// See ``{link}``." for link in links)
        found = lint.check_links({"a.swift": self.SOURCE, "b.swift": comment})
        return [problem.split("``")[1] for problem in found]

    def test_types_members_cases_and_functions_with_their_labels_are_found(self) -> None:
        good = [
            "Outer", "Outer/Inner", "Inner/one", "two", "three(_:of:)", "Outer/Inner/more", "value",
            "Outer/init(_:at:)", "run(_:of:for:)", "Outer/run", "init(_:at:)-(Int)",
        ]
        self.assertEqual(self.check(*good), [])

    def test_what_is_within_a_function_or_nowhere_is_not_found(self) -> None:
        bad = ["Missing", "Outer/one", "run(_:)", "local", "within()", "deep", "hidden", "Inner/value"]
        self.assertEqual(self.check(*bad), bad)

    def test_a_link_is_told_by_file_and_line_and_only_in_comments(self) -> None:
        text = 'let a = "``no``"\n\n    /// ``gone``\n'
        self.assertEqual(lint.check_links({"x.swift": text}), ["x.swift:3: ``gone`` names nothing that is declared"])


if __name__ == "__main__":
    unittest.main()
