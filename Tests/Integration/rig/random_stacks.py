"""Random PAM services of pam_debug.so, which returns what its arguments say: every feature of pam.conf(5)."""

import random
import re
from collections import Counter
from dataclasses import dataclass, field

from .machine import modules_directory

RESULTS = (
    "success open_err symbol_err service_err system_err buf_err perm_denied auth_err cred_insufficient "
    "authinfo_unavail user_unknown maxtries new_authtok_reqd acct_expired session_err cred_unavail cred_expired "
    "cred_err no_module_data conv_err authtok_err authtok_recover_err authtok_lock_busy authtok_disable_aging "
    "try_again ignore abort authtok_expired module_unknown bad_item conv_again incomplete"
).split()
ACTIONS = ("ok", "done", "bad", "die", "ignore", "reset")
SIMPLE = ("required", "requisite", "sufficient", "optional")

# Longer lines are several to libpam 1.5 and one to 1.7.
LONGEST_LINE = 1022


@dataclass
class Tree:
    """Files of a host, and the services to ask."""

    files: dict[str, bytes] = field(default_factory=dict)
    services: list[str] = field(default_factory=list)
    # Services for which libpam reads uninitialized memory, or whose lines depend on its release.
    undefined: set[str] = field(default_factory=set)

    def reached(self, service: str) -> str:
        """The text of a service and of the files of the same number, which it may include."""
        stem = service.split("-")[0]
        paths = [path for path in self.files if path.split("/")[-1].split("-")[0] in (stem, "other", "pam.conf")]
        return "\n".join(f"{path}: {self.files[path]!r}" for path in sorted(paths) if len(self.files[path]) < 1 << 16)


