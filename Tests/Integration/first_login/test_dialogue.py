"""Enrollment at login with broken and hostile programs in place of `twofactor`.

The module must survive every program: it passes no control character to the conversation, returns in time with the
right status, writes one log line, and leaves no process and no change of the host program.
"""

import concurrent.futures
import contextlib
import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
from rig.harness import FAILURE, NULL, PAM_SILENT, Result
from rig.machine import COMMAND
from rig.process import run

# The module prefers this program to that of the tests in /usr/local/bin.
PROGRAM = Path("/usr/bin/twofactor")
PLAYS = Path("/run/dialogue")

# In the services of these tests, PAM_IGNORE leads to pam_deny, which returns PAM_AUTH_ERR.
ENROLLED, DENIED, IGNORED = Result.SUCCESS, Result.PERM_DENIED, Result.AUTH_ERR

PLAYER = f"""#!/usr/bin/python3 -IS
import os, pwd, signal, socket, sys, time
def write(data):
    while data:
        data = data[os.write(1, data):]
def read():
    line = b""
    while not line.endswith(b"\\n"):
        byte = os.read(0, 1)
        if not byte:
            break
        line += byte
    return line
user = pwd.getpwuid(os.getuid())
exec(open("{PLAYS}/" + user.pw_name).read())
"""


@pytest.fixture(scope="module", autouse=True)
def player(products):
    """The program, which runs the statements that a test wrote for the user."""
    PLAYS.mkdir()
    PROGRAM.write_text(PLAYER)
    PROGRAM.chmod(0o755)
    yield
    PROGRAM.unlink()
    shutil.rmtree(PLAYS)


def play(user, *statements: str):
    """Sets what the program does for a user."""
    (PLAYS / user.name).write_text("".join(line + "\n" for line in statements))
    return user


@pytest.fixture(params=["offer", "require"])
def mode(request) -> str:
    return request.param


@pytest.fixture
def at_login(harness):
    """Writes a service with enrollment at login, and returns its name."""

    def make(mode: str, *arguments: str) -> str:
        words = " ".join(("pam_twofactor.so", f"enroll={mode}", *arguments))
        control = "[success=done ignore=ignore default=die]"
        return harness.service(
            f"enroll-{mode}-{len(arguments)}", f"auth required {words}", "auth required pam_permit.so",
            f"account {control} {words}", "account required pam_deny.so",
        )  # fmt: skip

    return make


ONE_LOGIN = dict(account=True, tty="/dev/pts/1")


def not_made(mode: str, detail: str) -> tuple[Result, str]:
    """The result and the log line of an account phase whose enrollment fails."""
    if mode == "require":
        return DENIED, f'denied reason=not-enrolled detail="{detail}"'
    return IGNORED, f'accepted method=exempt detail="{detail}"'


def fields(message) -> str:
    """A log line of the account phase without its common part."""
    return re.sub(r"^pam_twofactor\([^)]*:account\): (\w+) user=\S+ rhost=\S+", r"\1", message.text)


def accounts(log, count: int) -> list[str]:
    """Waits for the log lines of `count` logins, and returns those of the account phase."""
    found = log.of_module(2 * count)
    assert len(found) == 2 * count, found
    return sorted(fields(message) for message in found if ":account)" in message.text)


def shown(login) -> list[bytes]:
    return [text for _, text in login.texts]


def require_clean_texts(*logins) -> None:
    """No control character but the line feed reaches the conversation, neither of ASCII nor of C1."""
    for login in logins:
        for text in shown(login):
            rest = text.replace(b"\n", b"")
            assert not re.search(rb"[\x00-\x1f\x7f]|[\x00-\x7f\xc2][\x80-\x9f]", rest), text


def require_no_process(*users) -> None:
    for user in users:
        assert run("pgrep", "-u", user.name, status=None).returncode == 1, user.name


def require_unchanged(*logins) -> None:
    """Signals, descriptors, identity and umask of the host are as before."""
    for login in logins:
        assert login.states["after"] == login.states["before"]


