"""The clock as tests set it: standing still at a moment of their choice."""

import glob
import time

# A moment in the near future at which a step of every period up to 300 s begins: after whatever the
# enrolments of this run wrote down as their time.
START = int(time.time()) // 86400 * 86400 + 2 * 86400


def standing_at(at: float | None) -> dict[str, str]:
    """Environment in which a program finds the clock standing at `at`; that of the machine for None."""
    if at is None:
        return {}
    library = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")[0]
    # Time-outs must go on passing: only the calendar's clock stands still.
    return {
        "LD_PRELOAD": library,
        "FAKETIME": str(int(at)),
        "FAKETIME_FMT": "%s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
