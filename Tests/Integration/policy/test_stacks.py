"""The module in every position of a stack and with every control value."""

import pytest
from rig.clock import START
from rig.harness import FAILURE, SOURCES, Result, build

TWOFACTOR = "pam_twofactor.so"


@pytest.fixture
def outcome(harness, user, new_user):
    """The results of a stack for a correct code, a wrong code and an unenrolled user."""
    enrolled = user.enroll()
    stranger = new_user()

    def results(name: str, at: int = START) -> tuple[int, int, int]:
        wrong = enrolled.authenticator.wrong_code(at)
        logins = [
            (user.name, [enrolled.authenticator.code_at(at)]),
            (user.name, [wrong]),
            (stranger.name, ["123456"]),
        ]
        found = harness.run(name, logins, at=at, setcred=True)
        assert all(login.setcred == 0 for login in found if login.result == Result.SUCCESS)
        return tuple(login.result for login in found)

    return results


SUCCESS, AUTH_ERR, IGNORED = Result.SUCCESS, Result.AUTH_ERR, Result.PERM_DENIED
REFUSING = "auth required pam_deny.so"
PERMITTING = "auth required pam_permit.so"

# The rules of a stack, and the results for a correct code, a wrong code and an unenrolled user.
STACKS = {
    "required, last": ([PERMITTING, f"auth required {TWOFACTOR}"], (SUCCESS, AUTH_ERR, AUTH_ERR)),
    "required, first": ([f"auth required {TWOFACTOR}", PERMITTING], (SUCCESS, AUTH_ERR, AUTH_ERR)),
    "required, refused later": ([f"auth required {TWOFACTOR}", REFUSING], (AUTH_ERR, AUTH_ERR, AUTH_ERR)),
    "required with nullok, first": ([f"auth required {TWOFACTOR} nullok", PERMITTING], (SUCCESS, AUTH_ERR, SUCCESS)),
    "required with nullok, last": ([PERMITTING, f"auth required {TWOFACTOR} nullok"], (SUCCESS, AUTH_ERR, SUCCESS)),
    "required with nullok, alone": ([f"auth required {TWOFACTOR} nullok"], (SUCCESS, AUTH_ERR, IGNORED)),
    "required with nullok, refused later": (
        [f"auth required {TWOFACTOR} nullok", REFUSING],
        (AUTH_ERR, AUTH_ERR, AUTH_ERR),
    ),
    "requisite": ([f"auth requisite {TWOFACTOR}", PERMITTING], (SUCCESS, AUTH_ERR, AUTH_ERR)),
    "requisite with nullok": ([f"auth requisite {TWOFACTOR} nullok", PERMITTING], (SUCCESS, AUTH_ERR, SUCCESS)),
    "sufficient": ([f"auth sufficient {TWOFACTOR}", REFUSING], (SUCCESS, AUTH_ERR, AUTH_ERR)),
    "sufficient with nullok": ([f"auth sufficient {TWOFACTOR} nullok", REFUSING], (SUCCESS, AUTH_ERR, AUTH_ERR)),
    "optional": ([f"auth optional {TWOFACTOR}", PERMITTING], (SUCCESS, SUCCESS, SUCCESS)),
    "success jumps over a refusal": (
        [f"auth [success=1 default=ignore] {TWOFACTOR}", REFUSING, PERMITTING],
        (SUCCESS, AUTH_ERR, AUTH_ERR),
    ),
    "success=ok, everything else dies": (
        [f"auth [success=ok ignore=ignore default=die] {TWOFACTOR} nullok", PERMITTING],
        (SUCCESS, AUTH_ERR, SUCCESS),
    ),
    "success=done": ([f"auth [success=done default=die] {TWOFACTOR}", REFUSING], (SUCCESS, AUTH_ERR, AUTH_ERR)),
    "ignore jumps": (
        [f"auth [success=ok ignore=1 default=bad] {TWOFACTOR} nullok", PERMITTING, PERMITTING],
        (SUCCESS, AUTH_ERR, SUCCESS),
    ),
    "include": (["auth include {folder}/factors", PERMITTING], (SUCCESS, AUTH_ERR, AUTH_ERR)),
    "substack": (["auth substack {folder}/factors", PERMITTING], (SUCCESS, AUTH_ERR, AUTH_ERR)),
    "substack that would be done": (["auth substack {folder}/done", REFUSING], (AUTH_ERR, AUTH_ERR, AUTH_ERR)),
    "include that is done": (["auth include {folder}/done", REFUSING], (SUCCESS, AUTH_ERR, AUTH_ERR)),
    "@include": (["@include {folder}/factors", PERMITTING], (SUCCESS, AUTH_ERR, AUTH_ERR)),
}


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_results_in_what_its_controls_say(harness, outcome, stack):
    harness.service("factors", f"auth required {TWOFACTOR}")
    harness.service("done", f"auth [success=done default=die] {TWOFACTOR}")
    lines, results = STACKS[stack]
    name = harness.service("stack", *(line.format(folder=harness.services) for line in lines))
    assert outcome(name) == results


