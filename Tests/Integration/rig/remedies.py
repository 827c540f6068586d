"""The remedies of `twofactor doctor`: applies them, and compares what logins require before and after."""

import re
import shutil
from pathlib import Path

EDIT = re.compile(r"in (/[^,:]+)(?:, (?:(remove|before|behind) )?line (\d+))?: (.*)")


def apply(root: Path, remedy: str) -> int:
    """Applies the lines of a remedy, from the end of each file; returns how many lines it has."""
    for source, target in re.findall(r"(?m)^cp /(\S+) /(\S+)$", remedy):
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / source, root / target)
    edits = [matched.groups() for line in remedy.splitlines() if (matched := EDIT.fullmatch(line))]
    paths = {name: root / name.lstrip("/") for name, *_ in edits}
    files = {name: path.read_text().splitlines() if path.exists() else [] for name, path in paths.items()}
    inserted: dict[tuple[str, int], int] = {}
    numbered = [(name, how, int(number), text) for name, how, number, text in edits if number]
    for name, how, number, text in sorted(numbered, key=lambda edit: (-edit[2], edit[1] == "remove")):
        lines, index = files[name], number - 1
        match how:
            case "remove":
                assert lines[index].split() == text.split()
                del lines[index]
            case "before":
                lines.insert(index, text)
            case "behind":
                # Lines after the same line keep the order of the remedy.
                inserted[name, index] = inserted.get((name, index), 0) + 1
                lines.insert(index + inserted[name, index], text)
            case None:
                lines[index] = text
    for name, _, number, text in edits:
        if not number:
            files[name].append(text)
    for name, lines in files.items():
        paths[name].parent.mkdir(parents=True, exist_ok=True)
        paths[name].write_text("\n".join(lines) + "\n")
    return len(edits)


NEEDS = {"nothing": set(), "password": {"password"}, "code": {"code"}, "password+code": {"password", "code"}}


def is_enough(entered: set[str], needs: str) -> bool:
    return needs != "refused" and any(NEEDS[each] <= entered for each in needs.split(" or "))


def harm(before: dict[str, dict], after: dict[str, dict]) -> list[str]:
    """The services that require less than before, or that refuse enrolled users from then on."""
    harmed = []
    for name, old in before.items():
        new = after[name]
        # The service `twofactor` is not for logins. A stack that refused everyone may require less.
        if name == "twofactor" or old["enrolled"] is None or old["enrolled"] == old["unenrolled"] == "refused":
            continue
        opened = [
            (kind, entered)
            for kind in ("enrolled", "unenrolled")
            for entered in NEEDS.values()
            if is_enough(entered, new[kind]) and not is_enough(entered, old[kind])
        ]
        # An enrolled user with both may get in.
        if any(entry != ("enrolled", NEEDS["password+code"]) for entry in opened):
            harmed.append(f"{name}: {old} became {new}")
        if old["enrolled"] != "refused" and new["enrolled"] == "refused":
            harmed.append(f"{name}: enrolled users are refused")
    return harmed
