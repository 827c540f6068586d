"""The SELinux policy module compiles with base policies that have the names of Fedora's and of Debian's policy.

Tests/VirtualMachine loads it into Debian's policies.
"""

import re

import pytest
from rig.machine import CHECKOUT
from rig.process import run

POLICY = CHECKOUT / "pam/selinux/twofactor.cil"

FILE = (
    "ioctl read write create getattr setattr lock relabelfrom relabelto append map unlink link rename execute quotaon "
    "mounton audit_access open execmod watch"
)
SOCKET = (
    "ioctl read write create getattr setattr lock relabelfrom relabelto append map bind connect listen accept getopt "
    "setopt shutdown recvfrom sendto name_bind"
)
# Classes and permissions of the kernel.
CLASSES = {
    "file": f"{FILE} execute_no_trans entrypoint",
    "dir": f"{FILE} add_name remove_name reparent search rmdir",
    "lnk_file": FILE,
    "sock_file": FILE,
    "fifo_file": FILE,
    "fd": "use",
    "unix_stream_socket": f"{SOCKET} connectto",
    "unix_dgram_socket": SOCKET,
    "process": "fork transition sigchld sigkill sigstop signull signal ptrace getsched setsched getsession getpgid "
    "setpgid getcap setcap share getattr setexec setfscreate noatsecure siginh setrlimit rlimitinh dyntransition "
    "setcurrent execmem execstack execheap setkeycreate setsockcreate getrlimit",
}

# Every policy has them.
REQUIRED = (
    "bin_t home_root_t locale_t modules_object_t shell_exec_t sysfs_t user_home_dir_t "
    "root_t var_t var_lib_t sshd_t local_login_t remote_login_t xdm_t useradd_t devlog_t syslogd_t sendmail_exec_t "
    "system_mail_t setfiles_exec_t user_su_t"
)
ATTRIBUTES = "file_type exec_type domain nsswitch_domain sudodomain userdomain application_exec_type"
# Names of one policy alone, and the parts of the module that the policy leaves out. Fedora's were looked up in the
# source of its policy.
POLICIES = {"debian": "syslogd_runtime_t sshd_session_t sshd_auth_t", "fedora": "syslogd_var_run_t"}
LEFT_OUT = {"debian": "log_fedora", "fedora": "log_debian sshd_session sshd_auth"}


def base(types: str, attributes: str = ATTRIBUTES) -> str:
    """A policy with these types, which allows nothing."""
    lines = [f"(class {name} ({permissions}))" for name, permissions in CLASSES.items()]
    lines += [f"(classorder ({' '.join(CLASSES)}))"]
    lines += ["(sid kernel)", "(sidorder (kernel))", "(sidcontext kernel context)"]
    lines += ["(sensitivity s0)", "(sensitivityorder (s0))", "(category c0)", "(categoryorder (c0))"]
    lines += ["(sensitivitycategory s0 (c0))", "(user system_u)", "(userlevel system_u (s0))"]
    lines += ["(userrange system_u ((s0) (s0 (c0))))", "(role object_r)", "(userrole system_u object_r)"]
    lines += ["(context context (system_u object_r kernel_t ((s0) (s0))))"]
    roles = ("system_r", "unconfined_r", "staff_r", "sysadm_r", "user_r")
    lines += [f"(role {name})\n(userrole system_u {name})" for name in roles]
    lines += [f"(typeattribute {name})" for name in attributes.split()]
    lines += [f"(type {name})\n(roletype object_r {name})" for name in ["kernel_t", *types.split()]]
    return "\n".join(lines) + "\n"


def compiled(folder, text: str, policy: str, status: int | None = 0):
    (folder / "base.cil").write_text(text)
    (folder / "twofactor.cil").write_text(policy)
    words = ["-M", "true", "-o", folder / "policy", "-f", folder / "contexts"]
    return run("secilc", "-vvv", *words, folder / "base.cil", folder / "twofactor.cil", status=status)


@pytest.mark.machinery
@pytest.mark.parametrize("name", POLICIES)
def test_the_policy_module_compiles(tmp_path, name):
    said = compiled(tmp_path, base(f"{REQUIRED} {POLICIES[name]}"), POLICY.read_text()).stderr
    contexts = (tmp_path / "contexts").read_text()
    assert "/var/lib/twofactor/enrolled(/.*)?\tsystem_u:object_r:twofactor_register_t:s0" in contexts
    left_out = set(re.findall(r"Disabling optional 'twofactor_(\w+)'", said))
    assert left_out == {"staff_su", "sysadm_su", *LEFT_OUT[name].split()}


@pytest.mark.machinery
@pytest.mark.parametrize(
    ("old", "new"),
    [("(file (open read", "(file (opne read"), ("user_home_dir_t", "user_home_folder_t"), ("(s0) (s0)", "(s0)")],
)
def test_a_mistake_in_the_policy_module_is_an_error(tmp_path, old, new):
    text = POLICY.read_text()
    assert old in text
    done = compiled(tmp_path, base(f"{REQUIRED} {POLICIES['debian']}"), text.replace(old, new), status=None)
    assert done.returncode != 0 and "Failed to" in done.stderr
