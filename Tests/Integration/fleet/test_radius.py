"""RADIUS."""

import time
import pytest
from rig.clock import time_to_type
from rig.radius import fleet
from rig.register import create_host_store, create_register, remove_register


@pytest.fixture(scope="module")
def machines(products, tmp_path_factory):
    remove_register()
    create_register()
    create_host_store()
    open("/etc/security/twofactor.conf", "w").write("store = host\nshared = yes\nenroll = require\n")
    with fleet(tmp_path_factory.mktemp("fleet")) as running:
        yield running


def test_code(machines, new_user, tmp_path):
    user = new_user(password="correct horse")
    enrolled = user.enroll()
    import subprocess, os
    if os.environ.get("SHELL_HERE"):
        subprocess.run(["bash", os.environ["SHELL_HERE"]])
    with machines["web01"].sshd(tmp_path / "sshd") as sshd:
        client = sshd.connect(user)
        client.answer("Password: ", user.password)
        client.answer("Verification code .*: ", enrolled.authenticator.code_at(time_to_type()))
        assert client.is_let_in()
