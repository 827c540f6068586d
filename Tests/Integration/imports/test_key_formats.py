"""The table of formats in pam/migration.md: each text is read or refused as its row says."""

import dataclasses
import functools
import json
import re

import pytest
from rig.clock import START
from rig.documentation import help_of
from rig.enrollment import twofactor
from rig.exit_status import DONE, UNUSABLE
from rig.harness import Result
from rig.key_formats import FORMS, Key, Text, texts
from rig.machine import CHECKOUT
from rig.one_time_password import Authenticator
from rig.user import User


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    # How the text looks: KEY stands for the key, other capitals and … for anything.
    forms: tuple[str, ...]
    format: str | None
    options: tuple[str, ...]
    result: str

    @classmethod
    def of(cls, line: str) -> "Row":
        name, form, call, result = (cell.strip() for cell in line.strip("| ").split(" | "))
        words = re.findall(r"`([^`]+)`", call)
        options = tuple(word for option in words[1:] for word in option.split())
        forms = tuple(span.replace("``", "") for span in re.findall(r"`([^`]+)`", form))
        return cls(name, forms, words[0] if words else None, options, result)

    @property
    def is_read(self) -> bool:
        return self.result.startswith("read")

    @property
    def refusal(self) -> str:
        return re.fullmatch(r"refused: (.+)", self.result)[1]

    @property
    def remarks(self) -> list[str]:
        """The words that remarks or questions contain."""
        return re.findall(r"`([^`]+)`", self.result.partition("; ")[2])

    @functools.cached_property
    def device(self) -> dict:
        """The device as `--json` shows it, and its counter; a time-based one with the usual properties by default."""
        device = {"type": "totp", "algorithm": "sha1", "digits": 6, "period": 30, "offset_steps": 0, "counter": None}
        properties = re.fullmatch(r"read(?:: ([^;]+))?(?:; (?:remark on|asks for) .+)?", self.result)[1]
        for part in properties.split(", ") if properties else []:
            words = part.split()
            match words:
                case [name] if name.startswith("SHA-"):
                    device["algorithm"] = name.replace("-", "").lower()
                case [number, ("digits" | "seconds") as unit]:
                    device["digits" if unit == "digits" else "period"] = int(number)
                case ["counter", number]:
                    device |= {"type": "hotp", "period": None, "offset_steps": None, "counter": int(number)}
                case ["clock", number, "steps", "ahead"]:
                    device["offset_steps"] = int(number)
                case _:
                    raise ValueError(f"{self.name}: {part}")
        return device


def rows() -> list[Row]:
    section = (CHECKOUT / "pam/migration.md").read_text().partition("\n## Formats of keys\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ") and "`--from`" not in line]
    return [Row.of(line) for line in lines]