BROKEN = "twofactor did not start, ended early or timed out"
INVALID = "twofactor sent an invalid line"
CONTROLS = [bytes([code]) for code in range(0x20) if code not in b"\t\n"] + [b"\x7f"]
# C1 in UTF-8, and as single bytes.
CONTROLS += [form for code in range(0x80, 0xA0) for form in (chr(code).encode(), bytes([code]))]

# Output of a program that then exits, and the reason in the log.
OUTPUTS = {
    "nothing": (b"", BROKEN),
    "no line end": (b"say text", BROKEN),
    "no last line": (b"say text\n", BROKEN),
    "empty line": (b"\n", INVALID),
    "word without a text": (b"say\n", INVALID),
    "empty text": (b"say \n", INVALID),
    "empty question": (b"ask \n", INVALID),
    "empty reason": (b"done failed \n", INVALID),
    "unknown word": (b"tell text\n", INVALID),
    "unknown end": (b"done\n", INVALID),
    "other case": (b"SAY text\n", INVALID),
    "more than enrolled": (b"done enrolled \n", INVALID),
    "carriage return": (b"done enrolled\r\n", INVALID),
    "NUL in a word": (b"say\0 text\n", INVALID),
    "NUL after the end": (b"done enrolled\0\n", INVALID),
    "over-long line": (b"say " + 8189 * b"x" + b"\n", BROKEN),
    "endless line": (b"say " + 1_000_000 * b"x", BROKEN),
    "only claims": (b"done enrolled\n", "twofactor enabled nothing"),
    "endless messages": (1001 * b"say text\n", "twofactor sent too many lines"),
    "long reason": (b"done failed " + 8000 * b"x" + b"\n", 255 * "x"),
    "reason of two lines": (b"done failed one\ttwo\n", r"one\x0atwo"),
    "control character in the reason": (b"done failed \x1b[2J\n", INVALID),
    **{f"control character {each.hex()}": (b"say a" + each + b"b\n", INVALID) for each in CONTROLS},
}


def test_what_the_program_writes(harness, user, at_login, log, mode):
    # One process, in which each login gets the next output. The rules for characters do not depend on the mode.
    cases = {name: case for name, case in OUTPUTS.items() if mode == "require" or not name.startswith("control ")}
    play(
        user,
        f"outputs = {[output for output, _ in cases.values()]}",
        "path = user.pw_dir + '/played'",
        "played = os.path.getsize(path) if os.path.exists(path) else 0",
        "open(path, 'ab').write(b'x')",
        "write(outputs[played])",
    )
    start = time.monotonic()
    logins = harness.run(at_login(mode), [(user.name, [])], times=len(cases), states=True, **ONE_LOGIN)
    assert time.monotonic() - start < 30
    lines = [fields(message) for message in log.of_module(2 * len(cases)) if ":account)" in message.text]
    for (name, (_, why)), login, line in zip(cases.items(), logins, lines, strict=True):
        assert (Result(login.account), line) == not_made(mode, why), name
    require_clean_texts(*logins)
    require_unchanged(*logins)
    assert logins[-1].states["after"] == logins[0].states["before"]
    require_no_process(user)


def test_the_longest_line_is_one_message(user, at_login):
    play(user, r"write(b'say ' + 8188 * b'x' + b'\n' + b'ask ' + 8187 * b'y' + b'\t\n'); read()")
    login = user.log_in(at_login("require"), "reply", **ONE_LOGIN)
    assert shown(login)[:2] == [8188 * b"x", 8187 * b"y" + b"\n"]


def test_messages_and_questions_reach_the_conversation(user, at_login):
    play(
        user,
        r"write('say Grüße\tzweite Zeile\nask Geheim: \n'.encode()); first = read()",
        r"write(b'ask-echo Sichtbar: \n'); second = read()",
        r"write(b'say ' + (first + second).hex().encode() + b'\ndone declined\n')",
    )
    login = user.log_in(at_login("require"), "a b", "é", **ONE_LOGIN)
    assert login.texts[:4] == [
        ("info", "Grüße\nzweite Zeile".encode()), ("prompt-hidden", b"Geheim: "), ("prompt-shown", b"Sichtbar: "),
        ("info", "a b\né\n".encode().hex().encode()),
    ]  # fmt: skip


