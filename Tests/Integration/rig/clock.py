"""A clock that stands still at a chosen time."""

import glob
import time

# A time in the near future at which a time step of every period up to 300 s begins: later than all times that the
# enrollments of this run contain.
START = int(time.time()) // 86400 * 86400 + 2 * 86400


def time_to_type() -> float:
    """The time; waits if the current code is about to expire."""
    left = 30 - time.time() % 30
    if left < 3:
        time.sleep(left)
    return time.time()


def standing_at(at: float | None) -> dict[str, str]:
    """The environment of a program whose clock stands at `at`; None for the real clock."""
    if at is None:
        return {}
    library = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")[0]
    # Only the calendar clock stands still, so that programs still time out.
    return {
        "LD_PRELOAD": library,
        "FAKETIME": str(int(at)),
        "FAKETIME_FMT": "%s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
