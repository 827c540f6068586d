"""Runs in a host of the fleet: starts logins, and lets them reply when a line arrives on standard input."""

import os
import subprocess
import sys
import time

gate, *command = sys.argv[1:]
asked = gate + ".asked"
for path in (gate, asked):
    if os.path.exists(path):
        os.remove(path)
script = sys.stdin.readline()
logins = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
logins.stdin.write(script.replace("|", "\n"))
logins.stdin.close()
while not os.path.exists(asked) and logins.poll() is None:
    time.sleep(0.02)
print("ready", flush=True)
sys.stdin.readline()
open(gate, "w").close()
sys.exit(logins.wait())