class Generator:
    """Writes trees from a seed and counts the features that it uses."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.used: Counter[str] = Counter()

    def chance(self, probability: float, feature: str | None = None) -> bool:
        happens = self.random.random() < probability
        if happens and feature:
            self.used[feature] += 1
        return happens

    def pick(self, **weights: float) -> str:
        return self.random.choices(list(weights), list(weights.values()))[0]

    def cased(self, word: str) -> str:
        if not self.chance(0.06, "upper case"):
            return word
        return "".join(self.random.choice((letter, letter.upper())) for letter in word)

    def blank(self) -> str:
        return self.random.choice((" ", "\t", "  ", " \t "))

    # Control values

    def jump(self, ahead: int) -> str:
        kind = self.pick(near=10, exact=3, far=2, huge=0.5, zero=0.4, padded=0.5)
        self.used[f"jump {kind}"] += 1
        return {
            "near": str(self.random.randint(1, 3)),
            "exact": str(max(1, ahead + self.random.randint(-1, 1))),
            "far": str(self.random.randint(4, 40)),
            "huge": self.random.choice(("1000000", "2147483647")),
            "zero": self.random.choice(("0", "00")),
            "padded": f"0{self.random.randint(1, 3)}",
        }[kind]

    def action(self, ahead: int) -> str:
        word = self.pick(jump=4, ok=4, ignore=4, done=3, bad=2, die=2, reset=1.5)
        self.used[f"action {word}"] += 1
        return self.jump(ahead) if word == "jump" else word

    def pair(self, ahead: int, likely: str) -> str:
        kind = self.pick(right=60, wrong=1.2)
        value = self.random.choice((likely, likely, "success", "default", "default", "ignore", *RESULTS))
        self.used[f"value {value}"] += 1
        if kind == "wrong":
            self.used["wrong pair"] += 1
            return self.random.choice((
                "succes=ok", "success=fine", "success", "success=", "=ok", "success:ok", "Success=ok", "success=OK",
                "ok=success", "authtok_recovery_err=ok", "success=ok2", "success=-1", "success=1x", "default", "9=ok",
                "success==ok", "success=ok,default=bad",
            ))
        odd = self.chance(0.08, "odd spacing")
        equals = self.random.choice((" =", "= ", "\t=\t", " = ", "=\v", "=\r")) if odd else "="
        return f"{value}{equals}{self.action(ahead)}"

    def control(self, ahead: int, likely: str) -> str:
        if self.chance(0.55):
            word = self.random.choice(SIMPLE)
            self.used[word] += 1
            return f"[{word}]" if self.chance(0.02, "simple control in brackets") else self.cased(word)
        kind = self.pick(brackets=60, empty=0.6, word=0.6, unclosed=0.4, bare=0.6)
        self.used[f"control in {kind}"] += 1
        if kind == "empty":
            return self.random.choice(("[]", "[ ]"))
        if kind == "word":
            return self.random.choice(("require", "must", "sufficent", "required,", "1", "=", "ok"))
        pairs = [self.pair(ahead, likely) for _ in range(self.random.choice((1, 2, 2, 2, 3, 3, 4, 6)))]
        if self.chance(0.12, "duplicate value"):
            pairs.append(f"{pairs[0].split('=')[0].strip() or 'success'}={self.action(ahead)}")
        self.random.shuffle(pairs)
        if kind == "bare":
            return pairs[0].translate({9: None, 11: None, 13: None, 32: None})
        glue = "" if self.chance(0.05, "pairs without blanks") else " "
        text = glue.join(pairs)
        if self.chance(0.05, "blanks in brackets"):
            text = f" {text}\t"
        return f"[{text}" if kind == "unclosed" else f"[{text}]"

    # Modules

    def result(self) -> str:
        value = self.pick(success=48, ignore=10, auth_err=10, other=32)
        value = self.random.choice(RESULTS) if value == "other" else value
        self.used[f"returns {value}"] += 1
        return value

    def module(self) -> tuple[str, str]:
        """A module with its arguments, and the result that it will probably return."""
        kind = self.pick(
            debug=80, permit=2, deny=2, missing=3, absolute=3, gone=1, climbing=1, bracketed=2, nameless=0.3
        )
        self.used[f"module {kind}"] += 1
        if kind in ("permit", "deny"):
            return f"pam_{kind}.so", "success" if kind == "permit" else "auth_err"
        if kind == "missing":
            names = ("pam_missing.so", "pam_debug", "PAM_DEBUG.so", "pam_debug.so.", "sub/pam_debug.so", "pam_none.so")
            return f"{self.random.choice(names)} auth=success", "module_unknown"
        if kind == "nameless":
            return self.random.choice(("pam_debug.so/", "?", ".so", "[]", "/")), "abort"
        name = {
            "absolute": f"{modules_directory()}/pam_debug.so",
            "gone": f"{modules_directory()}/pam_gone.so",
            "climbing": "../security/pam_debug.so",
            "bracketed": "[pam_debug.so]",
        }.get(kind, "pam_debug.so")
        return self.arguments(name)

    def arguments(self, name: str) -> tuple[str, str]:
        returned = self.result()
        words = [f"auth={returned}"]
        kind = self.pick(plain=60, twice=2, wrong=2, absent=4, bracketed=2, grouped=2, escaped=1, others=6)
        self.used[f"arguments {kind}"] += 1
        if kind == "twice":
            words.append(f"auth={self.result()}")
        elif kind == "wrong":
            word = self.random.choice(("auth=", "auth=SUCCESS", "Auth=auth_err", "auth", "auth=7", "xauth=auth_err"))
            words, returned = [word], "success"
        elif kind == "absent":
            words, returned = [], "success"
        elif kind == "bracketed":
            words = [f"[{words[0]}]"]
        elif kind == "grouped":
            words, returned = [f"[{words[0]} cred=success]"], "success"
        elif kind == "escaped":
            words = ["[a\\]b]", *words]
        elif kind == "others":
            words = ["debug", f"acct={self.random.choice(RESULTS)}", *words]
        if self.chance(0.4, "cred="):
            words.append(f"cred={self.random.choice(('success', 'success', 'ignore', *RESULTS))}")
        return " ".join([name, *words]), returned

    # Lines

    def facility(self) -> str:
        kind = self.pick(auth=80, other=9, silent=6, illegal=0.9)
        self.used[f"type {kind}"] += 1
        if kind == "other":
            return self.random.choice(("account", "session", "password", "-session", "ACCOUNT"))
        if kind == "silent":
            return "-" + self.cased("auth")
        if kind == "illegal":
            types = ("autho", "auth:", "--auth", "-", "[]", "@includes", "required", "a", "[auth] [required]x")
            return self.random.choice(types)
        return self.cased("auth")

    def rule(self, ahead: int) -> str:
        kind = self.pick(whole=60, no_control=0.25, no_module=0.25)
        self.used[f"rule {kind}"] += 1
        facility = self.facility()
        if kind == "no_control":
            return facility
        module, likely = self.module()
        control = self.control(ahead, likely)
        if kind == "no_module":
            return facility + self.blank() + control
        return facility + self.blank() + control + self.blank() + module

    def line(self, text: str) -> bytes:
        """The rule as it is in a file: continued, with a comment, padded."""
        if self.chance(0.06, "continued line"):
            places = [index for index, letter in enumerate(text) if letter in " \t"]
            if places:
                at = self.random.choice(places)
                end, start = self.random.choice(("", " ", "\t ")), self.random.choice(("", "  "))
                text = f"{text[:at]} \\{end}\n{start}{text[at + 1:]}"
        if self.chance(0.05, "indented line"):
            text = self.blank() + text
        if self.chance(0.05, "comment after a rule"):
            text += self.random.choice((" # auth=auth_err", "#", " # \\"))
        elif "\n" not in text and self.chance(0.02, "long line"):
            length = self.random.choice((500, 1000, LONGEST_LINE - 1, LONGEST_LINE))
            text += " " + "x" * (length - len(text) - 1)
        elif "\n" not in text and self.chance(0.02, "NUL byte"):
            at = self.random.randrange(len(text) + 1)
            text = text[:at] + "\0" + self.random.choice(("", text[at:], " # \\"))
        elif self.chance(0.02, "bytes that are no text"):
            return text.encode() + b" \xff\xfe=\xc3\n"
        end = "\r\n" if len(text) < 500 and self.chance(0.02, "CR LF line") else "\n"
        return text.encode() + end.encode()

    def noise(self) -> bytes:
        self.used["comments and blank lines"] += 1
        return self.random.choice((
            b"#\n", b"# auth required pam_deny.so\n", b"\n", b" \t\n", b"  # auth required pam_deny.so \\\n",
            b"#%PAM-1.0\n", b"\0auth required pam_deny.so\n",
        ))

    # Files

    def stack(self, targets: list[str], *, most: int = 7, prefix: str = "") -> bytes:
        """The text of a file that may include others; `prefix` is the first word of lines of pam.conf."""
        count = self.random.choice((0, 1, 1, 2, 2, 3, 3, 4, 5, most)) or self.random.choice((0, 1))
        text = b""
        for index in range(count):
            if self.chance(0.12):
                text += self.noise()
            if targets and self.chance(0.22):
                rule = self.include(self.random.choice(targets))
            else:
                rule = self.rule(count - index - 1)
            text += self.line(prefix + rule)
        if count and self.chance(0.03, "no newline at the end"):
            text = text.removesuffix(b"\n")
        return text

    def include(self, target: str) -> str:
        kind = self.pick(include=10, substack=10, at=4)
        missing = self.chance(0.04, "include of a missing file")
        target = "missing" if missing else target
        if self.chance(0.08, "include by absolute path"):
            target = f"/etc/pam.d/{target}"
        elif self.chance(0.04, "include by climbing path"):
            target = f"../pam.d/{target}"
        if kind == "at":
            self.used["@include"] += 1
            silent = "-" if self.chance(0.05, "-@include") else ""
            return f"{silent}{self.cased('@include')}{self.blank()}{target}"
        self.used[kind] += 1
        facility = self.facility() if self.chance(0.2) else "auth"
        return f"{facility}{self.blank()}{self.cased(kind)}{self.blank()}{target}"

    def family(self, tree: Tree, folder: str, name: str, *, depth: int) -> None:
        """A service with the files that it includes, each of which is a service, too."""
        names = [name, *(f"{name}-{letter}" for letter in "abcdef"[:depth])]
        for index, each in enumerate(names):
            tree.files[f"{folder}/{each}"] = self.stack(names[index + 1 :])
            tree.services.append(each)

    def special(self, tree: Tree, folder: str, name: str, kind: str) -> None:
        """A service with a feature that is too rare in random lines, or that few services may have."""
        self.used[f"special {kind}"] += 1
        path = f"{folder}/{name}"
        before, after = self.stack([], most=3).rstrip(b"\n") + b"\n", self.stack([], most=3)
        if kind == "unfinished":
            tree.files[path] = before + b"auth required pam_debug.so \\" + self.random.choice((b"", b"\n", b"\t\n"))
        elif kind == "no-target":
            word = self.random.choice((b"@include", b"auth include", b"auth substack", b"session include"))
            tree.files[path] = before + word + b"\n" + after
        elif kind == "loop":
            tree.files[path] = before + f"auth include {name}\n".encode() + after
        elif kind == "substack-loop":
            tree.files[path] = before + f"auth substack {name}\n".encode() + after
        elif kind == "deep":
            # Substacks of 14 to 17 levels: libpam's bound is 16.
            levels = self.random.randint(14, 17)
            for level in range(levels):
                end = f"auth substack {name}-{level}\n".encode()
                tree.files[path if level == 0 else f"{path}-{level - 1}"] = self.stack([], most=1) + end
                tree.services.append(f"{name}-{level}")
            tree.files[f"{path}-{levels - 1}"] = b"auth required pam_debug.so\n"
        elif kind == "interrupted":
            # The releases of libpam differ in a comment between continued lines.
            tree.files[path] = before + b"auth required \\\n# \n pam_debug.so\n" + after
            tree.undefined.add(name)
        elif kind == "overlong":
            continued = self.random.choice((b"", b"\\\n", b"x" * 500 + b" \\\n"))
            line = b"auth required pam_debug.so " + continued + b"x" * 500 + b" "
            tree.files[path] = before + line + b"x" * (LONGEST_LINE - 500) + b"\n" + after
            tree.undefined.add(name)
        elif kind == "binary":
            tree.files[path] = self.random.randbytes(200) + b"\n" + after
        elif kind == "other-facilities":
            tree.files[path] = b"account required pam_permit.so\nsession required pam_permit.so\n"
        tree.services.append(name)

    # Trees

    def other(self, kind: str) -> dict[str, bytes]:
        """A service `other` that libpam accepts, or none."""
        self.used[f"other {kind}"] += 1
        texts = {
            "deny": b"auth required pam_deny.so\n",
            "permit": b"auth required pam_permit.so\n",
            "random": b"auth optional pam_debug.so auth=success\n"
            + b"".join(b"auth %s pam_debug.so auth=%s\n" % (self.random.choice(SIMPLE).encode(), self.result().encode())
                       for _ in range(2)),
            "facilities": b"account required pam_permit.so\n",
        }
        return {"etc/pam.d/other": texts[kind]} if kind in texts else {}

    def folder_tree(self, families: int, other: str) -> Tree:
        """Services in /etc/pam.d."""
        tree = Tree(self.other(other))
        for number in range(families):
            self.family(tree, "etc/pam.d", f"s{number}", depth=2)
        for kind in SPECIAL:
            self.special(tree, "etc/pam.d", f"x{kind}", kind)
        tree.files["etc/pam.d/Unreachable"] = b"auth required pam_permit.so\n"
        return tree

    def two_folder_tree(self, families: int, *, only_vendor: bool) -> Tree:
        """Services in /usr/lib/pam.d, and unless `only_vendor` in /etc/pam.d too."""
        self.used["/usr/lib/pam.d" + (" alone" if only_vendor else "")] += 1
        tree = Tree()
        folders = ("usr/lib/pam.d",) if only_vendor else ("etc/pam.d", "usr/lib/pam.d")
        for number in range(families):
            self.family(tree, self.random.choice(folders), f"s{number}", depth=2)
            if not only_vendor and self.chance(0.3, "service in both folders"):
                tree.files[f"etc/pam.d/s{number}"] = self.stack([f"s{number}-a"])
                tree.files[f"usr/lib/pam.d/s{number}"] = self.stack([])
        tree.files[f"{self.random.choice(folders)}/other"] = b"auth requisite pam_debug.so auth=perm_denied\n"
        return tree

    def single_file_tree(self, families: int) -> Tree:
        """Services in pam.conf, which libpam reads only without the folders."""
        self.used["pam.conf"] += 1
        tree = Tree()
        lines = []
        for number in range(families):
            name = f"s{number}"
            tree.files[f"etc/stacks/{name}-a"] = self.stack([])
            tree.services.append(name)
            targets = [f"/etc/stacks/{name}-a", f"{name}-a"]
            text = self.stack(targets, prefix=f"{self.cased(name)}{self.blank()}").split(b"\n")
            lines.append(b"\n".join(text))
        self.random.shuffle(lines)
        tree.files["etc/pam.conf"] = b"\n".join(lines) + b"\nOther auth optional pam_debug.so\n"
        return tree

    def broken_other_tree(self, text: bytes) -> Tree:
        """Services beside an `other` for which libpam rejects all of them."""
        self.used["broken other"] += 1
        tree = Tree({"etc/pam.d/other": text})
        for number in range(5):
            self.family(tree, "etc/pam.d", f"s{number}", depth=1)
        return tree

    def trees(self) -> list[Tree]:
        """Some six thousand services in all kinds of trees."""
        return [
            *(self.folder_tree(110, other) for other in ("deny", "permit", "random", "facilities", "none") * 3),
            *(self.two_folder_tree(60, only_vendor=only) for only in (False, False, True)),
            *(self.single_file_tree(150) for _ in range(3)),
            self.folder_and_file_tree(),
            *(
                self.broken_other_tree(text)
                for text in (b"@include missing\n", b"auth required pam_permit.so \\", b"auth required /\n")
            ),
        ]

    def folder_and_file_tree(self) -> Tree:
        """A folder, and a pam.conf that libpam therefore ignores."""
        self.used["pam.conf that is ignored"] += 1
        tree = self.folder_tree(5, "deny")
        tree.files["etc/pam.conf"] = b"s0 auth required pam_permit.so\n" + self.stack([])
        return tree


class AccountGenerator(Generator):
    """Writes account stacks, without lines that libpam rejects."""

    FLAWS = {"empty", "word", "unclosed", "bare", "no_control", "no_module", "nameless", "illegal", "zero"}
    FLAWED = {
        "NUL byte", "CR LF line", "long line", "include of a missing file", "simple control in brackets", "-@include",
        "include by climbing path",
    }

    def pick(self, **weights: float) -> str:
        return super().pick(**{kind: 0 if kind in self.FLAWS else weight for kind, weight in weights.items()})

    def chance(self, probability: float, feature: str | None = None) -> bool:
        return feature not in self.FLAWED and super().chance(probability, feature)

    def pair(self, ahead: int, likely: str) -> str:
        if self.random.random() < 0.3:
            value = self.random.choice(("success", "new_authtok_reqd", "acct_expired", "user_unknown", "default"))
            return f"{value}={self.action(ahead)}"
        return f"{likely if likely in RESULTS else 'default'}={self.action(ahead)}"

    def facility(self) -> str:
        return super().facility().replace("account", "session").replace("ACCOUNT", "password")

    def include(self, target: str) -> str:
        return self.renamed(super().include(target))

    def rule(self, ahead: int) -> str:
        return self.renamed(super().rule(ahead))

    def arguments(self, name: str) -> tuple[str, str]:
        text, returned = super().arguments(name)
        # Swaps the results of both facilities.
        return re.sub(r"\b(auth|acct)=", lambda name: "acct=" if name[1] == "auth" else "auth=", text), returned

    @staticmethod
    def renamed(line: str) -> str:
        return re.sub(r"(?i)^(-?)auth\b", r"\1account", line)

    def account_trees(self) -> list[Tree]:
        """About two thousand services with the same auth stack."""
        trees = []
        for _ in range(5):
            tree = Tree({"etc/pam.d/other": b"account required pam_deny.so\n"})
            for number in range(130):
                self.family(tree, "etc/pam.d", f"s{number}", depth=2)
            # The files that the services include check no passwords.
            for service in tree.services:
                tree.files[f"etc/pam.d/x{service}"] = b"auth include common-auth\n" + tree.files[f"etc/pam.d/{service}"]
            tree.services = [f"x{service}" for service in tree.services]
            trees.append(tree)
        return trees


SPECIAL = (
    "unfinished", "no-target", "loop", "substack-loop", "deep", "interrupted", "overlong", "binary", "other-facilities"
)