# What the user types, and the line that the program gets.
REPLIES = {
    b"": b"",
    b"123 456": b"123 456",
    b"12\x1b[2J": b"12",
    b"12\t3": b"12",
    b"12\n34": b"12",
    b"\x7f": b"",
    b"done enrolled\r": b"done enrolled",
    "é\u009b".encode(): "é\u009b".encode(),
    2000 * b"x": 513 * b"x",
}


def test_a_reply_is_one_line_without_control_characters(user, at_login):
    play(
        user,
        f"for each in range({len(REPLIES)}):",
        r"    write(b'ask Text: \n')",
        r"    write(b'say ' + read().hex().encode() + b'\n')",
        r"write(b'done declined\n')",
    )
    login = user.log_in(at_login("require"), *REPLIES, **ONE_LOGIN)
    echoed = [bytes.fromhex(text.decode()) for kind, text in login.texts[: 2 * len(REPLIES)] if kind == "info"]
    assert echoed == [line + b"\n" for line in REPLIES.values()]


@pytest.mark.parametrize(
    "statement",
    ["os.kill(os.getpid(), signal.SIGKILL)", "os.kill(os.getpid(), signal.SIGSEGV)", "sys.exit(3)", "os.close(0)",
     "socket.socket(fileno=1).shutdown(socket.SHUT_WR)"],
)  # fmt: skip
def test_the_program_ends_after_a_question(user, at_login, log, mode, statement):
    play(user, r"write(b'ask Code: \n'); read()", statement)
    login = user.log_in(at_login(mode), "123456", states=True, **ONE_LOGIN)
    assert [(Result(login.account), line) for line in accounts(log, 1)] == [not_made(mode, BROKEN)]
    require_unchanged(login)
    require_no_process(user)


def test_a_program_that_reads_no_reply(user, at_login, log, mode):
    # The module asks on when the replies have filled the socket buffer: it waits only for the user.
    play(user, r"write(999 * b'ask Code: \n' + b'done declined\n'); time.sleep(1)")
    login = user.log_in(at_login(mode), *(1000 * [500 * "x"]), states=True, **ONE_LOGIN)
    assert login.account == (DENIED if mode == "require" else IGNORED)
    assert login.unanswered == 0 and len(login.prompts) == 999
    require_unchanged(login)
    require_no_process(user)


def test_a_program_that_closed_its_input(user, at_login, log):
    play(user, r"socket.socket(fileno=0).shutdown(socket.SHUT_RD)", r"write(b'ask Code: \ndone enrolled\n')")
    login = user.log_in(at_login("require"), "123456", states=True, **ONE_LOGIN)
    assert login.account == DENIED and accounts(log, 1)[0].startswith("denied reason=")
    require_unchanged(login)


def test_a_user_who_declines(user, at_login, log, mode):
    play(user, r"write(b'ask-echo Now? \n'); read(); write(b'done declined\n')")
    login = user.log_in(at_login(mode), "n", states=True, **ONE_LOGIN)
    if mode == "require":
        assert login.account == DENIED and accounts(log, 1) == ["denied reason=enrollment-declined"]
        assert shown(login)[1:] == [b"Two-factor login is required.", b"To set up two-factor login, log in again."]
        assert [kind for kind, _ in login.texts[1:]] == ["error", "info"]
    else:
        assert login.account == IGNORED and login.texts[1:] == []
    require_unchanged(login)


@pytest.mark.parametrize("reply", [FAILURE, NULL], ids=["failure", "null"])
def test_the_conversation_fails(user, at_login, log, mode, reply):
    play(
        user, r"write(b'ask Code: \n')", "got = read()", "open(user.pw_dir + '/got', 'wb').write(got)",
        r"write(b'done declined\n')",
    )  # fmt: skip
    login = user.log_in(at_login(mode), reply, states=True, **ONE_LOGIN)
    expected = not_made(mode, "no conversation")
    if reply is NULL:
        expected = (DENIED, "denied reason=enrollment-declined") if mode == "require" else (IGNORED, None)
    assert login.account == expected[0]
    if expected[1]:
        assert accounts(log, 1) == [expected[1]]
    assert (user.home / "got").read_bytes() == (b"\n" if reply is NULL else b"")
    require_unchanged(login)
    require_no_process(user)