@pytest.mark.parametrize("control", ["required", "requisite", "sufficient", "optional"])
def test_an_error_passes_under_no_control(harness, user, control):
    user.enroll()
    name = harness.service("broken", f"auth {control} {TWOFACTOR} no-such-option", "auth required pam_deny.so")
    assert user.log_in(name, at=START).result != Result.SUCCESS
    name = harness.service("silent", f"auth {control} {TWOFACTOR} nullok", "auth required pam_deny.so")
    assert user.log_in(name, FAILURE, at=START).result != Result.SUCCESS


def test_two_rules_in_one_stack_need_two_codes(harness, user):
    enrolled = user.enroll()
    name = harness.service("twice", f"auth required {TWOFACTOR}", f"auth required {TWOFACTOR} [prompt=And the next: ]")
    code = enrolled.authenticator.code_at
    assert user.log_in(name, code(START), code(START), at=START).result == AUTH_ERR
    login = user.log_in(name, code(START + 60), code(START + 60, steps=1), at=START + 60)
    assert (login.result, login.prompts) == (SUCCESS, ["Verification code: ", "And the next: "])


@pytest.mark.parametrize("type_", ["account", "password", "session"])
def test_only_the_auth_facility_does_anything(harness, user, type_, log):
    user.enroll()
    harness.service("misplaced", "auth required pam_permit.so", f"{type_} required {TWOFACTOR}")
    assert user.log_in("misplaced", at=START).result == SUCCESS
    assert not log.of_module()


def test_a_failure_is_delayed_and_a_success_is_not(user, service):
    enrolled = user.enroll()
    name = service("nullok", then="pam_permit.so")
    wrong = user.log_in(name, enrolled.authenticator.wrong_code(START), at=START)
    # The module asks for 2 to 2.5 s, and libpam varies that by 50% in each direction.
    assert 1_000_000 <= wrong.delay <= 3_750_000
    right = user.log_in(name, enrolled.authenticator.code_at(START), at=START)
    assert right.delay == 0


def test_a_failure_of_a_later_module_is_delayed_too(user, service):
    enrolled = user.enroll()
    code = enrolled.authenticator.code_at(START)
    login = user.log_in(service(then="pam_deny.so"), code, at=START)
    assert login.result == AUTH_ERR and login.delay >= 1_000_000


def test_an_unanswered_prompt_is_delayed_too(user, service):
    # The delay is set before the prompt, so it reveals nothing about the reply.
    user.enroll()
    login = user.log_in(service(), FAILURE, at=START)
    assert login.result == Result.CONV_ERR and login.delay >= 1_000_000


@pytest.fixture(scope="module")
def after_ssh(scratch, harness):
    """Writes a service in which sshd reports the methods that the login has passed."""
    module = build([SOURCES / "auth_info.c"], scratch / "auth_info.so", "-shared", "-fPIC", "-lpam")

    def make(name: str, said: str, methods: str = "gssapi-with-mic") -> str:
        return harness.service(
            name,
            f"auth required {module} [{said}]",
            f"auth required {TWOFACTOR} skip_after={methods}",
            "auth required pam_permit.so",
        )

    return make


@pytest.mark.parametrize("name", ["sshd", "login", "sshd-2", "sshd.twofactor"])
def test_only_sshd_may_report_earlier_methods(user, after_ssh, log, name):
    user.enroll()
    said = "publickey ssh-ed25519 AAAA|gssapi-with-mic alice@EXAMPLE.ORG|"
    login = user.log_in(after_ssh(name, said), "letters", at=START)
    assert (login.result, len(login.prompts)) == ((SUCCESS, 0) if name == "sshd" else (AUTH_ERR, 1))
    if name == "sshd":
        assert log.of_module(1)[0].text.endswith(" method=exempt")


@pytest.mark.parametrize(
    ("said", "is_asked"),
    [
        ("gssapi-with-mic alice@EXAMPLE.ORG|", False),
        ("gssapi-with-mic", False),
        ("password|gssapi-with-mic a", False),
        ("hostbased x|", False),
        ("", True),
        ("|", True),
        ("publickey ssh-ed25519 AAAA|", True),
        ("gssapi-with-mic-not", True),
        ("gssapi-with-mi", True),
        ("xgssapi-with-mic a", True),
        ("gssapi-keyex gssapi-with-mic", True),
        (" gssapi-with-mic", True),
        ("GSSAPI-WITH-MIC", True),
    ],
)
def test_only_the_first_word_of_a_line_is_a_method(user, after_ssh, said, is_asked):
    user.enroll()
    name = after_ssh("sshd", said, methods="gssapi-with-mic,hostbased")
    login = user.log_in(name, "letters", at=START)
    assert bool(login.prompts) == is_asked and (login.result != SUCCESS) == is_asked


def test_without_a_report_of_sshd_every_user_is_prompted(harness, user):
    user.enroll()
    harness.service(
        "sshd", f"auth required {TWOFACTOR} skip_after=publickey,password,none", "auth required pam_permit.so"
    )
    login = user.log_in("sshd", "letters", at=START, under=("env", "SSH_AUTH_INFO_0=publickey x"))
    assert (login.result, len(login.prompts)) == (AUTH_ERR, 1)