ROWS = rows()


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of `twofactor import` for a text."""

    status: int
    stdout: str
    stderr: str
    key: Key

    def differences(self, row: Row) -> list[str]:
        """The differences from the row."""
        if not row.is_read:
            return [
                *([f"exit status {self.status}"] if self.status != UNUSABLE else []),
                *([f"the message is {self.stderr}"] if row.refusal not in self.stderr else []),
                *(["the message contains the key"] if self.key.base32 in self.stderr + self.stdout else []),
            ]
        if self.status != DONE:
            return [self.stderr]
        answer = json.loads(self.stdout)
        number = re.search(r"&counter=(\d+)", answer["uri"])
        found = answer["device"] | {"counter": int(number[1]) if number else None}
        unnamed = {name for name in row.remarks if name.lower() not in self.stderr.lower()}
        return [
            *(f"{name} is {found[name]}" for name, value in row.device.items() if found[name] != value),
            *(["the key is another one"] if answer["secret"] != self.key.base32 else []),
            *([f"no remark names {unnamed}"] if unnamed else []),
            *([f"it remarks {self.stderr}"] if self.stderr and not row.remarks else []),
        ]


@pytest.fixture
def importing(user, tmp_path):
    """Imports a text over the enrollment of the user."""

    def run(row: Row, key: Key, text: Text, *options: str) -> Outcome:
        path = tmp_path / "text"
        path.write_bytes(text.content)
        words = ("import", "--user", user.name, "--force", "--yes", "--json", *row.options, *options, str(path))
        done = twofactor(*words, answers=text.answers, status=None)
        return Outcome(done.returncode, done.stdout, done.stderr.replace(str(path), "text"), key)

    return run


PLACEHOLDER = re.compile("KEY|USER|HOST|SERIAL|NAME|ID|PIN|COUNTER|…")


def shows(text: Text, form: str) -> bool:
    """Whether the form of a row is in the text."""
    pattern = ".+?".join(map(re.escape, PLACEHOLDER.split(form)))
    content = text.content
    decoded = content.decode("utf-16" if content.startswith(b"\xff\xfe") else "utf-8", "replace")
    return re.search(pattern, decoded) is not None


def test_each_row_has_a_text_and_each_text_a_row():
    names = [row.name for row in ROWS]
    assert sorted(names) == sorted(FORMS), set(names) ^ set(FORMS)
    assert len(ROWS) > 70


def test_each_text_looks_as_its_row_says(user):
    wrong = []
    for row in ROWS:
        _, all_texts = texts(row.name, user.name)
        wrong += [f"{row.name}: {form}" for form in row.forms if not any(shows(text, form) for text in all_texts)]
    assert wrong == []


def test_each_row_is_true(user, importing, service):
    name, wrong, tried = service(), [], set()
    for row in ROWS:
        key, all_texts = texts(row.name, user.name)
        for text in all_texts:
            outcome = importing(row, key, text)
            wrong += [f"{row.name}: {difference}" for difference in outcome.differences(row)]
            if row.format:
                named = importing(row, key, text, "--from", row.format)
                if named.differences(row) or named.stderr != outcome.stderr:
                    wrong.append(f"{row.name}: with --from {row.format}: {named.stderr or named.stdout}")
        if row.is_read and outcome.status == DONE and row.format not in tried:
            tried.add(row.format)
            result = user.log_in(name, code(row, key), at=START).result
            wrong += [] if result == Result.SUCCESS else [f"{row.name}: the login failed"]
    assert wrong == [], "\n".join(wrong)
    assert tried == set(formats()), "no row reads one of the formats"


def formats() -> list[str]:
    """The names for --from."""
    found = re.search(r"--from <format>\s.*?\(values: ([^)]+)", help_of("import"), re.DOTALL)
    return re.split(r",\s+", found[1].partition(";")[0].strip())


def code(row: Row, key: Key) -> str:
    """A code of the device that the row describes."""
    device = row.device
    app = Authenticator(key.secret, device["algorithm"], device["digits"], device["period"] or 30)
    if device["type"] == "hotp":
        return app.code_for_counter(device["counter"])
    return app.code_at(START, device["offset_steps"])


MISTAKES = [
    ("read: SHA-256, 8 digits, 60 seconds", "read: SHA-256, 8 digits"),
    ("read: 8 digits, counter 40", "read: 8 digits, counter 41"),
    ("read", "read: 8 digits"),
    ("read; remark on `creator`", "read"),
    ("read; remark on `creator`", "read; remark on `image`"),
    ("read", "refused: the key is not Base32"),
    ("refused: ", "refused: something else"),
    ("refused: ", "read"),
]


@pytest.mark.parametrize(("result", "mistake"), MISTAKES)
def test_a_wrong_row_is_found(user, importing, result, mistake):
    row = next(row for row in ROWS if row.result == result or result == "refused: " and not row.is_read)
    key, all_texts = texts(row.name, user.name)
    outcome = importing(row, key, all_texts[0])
    assert outcome.differences(row) == [] != outcome.differences(dataclasses.replace(row, result=mistake))
