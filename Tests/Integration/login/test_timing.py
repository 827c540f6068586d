"""The time of an answer does not reveal who is enrolled."""

import statistics

import pytest
from rig.clock import START
from rig.harness import Result

ATTEMPTS = 500
IN_A_ROW = 50


def z_of_mann_and_whitney(left: list[int], right: list[int]) -> float:
    """The Mann-Whitney U statistic, in standard deviations from chance."""
    ranks: dict[int, float] = {}
    ordered = sorted(left + right)
    for value in set(ordered):
        first = ordered.index(value)
        ranks[value] = first + (ordered.count(value) + 1) / 2
    u = sum(ranks[value] for value in left) - len(left) * (len(left) + 1) / 2
    mean = len(left) * len(right) / 2
    return (u - mean) / (mean * (len(left) + len(right) + 1) / 6) ** 0.5


def deciles(values: list[int], unit: int = 1) -> str:
    """A distribution as eleven numbers, from minimum to maximum."""
    inner = statistics.quantiles(values, n=10)
    return " ".join(f"{value / unit:.0f}" for value in (min(values), *inner, max(values)))


@pytest.mark.seconds(240)
def test_the_time_of_an_answer_does_not_reveal_who_is_enrolled(harness, new_user, service, figure):
    enrolled, stranger = new_user().enroll(), new_user()
    name = service("max_failures=100")
    wrong = enrolled.authenticator.wrong_code(START)
    fresh = enrolled.state.read_bytes()
    users = [enrolled.user, stranger.name, "no-such-user"]
    work: dict[str, list[int]] = {user: [] for user in users}
    answers: dict[str, list[int]] = {user: [] for user in users}
    for _ in range(ATTEMPTS // IN_A_ROW):
        enrolled.state.write_bytes(fresh)
        logins = harness.run(name, [(user, [wrong]) for user in users], times=IN_A_ROW, at=START)
        assert {login.result for login in logins} == {Result.AUTH_ERR}
        assert {(tuple(login.prompts), tuple(login.messages)) for login in logins} == {(("Verification code: ",), ())}
        for login in logins:
            user = users[login.number % len(users)]
            work[user].append(login.microseconds)
            # The harness reports the delay of a failure instead of waiting.
            answers[user].append(login.microseconds + login.delay)
    own = users[0]
    for user, who in zip(users, ("enrolled", "not enrolled", "unknown"), strict=True):
        figure(
            f"{ATTEMPTS} wrong answers, {who}: {deciles(answers[user], 1000)} ms; work alone {deciles(work[user])} µs"
        )
    for other, who in zip(users[1:], ("not enrolled", "unknown"), strict=True):
        z = z_of_mann_and_whitney(answers[own], answers[other])
        figure(
            f"enrolled against {who}: Mann-Whitney z = {z:.1f} for the time of the answer,"
            f" {z_of_mann_and_whitney(work[own], work[other]):.1f} for the work without the delay"
        )
        assert abs(z) < 4, "chance exceeds this once in 15,000 runs"
    # libpam itself makes the delay random.
    assert len(set(answers[own])) > ATTEMPTS // 2 and min(answers[own]) > 900_000
