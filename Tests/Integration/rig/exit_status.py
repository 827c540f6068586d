"""Exit statuses of the setup command, as in twofactor(1)."""

DONE = 0
REFUSED = 1
USAGE = 64
UNUSABLE = 65
NO_FILE = 66
NO_ACCOUNT = 67
IO_ERROR = 74
NOT_PERMITTED = 77
NOT_CONFIGURED = 78
