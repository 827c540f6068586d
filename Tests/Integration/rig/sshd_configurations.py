"""Random sshd configurations, with every syntax and every place of lines and blocks that sshd_config(5) allows."""

import random
from dataclasses import dataclass, field

FLAGS = (
    "KbdInteractiveAuthentication", "ChallengeResponseAuthentication", "PasswordAuthentication", "PubkeyAuthentication",
    "HostbasedAuthentication", "GSSAPIAuthentication", "KerberosAuthentication", "PermitEmptyPasswords",
)
# Not in Match blocks.
GLOBAL_FLAGS = ("UsePAM", "UseDNS")
ROOT_LOGIN = ("yes", "no", "prohibit-password", "without-password", "forced-commands-only")
METHODS = ("publickey", "password", "keyboard-interactive", "keyboard-interactive:pam", "hostbased", "gssapi-with-mic")
ADDRESSES = (
    "10.0.0.0/8", "10.1.2.3", "192.168.*", "192.168.1.0/24,!192.168.1.1", "*,!198.51.100.0/24", "2001:db8:1::/48",
    "172.16.0.0/12,2001:db8:2::*", "203.0.113.?", "0.0.0.0/0", "!10.0.0.1,10.0.0.0/30",
)
HOSTS = ("*.example.org", "gate.EXAMPLE.org", "!bad.example.org,*.org", "unknown.*")


@dataclass
class Configuration:
    """Files of /etc/ssh, and the marks of the blocks whose values doctor uses."""

    files: dict[str, str] = field(default_factory=dict)
    marks: list[str] = field(default_factory=list)


class Generator:
    def __init__(self, seed: int, users: list[str], groups: list[str]) -> None:
        self.random = random.Random(seed)
        self.users = users
        self.groups = groups
        self.configuration = Configuration()
        self.names = iter(range(1_000))

    def make(self) -> Configuration:
        lines = self.body(depth=0, inside=False)
        at_end = self.random.random() < 0.3
        for index in range(self.random.randrange(4)):
            self.configuration.files[f"sshd_config.d/{index}0.conf"] = self.text(self.body(depth=3, inside=at_end))
        include = self.random.choice(["Include sshd_config.d/*.conf", "Include /etc/ssh/sshd_config.d/?0.con[f]"])
        lines.insert(len(lines) if at_end else 0, include)
        self.configuration.files["sshd_config"] = self.text(lines)
        return self.configuration

    def body(self, depth: int, inside: bool) -> list[str]:
        lines = self.settings(depth, inside)
        for _ in range(self.random.choice([0, 1, 1, 2, 3] if depth < 3 else [0, 0, 1])):
            lines.append(self.match())
            mark = f"MARK_{len(self.configuration.marks)}"
            lines.append(f"AcceptEnv {mark}")
            self.configuration.marks.append(mark)
            # A setting that makes the block matter.
            lines += [self.flag(self.random.choice(FLAGS)), *self.settings(depth, True)]
        return lines

    def settings(self, depth: int, inside: bool) -> list[str]:
        lines = []
        for _ in range(self.random.randrange(5)):
            kind = self.random.randrange(10)
            if kind < 5:
                lines.append(self.flag(self.random.choice(FLAGS)))
            elif kind == 5:
                lines.append(self.line("PermitRootLogin", self.random.choice(ROOT_LOGIN)))
            elif kind == 6 and depth < 3:
                lines.append(self.include(depth, inside))
            elif kind == 7 and not inside:
                lines.append(self.flag(self.random.choice(GLOBAL_FLAGS)))
            elif kind == 8:
                other = "Banner none" if inside else "PrintMotd no"
                lines.append(self.random.choice(["", "# PasswordAuthentication no", "   ", other]))
            else:
                lines.append(self.methods())
        return lines

    def methods(self) -> str:
        if self.random.random() < 0.1:
            # OpenSSH 9.2 rejects "any" after another line.
            return ""
        count = self.random.randrange(1, 4)
        lists = [",".join(self.random.sample(METHODS, self.random.randrange(1, 4))) for _ in range(count)]
        return self.line("AuthenticationMethods", " ".join(lists), quote=len(lists) == 1)

    def include(self, depth: int, inside: bool) -> str:
        name = f"more/{next(self.names)}.conf"
        self.configuration.files[name] = self.text(self.body(depth + 1, inside))
        pattern = self.random.choice([name, f"/etc/ssh/{name}", f'"{name}" more/absent-*.conf'])
        return self.line("Include", pattern, quote=False)

    def flag(self, keyword: str) -> str:
        return self.line(keyword, self.random.choice(["yes", "no", "Yes", "NO"]))

    def line(self, keyword: str, value: str, quote: bool = True) -> str:
        keyword = self.random.choice([keyword, keyword.lower(), keyword.upper()])
        if quote and self.random.random() < 0.2:
            value = f'"{value}"'
        separator = self.random.choice([" ", "  ", "\t", "=", " = ", " ="])
        end = self.random.choice(["", "", " ", " # comment", "\t", "\r"])
        return self.random.choice(["", "", "  ", "\t"]) + keyword + separator + value + end

    def match(self) -> str:
        if self.random.random() < 0.1:
            return self.random.choice(["Match all", "match ALL # everyone"])
        criteria = []
        kinds = ["user", "group", "address", "host", "localaddress", "localport"]
        for kind in self.random.sample(kinds, self.random.choice([1, 1, 1, 2, 3])):
            criteria.append(self.random.choice([kind, kind.capitalize()]) + " " + self.value(kind))
        return self.random.choice(["Match ", "match ", "MATCH\t", "Match="]) + " ".join(criteria)

    def value(self, kind: str) -> str:
        pick = self.random.choice
        match kind:
            case "user":
                name, other = self.random.sample(self.users, 2)
                patterns = [name, f"{name},{other}", f"*,!{name}", name[:-1] + "?", f"!{name},{name[:2]}*"]
                return pick([*patterns, f'"{name}"', "no-such-user"])
            case "group":
                name, other = self.random.sample(self.groups, 2)
                return pick([name, f"{other},{name}", f"*,!{name}", name[:-1] + "*", f'"{name}"'])
            case "address" | "localaddress":
                return pick(ADDRESSES)
            case "host":
                return pick(HOSTS)
            case _:
                return pick(["22", "2222", "65535"])

    @staticmethod
    def text(lines: list[str]) -> str:
        return "\n".join(lines) + "\n"
