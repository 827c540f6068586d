#!/usr/bin/env python3
"""Checks that every `unsafe` in Swift code has a `SAFETY:` comment, which says why it is sound.

Usage: unsafe_comments.py [--self-test] [FILE-OR-FOLDER ...]

Prints FILE:LINE for each line with `unsafe` and without such a comment, then a total. Exits with 1 if there are any.
The default folder is Sources.

A comment at the end of a line covers that line. A comment on a line of its own covers the rest of its block, including
nested blocks; directly above a function, a property or another member, it covers the member. A comment above a type
covers none of its members.
"""

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

UNSAFE = re.compile(r"\bunsafe\b")
COMMENT = "SAFETY:"
ATTRIBUTE_LINE = re.compile(r"\s*@\w+(\([^)]*\))?\s*$")
# A declaration before its keyword.
MODIFIERS = r"^(?:@\w+(?:\([^()]*(?:\([^()]*\)[^()]*)*\))?\s*|[a-z]+(?:\(\w+\))?\s+)*?"
TYPE = re.compile(MODIFIERS + r"(?:struct|class(?!\s+(?:func|var|let|subscript))|enum|extension|protocol|actor)\s+\w")
# Lines that continue a statement.
CONTINUES = re.compile(r"^(?:[.?:=)\]&|+*/<>,-]|->|(?:where|throws|else|catch|async|rethrows|as|is|in)\b|\{)")
UNFINISHED = re.compile(r"(?:[=(\[,?:&|+*/<-]|->|\b(?:where|try|unsafe|return|in|throws|else))$")


@dataclass
class Scope:
    """A pair of braces, or the whole file."""

    parent: "Scope | None"
    is_type: bool
    head: int = 0
    """First line of the statement or declaration that the braces belong to."""

    statement: int = 0
    """First line of the current statement in this scope."""

    parentheses: int = 0
    tail: str = ""
    """Code of the current statement so far."""


@dataclass
class Source:
    """The code and the comments of each line of a file."""

    code: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)


def split(text: str) -> Source:
    """Separates code from comments, and removes the text of strings; code in an interpolation stays."""
    code, comments = [""], [""]

    def newline() -> None:
        code.append("")
        comments.append("")

    index = 0
    # The delimiters of open strings, and the depths of parentheses in open interpolations.
    open_strings: list[tuple[str, str]] = []
    depths: list[int] = []

    def in_string() -> bool:
        return len(open_strings) > len(depths)

    while index < len(text):
        if in_string():
            quotes, signs = open_strings[-1]
            if text.startswith(quotes + signs, index):
                open_strings.pop()
                code[-1] += '"'
                index += len(quotes + signs)
            elif text.startswith("\\" + signs + "(", index):
                depths.append(0)
                code[-1] += " "
                index += len(signs) + 2
            elif text.startswith("\\" + signs, index):
                index += len(signs) + 2
            else:
                if text[index] == "\n":
                    newline()
                index += 1
            continue
        if text.startswith("//", index):
            end = text.find("\n", index)
            end = len(text) if end < 0 else end
            comments[-1] += text[index:end]
            index = end
        elif text.startswith("/*", index):
            depth = 0
            while index < len(text):
                pair = text[index : index + 2]
                depth += (pair == "/*") - (pair == "*/")
                if text[index] == "\n":
                    newline()
                else:
                    comments[-1] += text[index]
                index += 1
                if pair == "*/":
                    comments[-1] += "/"
                    index += 1
                    if depth == 0:
                        break
        elif opened := re.compile(r'(#*)("""|")').match(text, index):
            open_strings.append((opened[2], opened[1]))
            code[-1] += '"'
            index = opened.end()
        elif text[index] == "\n":
            newline()
            index += 1
        else:
            if depths:
                depths[-1] += (text[index] == "(") - (text[index] == ")")
                if depths[-1] < 0:
                    depths.pop()
                    index += 1
                    code[-1] += " "
                    continue
            code[-1] += text[index]
            index += 1
    return Source(code, comments)


def is_comment(source: Source, line: int) -> bool:
    return bool(source.comments[line]) and not source.code[line].strip()


def above(source: Source, line: int) -> bool:
    """Whether a SAFETY: comment is directly above the statement at a line, or above its attributes."""
    while line > 0 and (ATTRIBUTE_LINE.match(source.code[line - 1]) or is_comment(source, line - 1)):
        line -= 1
        if COMMENT in source.comments[line]:
            return True
    return False


def misses(text: str) -> list[int]:
    """Returns the numbers, from 1, of the lines with `unsafe` and without a comment."""
    source = split(text)
    scope = Scope(None, is_type=True)
    commented: set[int] = set()  # Identities of the scopes with a comment so far.
    branches: list[Scope] = []
    alive: list[Scope] = [scope]
    found = []
    for line, code in enumerate(source.code):
        stripped = code.strip()
        if COMMENT in source.comments[line] and not stripped and not scope.is_type:
            commented.add(id(scope))
        if not stripped:
            continue
        if stripped.startswith("#if"):
            branches.append(scope)
        elif stripped.startswith("#else") and branches:
            scope = branches[-1]
        elif stripped.startswith("#endif") and branches:
            branches.pop()
        if stripped.startswith("#"):
            continue
        fresh = not (scope.parentheses or CONTINUES.match(stripped) or UNFINISHED.search(scope.tail.rstrip()))
        if fresh and not stripped.startswith("}"):
            scope.statement, scope.tail = line, ""
        reported = False
        for position, character in enumerate(code):
            if UNSAFE.match(code, position) and not re.match(r"\w", code[position - 1 : position] or " "):
                reported = reported or not is_covered(source, line, scope, commented)
            if character == "{":
                is_type = scope.is_type and bool(TYPE.match(scope.tail.strip()))
                scope = Scope(scope, is_type, head=scope.statement, statement=line)
                alive.append(scope)  # Python reuses the identity of a deleted object.
            elif character == "}" and scope.parent:
                scope = scope.parent
                scope.tail += " "
                continue
            else:
                scope.parentheses += (character in "([") - (character in ")]")
                scope.tail += character
        scope.tail += " "
        if reported:
            found.append(line + 1)
    return found