def test_success_needs_an_enrollment_and_the_word_of_the_program(user, new_user, at_login, log, mode):
    enrolls = "os.mkdir(user.pw_dir + '/.twofactor', 0o700)"
    play(user, enrolls, r"write(b'done enrolled\n')")
    assert user.log_in(at_login(mode), **ONE_LOGIN).account == ENROLLED
    assert accounts(log, 1) == ["accepted method=enrolled"]
    # Another login enrolled these users meanwhile. This login verified no code.
    for last in (r"b'done declined\n'", r"b'done failed text\n'", r"b'say text\n'", r"b'\n'"):
        other = play(new_user(), enrolls, f"write({last})")
        login = other.log_in(at_login(mode), **ONE_LOGIN)
        assert login.account == DENIED
        assert login.texts[-2:] == [
            ("error", b"Two-factor login was set up meanwhile."),
            ("info", b"Two-factor login is on now. Log in again, with a code."),
        ]


def test_no_program_runs_for_others(user, new_user, at_login, log, service):
    ran = "open(user.pw_dir + '/ran', 'w')"
    play(user, ran)
    # Without an authentication.
    login = user.log_in(at_login("require"), authenticate=False, tty="/dev/pts/1")
    assert login.account == IGNORED and login.texts == [] and log.of_module() == []
    # Enrolled; exempt; outside the networks.
    enrolled = play(new_user(), ran)
    code = enrolled.enroll().authenticator.code_at(time.time())
    assert enrolled.log_in(at_login("require"), code, **ONE_LOGIN).account == IGNORED
    assert user.log_in(at_login("require", "only_groups=0"), **ONE_LOGIN).account == IGNORED
    outside = at_login("require", "debug", "enroll_networks=192.0.2.0/24")
    outside = user.log_in(outside, rhost="203.0.113.7", **ONE_LOGIN)
    assert outside.account == DENIED
    assert not (user.home / "ran").exists() and not (enrolled.home / "ran").exists()
    assert log.of_module(4)[-1].text.endswith('reason=not-enrolled detail="outside enroll_networks"')


@contextlib.contextmanager
def without_the_other_program():
    aside = COMMAND.with_name("twofactor-aside")
    COMMAND.rename(aside)
    try:
        yield
    finally:
        aside.rename(COMMAND)


@contextlib.contextmanager
def the_player_as(change):
    content = PROGRAM.read_bytes()
    try:
        change()
        yield
    finally:
        shutil.rmtree(PROGRAM) if PROGRAM.is_dir() else PROGRAM.unlink(missing_ok=True)
        PROGRAM.write_bytes(content)
        PROGRAM.chmod(0o755)


def linked_to_a_copy(owner: str) -> None:
    target = PLAYS / "copy"
    shutil.move(PROGRAM, target)
    shutil.chown(target, owner)
    PROGRAM.symlink_to(target)


