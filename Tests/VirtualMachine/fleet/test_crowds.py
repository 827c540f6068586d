"""Concurrent logins on two hosts with homes on NFS: one code admits one of them, also while the enrollment changes."""

import threading

from rig.harness import Result

SESSIONS = 30
ANSWERS = {Result.SUCCESS, Result.AUTH_ERR}


def test_one_of_thirty_sessions_on_two_hosts_is_accepted(fleet, user, figure):
    rounds, wins = 12, [0, 0]
    for _ in range(rounds):
        crowd = fleet.crowd(user.name, user.fresh_code(), SESSIONS)
        assert crowd.kinds == ANSWERS and sum(crowd.accepted) == 1, (crowd.kinds, crowd.accepted)
        wins = [won + new for won, new in zip(wins, crowd.accepted)]
    figure(f"crowds of {SESSIONS}: once in {rounds} of {rounds} rounds; the hosts won {wins[0]} and {wins[1]}")


def test_a_backup_code_is_accepted_once_on_two_hosts(fleet, user):
    # Each session hashes the code, which takes a second of an emulated processor.
    for _ in range(3):
        crowd = fleet.crowd(user.name, user.backup_codes.pop(), 6)
        assert crowd.kinds == ANSWERS and sum(crowd.accepted) == 1, (crowd.kinds, crowd.accepted)


ADD, REMOVE = ("device", "add", "other", "--no-confirm"), ("device", "remove", "other")
CHANGES = [ADD, REMOVE, ADD, REMOVE, ("backup-codes",)]


def test_logins_during_changes_of_the_credential_have_no_errors(fleet, user, figure):
    """On the first host, the credential is replaced again and again."""
    stop, replaced, failures = threading.Event(), 0, []

    def replace() -> None:
        nonlocal replaced
        while not stop.is_set() and not failures:
            words = CHANGES[replaced % len(CHANGES)]
            said = fleet.hosts[0].run("twofactor", *words, "--user", user.name, "--json", expect=None)
            if not said.startswith("{"):
                failures.append(said)
            replaced += 1

    replacing = threading.Thread(target=replace)
    replacing.start()
    rounds = accepted = 0
    try:
        while rounds < 10 or replaced < 27:
            code = user.fresh_code()
            crowd = fleet.crowd(user.name, code, 8)
            late = fleet.hosts[rounds % 2].log_in(user.name, code)
            kinds = crowd.kinds | {late.result}
            assert kinds <= ANSWERS, kinds
            # A change during the login may refuse the code, but does not use it.
            assert sum(crowd.accepted) + (late.result == Result.SUCCESS) == 1, (crowd.accepted, late.result)
            accepted += sum(crowd.accepted)
            rounds += 1
    finally:
        stop.set()
        replacing.join()
    assert not failures, failures[0]
    figure(f"credential replaced {replaced} times: {rounds} crowds, {accepted} codes accepted at once, 0 errors")
