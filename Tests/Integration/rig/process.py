"""Runs a program to its end."""

import subprocess


def run(
    *command,
    input: str | bytes = "",
    user=None,
    environment: dict[str, str] | None = None,
    timeout: float = 60,
    status: int | None = 0,
    **options,
) -> subprocess.CompletedProcess[str]:
    """Returns the exit status and the output of a command, standard output and standard error as text.

    user: the account whose IDs the program takes; None for root
    environment: all of its variables; None inherits those of the tests
    timeout: seconds
    status: the exit status that the command must have; None accepts every status
    options: what else subprocess.run takes
    """
    if user is not None:
        options = {"user": user.uid, "group": user.gid, "extra_groups": [], **options}
    if "stdin" not in options:
        options["input"] = input.encode() if isinstance(input, str) else input
    done = subprocess.run(
        [str(word) for word in command],
        env=environment,
        timeout=timeout,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": "/", **options},
    )
    stdout, stderr = ((data or b"").decode("utf-8", "backslashreplace") for data in (done.stdout, done.stderr))
    words = " ".join(map(str, command))[:500]
    ended = f"{words} ended with {done.returncode}: {stdout[-2000:]} {stderr[-2000:]}"
    assert status is None or done.returncode == status, ended
    return subprocess.CompletedProcess(words, done.returncode, stdout, stderr)