def is_covered(source: Source, line: int, scope: Scope, commented: set[int]) -> bool:
    if COMMENT in source.comments[line] or above(source, line) or above(source, scope.statement):
        return True
    while not scope.is_type:
        if id(scope) in commented or above(source, scope.head):
            return True
        scope = scope.parent
    return False


COVERED = {
    "on the line": "func f() {\n  unsafe g()  // SAFETY: why\n}",
    "above the statement": "func f() {\n  // SAFETY: why\n  unsafe g()\n}",
    "in several lines above": "func f() {\n  // SAFETY: why,\n  // and more.\n  unsafe g()\n}",
    "above a statement of several lines": "func f() {\n  // SAFETY: why\n  let x =\n    unsafe g(\n      unsafe h)\n}",
    "earlier in the block": "func f() {\n  // SAFETY: why\n  unsafe g()\n  h()\n  unsafe g()\n}",
    "first in the member": "func f() {\n  // SAFETY: why\n  if a {\n    for b in c {\n      unsafe g()\n    }\n  }\n}",
    "above the function": "struct S {\n  /// Does it. SAFETY: why\n  @inline(__always)\n  func f() {\n    unsafe g()\n  }\n}",
    "above a function of several lines": "// SAFETY: why\nfunc f(\n  a: A\n) -> B\nwhere A: C {\n  unsafe g()\n}",
    "above an accessor's property": "struct S {\n  // SAFETY: why\n  var x: X {\n    get { unsafe g() }\n    set { unsafe h() }\n  }\n}",
    "above a stored property": "struct S {\n  // SAFETY: why\n  nonisolated(unsafe) static var x = 1\n}",
    "above an extension": "// SAFETY: why\nextension S: @unsafe P {}",
    "in a comment": "// unsafe\n/* unsafe /* unsafe */ unsafe */ let x = 1",
    "in a string": 'let x = "unsafe \\" unsafe"; let y = #"unsafe " unsafe"#\nlet z = """\n  unsafe " unsafe\n  """',
    "another word": "f(.unsafeFlags([unsafePointer, not_unsafe]))",
    "behind a branch": "#if A\nfunc f() {\n#else\nfunc f(a: A) {\n#endif\n  // SAFETY: why\n  unsafe g()\n}\nlet x = 1",
}
UNCOVERED = {
    "no comment": ("func f() {\n  unsafe g()\n}", [2]),
    "a comment that says nothing": ("func f() {\n  // It is sound.\n  unsafe g()\n}", [3]),
    "a comment below": ("func f() {\n  unsafe g()\n  // SAFETY: why\n}", [2]),
    "another function": ("// SAFETY: why\nfunc f() { unsafe g() }\nfunc h() { unsafe g() }", [3]),
    "the end of another line": ("func f() {\n  unsafe g()  // SAFETY: why\n  unsafe g()\n}", [3]),
    "a block that is closed": ("func f() {\n  if a {\n    // SAFETY: why\n    unsafe g()\n  }\n  unsafe h()\n}", [6]),
    "another accessor": (
        "struct S {\n  var x: X {\n    get {\n      // SAFETY: why\n      unsafe g()\n    }\n    set { unsafe h() }\n  }\n}",
        [7],
    ),
    "above the type": ("// SAFETY: why\nstruct S {\n  func f() {\n    unsafe g()\n  }\n}", [4]),
    "above the class": ("// SAFETY: why\nfinal class S {\n  class func f() {\n    unsafe g()\n  }\n}", [4]),
    "a blank line between": ("struct S {\n  // SAFETY: why\n\n  nonisolated(unsafe) static var x = 1\n}", [4]),
    "in an interpolation": ('func f() {\n  print("a \\(unsafe g("b")) c")\n}', [2]),
    "in a string": ('func f() {\n  print("// SAFETY: why"); unsafe g()\n}', [2]),
}


def self_test() -> int:
    wrong = [f"reported: {name}" for name, text in COVERED.items() if misses(text)]
    wrong += [f"not reported: {name}" for name, (text, lines) in UNCOVERED.items() if misses(text) != lines]
    for line in wrong:
        print(f"unsafe_comments: self-test: {line}", file=sys.stderr)
    return 1 if wrong else 0


def main(arguments: list[str]) -> int:
    if arguments == ["--self-test"]:
        return self_test()
    total = covered = 0
    for root in map(Path, arguments or ["Sources"]):
        for path in sorted(root.rglob("*.swift")) if root.is_dir() else [root]:
            text = path.read_text()
            lines = misses(text)
            total += len(lines)
            covered += sum(bool(UNSAFE.search(code)) for code in split(text).code) - len(lines)
            for line in lines:
                print(f"{path}:{line}: unsafe without a SAFETY: comment")
    print(f"unsafe_comments: {total} lines with unsafe lack a SAFETY: comment, {covered} have one")
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