MISSING = "twofactor is missing, or others can change it"
PROGRAMS = {
    "missing": (PROGRAM.unlink, MISSING),
    "of a user": (lambda: shutil.chown(PROGRAM, "games"), MISSING),
    "for a group": (lambda: PROGRAM.chmod(0o775), MISSING),
    "for all": (lambda: PROGRAM.chmod(0o757), MISSING),
    "folder": (lambda: (PROGRAM.unlink(), PROGRAM.mkdir()), MISSING),
    "link to a user's": (lambda: linked_to_a_copy("games"), MISSING),
    "not executable": (lambda: PROGRAM.chmod(0o644), BROKEN),
    "no interpreter": (lambda: PROGRAM.write_text("#!/no/such\n"), BROKEN),
    "no program": (lambda: PROGRAM.write_text("text\n"), BROKEN),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that_must_not_run_or_cannot(user, at_login, log, mode, name):
    change, why = PROGRAMS[name]
    play(user, "open(user.pw_dir + '/ran', 'w')", r"write(b'done declined\n')")
    with without_the_other_program(), the_player_as(change):
        login = user.log_in(at_login(mode), states=True, **ONE_LOGIN)
    assert [(Result(login.account), line) for line in accounts(log, 1)] == [not_made(mode, why)]
    assert not (user.home / "ran").exists()
    require_unchanged(login)


def test_a_link_to_a_program_of_root_is_followed(user, at_login):
    play(user, r"write(b'say played\ndone declined\n')")
    with the_player_as(lambda: linked_to_a_copy("root")):
        login = user.log_in(at_login("require"), **ONE_LOGIN)
    assert shown(login)[0] == b"played"
    (PLAYS / "copy").unlink()


# ---- The process of the program

REPORT = (
    "status = open('/proc/self/status').read()",
    "report = [line for line in status.splitlines()"
    " if line.split(':')[0] in ('Uid', 'Gid', 'Groups', 'CapInh', 'CapPrm', 'CapEff', 'CapAmb', 'NoNewPrivs')]",
    # Python itself ignores SIGPIPE and SIGXFSZ, and opened this folder.
    "report += ['Ignored:\\t%x' % (int(status.split('SigIgn:')[1].split()[0], 16) & ~0x1001000)]",
    "report += ['Environment:\\t%s' % sorted(set(os.environ) - {'LC_CTYPE'})]",
    "report += ['Directory:\\t' + os.getcwd()]",
    "report += ['Descriptors:\\t%s' % [fd for fd in range(64) if os.path.exists('/proc/self/fd/%d' % fd)]]",
    "report += ['Socket:\\t%s' % (os.fstat(0).st_ino == os.fstat(1).st_ino)]",
    "report += ['Error:\\t' + os.readlink('/proc/self/fd/2')]",
    "report += ['Session:\\t%s' % (os.getsid(0) == os.getppid())]",
    "report += ['Arguments:\\t' + ' '.join(sys.argv[1:])]",
    r"write(b'say ' + '\t'.join(line.replace('\t', ' ') for line in report).encode() + b'\ndone declined\n')",
)


def reported(login) -> dict[str, str]:
    pairs = (line.partition(":") for line in shown(login)[0].decode().split("\n"))
    return {name: value.strip() for name, _, value in pairs}


def hosts(user, other, harness):
    """Command prefixes of host programs: those of root, as su has it, and the user's own."""
    return {
        "root": (),
        "root with groups": ("setpriv", "--groups=4,24,27"),
        # Set-user-ID programs have the real user ID of their caller.
        "su": ("setpriv", f"--ruid={other.uid}", f"--rgid={other.gid}", f"--groups={other.gid},24"),
        "user": harness.running_as(user),
        "blocked": ("env", "SECRET=1", "sh", "-c", 'umask 077; cd /usr; exec "$@" 7</etc/passwd', "sh"),
    }


@pytest.mark.parametrize("host", ["root", "root with groups", "su", "user", "blocked"])
def test_the_program_runs_as_the_user_alone(harness, new_user, at_login, host):
    user, other = new_user(), new_user()
    run("usermod", "--append", "--groups", "games", user.name)
    play(user, *REPORT)
    under = hosts(user, other, harness)[host]
    login = user.log_in(at_login("require"), states=True, under=under, **ONE_LOGIN)
    assert login.account == DENIED
    require_unchanged(login)
    report = reported(login)
    games = int(run("getent", "group", "games").stdout.split(":")[2])
    assert report["Uid"].split() == 4 * [str(user.uid)]
    assert report["Gid"].split() == 4 * [str(user.gid)]
    expected = set() if host == "user" else {user.gid, games}
    assert set(map(int, report["Groups"].split())) == expected
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb", "Ignored"):
        assert int(report[name], 16) == 0, name
    assert report["NoNewPrivs"] == "0"
    assert report["Environment"] == "[]" and report["Directory"] == "/"
    assert report["Descriptors"] == "[0, 1, 2]" and report["Socket"] == "True" and report["Error"] == "/dev/null"
    assert report["Session"] == "True"
    assert report["Arguments"] == "login-enrollment messages enroll=require"


def test_a_set_user_id_program_of_the_user_starts_none(harness, new_user, at_login, log, mode):
    user, other = new_user(), new_user()
    play(user, "open(user.pw_dir + '/ran', 'w')")
    harness.running_as(user)
    under = ("setpriv", f"--ruid={other.uid}", f"--euid={user.uid}", f"--regid={user.gid}", "--clear-groups")
    login = user.log_in(at_login(mode), states=True, under=under, **ONE_LOGIN)
    expected = not_made(mode, "the application does not run as root")
    assert [(Result(login.account), line) for line in accounts(log, 1)] == [expected]
    assert not (user.home / "ran").exists()
    require_unchanged(login)


@pytest.mark.parametrize(
    ("tty", "flags", "form"),
    [("/dev/pts/1", 0, "messages"), ("ssh", 0, "messages"), ("/dev/pts/1", PAM_SILENT, "questions"), (None, 0, "plain"),
     ("", 0, "plain"), (":0", 0, "plain"), (None, PAM_SILENT, "plain"), (":1", PAM_SILENT, "plain")],
)  # fmt: skip
def test_the_program_is_told_how_to_address_the_user(user, at_login, tty, flags, form):
    play(user, r"write(b'say text\nask ' + ' '.join(sys.argv[1:]).encode() + b'\n'); read(); write(b'done declined\n')")
    login = user.log_in(at_login("require", "debug"), "x", account=True, tty=tty, flags=flags)
    assert login.prompts == [f"login-enrollment {form} enroll=require debug"]
    assert (login.messages == []) == bool(flags)


def test_descriptors_at_the_question(user, at_login):
    play(user, r"write(b'ask Code: \n'); read(); write(b'done declined\n')")
    login = user.log_in(at_login("require"), "123456", states=True, **ONE_LOGIN)
    before, prompt = ({*login.states[when].splitlines()} for when in ("before", "prompt"))
    assert before <= prompt
    (added,) = prompt - before
    assert re.fullmatch(r"Descriptor \d+: socket:\[\d+\]", added)


# ---- Programs that do not end

UNENDED = "twofactor did not end"

# Statements, the reason in the log, the seconds that the login lasts, and the number of processes that stay.
SLOW = {
    "is silent": ("time.sleep(300)", BROKEN, 31, 0),
    "stops itself": ("os.kill(os.getpid(), signal.SIGSTOP)", BROKEN, 31, 0),
    "writes a byte a second": ("while True: write(b's'); time.sleep(1)", BROKEN, 30, 0),
    "ignores the end and SIGTERM": (
        r"signal.signal(signal.SIGTERM, signal.SIG_IGN); write(b'done declined\n'); time.sleep(300)", UNENDED, 10, 0,
    ),
    "claims and does not end": (r"write(b'done enrolled\n'); time.sleep(300)", UNENDED, 10, 0),
    "closes its descriptors": ("os.closerange(0, 3); time.sleep(300)", BROKEN, 31, 0),
    "writes forever": (
        r"""
while True:
    try: write(b'say x\n')
    except OSError: break""", "twofactor sent too many lines", 0, 0,
    ),
    "leaves a child": (r"os.fork() or time.sleep(60); write(b'done failed left\n')", "left", 0, 1),
}  # fmt: skip


def test_programs_that_do_not_end(new_user, at_login, log):
    """Lasts 31 seconds, the longest time that a program without questions can hold up a login."""
    users = {name: play(new_user(), statements) for name, (statements, *_) in SLOW.items()}
    service = at_login("require")

    def log_in(name):
        start = time.monotonic()
        login = users[name].log_in(service, states=True, timeout=100, **ONE_LOGIN)
        return login, time.monotonic() - start

    with concurrent.futures.ThreadPoolExecutor(len(SLOW)) as pool:
        ended = dict(zip(SLOW, pool.map(log_in, SLOW), strict=True))
    lines = [message for message in log.of_module(2 * len(SLOW)) if ":account)" in message.text]
    for name, (_, why, seconds, left) in SLOW.items():
        login, took = ended[name]
        (line,) = (fields(line) for line in lines if f"user={users[name].name} " in line.text)
        assert (Result(login.account), line) == not_made("require", why), name
        assert seconds <= took < seconds + 5, f"{name}: {took:.1f} s"
        require_unchanged(login)
        found = run("pgrep", "-u", users[name].name, status=None).stdout.split()
        assert len(found) == left, f"{name}: {found}"
        for each in found:
            os.kill(int(each), signal.SIGKILL)
