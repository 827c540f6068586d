"""Runs harness/endurance.c, in which one process logs in repeatedly."""

import os
import re

from .clock import START, standing_at
from .process import run


def run_endurance(program, *arguments, under=()) -> tuple[dict[int, int], list[tuple[int, int]]]:
    """How often each result was returned, and the KiB of own and of mapped memory."""
    environment = {**os.environ, **standing_at(START)}
    ended = run(*under, program, *arguments, timeout=200, environment=environment)
    results = {int(status): int(count) for status, count in re.findall(r"^result (\d+) (\d+)$", ended.stdout, re.M)}
    sizes = re.findall(r"^memory (\d+) (\d+)$", ended.stdout, re.M)
    return results, [(int(own), int(mapped)) for own, mapped in sizes]


# A prefix that discards log messages: ten thousand would only test the log.
QUIET = ("unshare", "--mount", "sh", "-c", 'mount --bind /dev/null /dev/log; exec "$@"', "sh")
