"""`twofactor move` to PostgreSQL and back: one place is in force at any moment, and a used code stays used."""

import re
import shutil

import pytest
from rig.enrollment import twofactor_json
from rig.exit_status import REFUSED
from rig.fleet_commands import WIDE, Codes, on
from rig.harness import Result
from rig.machine import COMMAND
from rig.process import run
from rig.register import STORE, registered
from rig.tracing import calls, tracing

SUCCESS, REFUSED_CODE, UNAVAILABLE = Result.SUCCESS, Result.AUTH_ERR, Result.AUTHINFO_UNAVAIL
PLACES = {"home": "store = home", "host": "store = host", "postgresql": "store = postgresql"}


@pytest.mark.parametrize("place", ["home", "host"])
def test_enrollments_move_there_and_back(hosts, one, two, user, host_configuration, service, place):
    hosts.database.admin("DELETE FROM twofactor.enrollment")
    host_configuration(PLACES[place])
    made = user.enroll(backup_codes=2)
    token = user.add_device("token", "--type", "hotp").authenticator
    codes = Codes(made)
    used = [codes.next(), token.code_for_counter(0), made.backup_codes[0]]
    files, database = service(f"store={place}", *WIDE), service("store=postgresql", "nullok", *WIDE)
    assert user.results(files, *used) == [SUCCESS] * 3
    before = twofactor_json("status", "--user", user.name)
    host_configuration(PLACES["postgresql"])
    # Not enrolled in the database, but registered: refused, whatever nullok says.
    assert user.log_in(database, under=one).result == UNAVAILABLE
    assert on(one, "move", "--user", user.name, "--from", place) == f"{user.name}: moved\n"
    after = twofactor_json("status", "--user", user.name)
    assert after.pop("directory") == "postgresql" and before.pop("directory") and after == before
    assert registered() == [] and not list(STORE.iterdir()) and not list(user.home.glob(".twofactor*"))
    fresh = [codes.next(), token.code_for_counter(1)]
    assert SUCCESS not in user.results(files, *fresh)
    assert user.results(database, *used, under=two) == [REFUSED_CODE] * 3
    assert user.results(database, *fresh, under=two) == [SUCCESS] * 2
    assert "nothing to move" in on(one, "move", "--user", user.name, "--from", place)

    host_configuration(PLACES[place])
    stranger = "not-on-this-host"
    where = f"WHERE user_name = '{user.name}'"
    copy = f"SELECT host_group, '{stranger}', credential, state, generation FROM twofactor.enrollment {where}"
    hosts.database.admin(
        f"INSERT INTO twofactor.enrollment (host_group, user_name, credential, state, generation) {copy}"
    )
    moved = on(one, "move", "--all", "--from", "postgresql", status=REFUSED)
    assert moved == (
        f"{user.name}: moved\n{stranger}: not moved: no such account on this host\n1 of 2 enrollments moved.\n"
    )
    assert user.results(files, *used, *fresh) == [REFUSED_CODE] * 5
    assert user.results(files, codes.next(), token.code_for_counter(2), made.backup_codes[1]) == [SUCCESS] * 3
    assert user.log_in(service("store=postgresql"), "123456", under=two).result == REFUSED_CODE
    assert registered() == [user.uid]


@pytest.mark.parametrize(("source", "target"), [("home", "postgresql"), ("postgresql", "host")])
def test_a_killed_move_brings_no_used_code_back(one, two, user, host_configuration, service, source, target, tmp_path):
    """Killed at calls that change something, or start the store program. The next move completes."""
    services = {place: service(f"store={place}", *WIDE) for place in (source, target)}
    under = {place: two if place == "postgresql" else () for place in services}
    line = (*one, COMMAND, "move", "--user", user.name, "--from", source)

    def prepare():
        host_configuration(PLACES[source])
        made = user.enroll("--type", "hotp")
        codes = [made.authenticator.code_for_counter(counter) for counter in range(3)]
        assert user.log_in(services[source], codes[0], under=under[source]).result == SUCCESS
        host_configuration(PLACES[target])
        return codes

    prepare()
    trace = tmp_path / "trace"
    run(*one, *tracing(trace), *line[len(one) :])
    on(one, "disable", "--user", user.name)
    changes = [call for call in calls(trace, "twofactor") if call.name in ("renameat", "clone", "unlinkat")]
    assert len([call for call in changes if call.name == "clone"]) > 1
    erasing = [call for call in changes if call.name == "unlinkat"]
    for call in [call for call in changes if call.name != "unlinkat"] + erasing[:1] + erasing[-1:]:
        codes = prepare()
        killed = run(*one, *call.killed(), *line[len(one) :], status=None)
        assert killed.returncode != 0, call
        assert SUCCESS not in [user.log_in(services[place], codes[0], under=under[place]).result for place in services]
        results = [user.log_in(services[place], codes[1], under=under[place]).result for place in services]
        assert results.count(SUCCESS) < 2, f"{results} after {call}"
        again = on(one, *line[len(one) + 1 :])
        assert again in (f"{user.name}: moved\n", f"{user.name}: not moved: nothing to move\n"), call
        fresh = codes[2] if SUCCESS in results else codes[1]
        results = [user.log_in(services[target], code, under=under[target]).result for code in (codes[0], fresh, fresh)]
        assert results == [REFUSED_CODE, SUCCESS, REFUSED_CODE], f"{results} after {call}"
        assert user.log_in(services[source], codes[2], under=under[source]).result != SUCCESS
        assert registered() == ([] if target == "postgresql" else [user.uid])
        litter = [*STORE.glob("*.*"), *user.home.glob(".twofactor.*")]
        # The next command removes these if they are older than ten minutes.
        assert all(re.fullmatch(r"(\.twofactor|\d+)\.new-\d+", path.name) for path in litter), litter
        for path in litter:
            shutil.rmtree(path)
        on(one, "disable", "--user", user.name)
