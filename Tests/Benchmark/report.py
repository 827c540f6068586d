"""Turns the JSON of measure.py into tables and a plot.

Usage: report.py JSON SVG

Prints Markdown.
"""

import json
import sys
from pathlib import Path

ENABLE, GOOGLE = "twofactor enable, no backup codes", "google-authenticator, no scratch codes"
OURS, FLOOR, PEER = "twofactor", "minimal C module", "google-authenticator"


def table(head: list[str], rows: list[list]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def median(result: dict) -> float:
    return result["elapsed"]["median"]


def ratio(results: dict, to: str) -> str:
    return f"{median(results[OURS]) / median(results[to]):.2f}"


def logins(found: dict) -> str:
    columns = [
        (f"{host}, {kind} code", results)
        for host, kinds in found.items()
        if host != "file_system"
        for kind, results in kinds.items()
    ]
    names = list(columns[0][1])
    rows = [[name, *(number(median(results[name])) for _, results in columns)] for name in names]
    rows.append([f"**{OURS} ÷ {PEER}**", *(f"**{ratio(results, PEER)}**" for _, results in columns)])
    rows.append([f"{OURS} ÷ {FLOOR}", *(ratio(results, FLOOR) for _, results in columns)])
    return table(["median, µs", *(label for label, _ in columns)], rows)


def counts(found: dict, memory: dict) -> str:
    kinds = list(next(iter(found.values())))
    rows = [
        [name, *(f"{results[kind]:,}" for kind in kinds), *(number(host[name]["median"]) for host in memory.values())]
        for name, results in found.items()
    ]
    return table(["", *kinds, *(f"KiB more, {host}" for host in memory)], rows)


def growth(found: dict) -> str:
    steps = list(next(iter(found.values())))
    rows = []
    for name, results in found.items():
        medians = [results[step]["median"] for step in steps]
        rows.append([name, *map(number, medians), f"{max(medians) / min(medians):.2f}"])
    return table(["median, µs", *(f"{int(step):,}" for step in steps), "slowest ÷ fastest"], rows)


def parallel(found: dict) -> str:
    steps = list(next(iter(found.values())))
    rows = []
    for name, results in found.items():
        cells = []
        for step in steps:
            refused = results[step]["refused"]
            cells.append(number(results[step]["per_second"]["median"]) + (f" ({refused} refused)" if refused else ""))
        rows.append([name, *cells])
    ours, theirs = (found[name] for name in (OURS, PEER))
    ratios = [ours[step]["per_second"]["median"] / theirs[step]["per_second"]["median"] for step in steps]
    rows.append([f"**{OURS} ÷ {PEER}**", *(f"**{ratio:.2f}**" for ratio in ratios)])
    return table(["logins a second", *(f"{step} at once" for step in steps)], rows)


def helpers(found: dict) -> str:
    rows = [
        [name, number(median(results)), results["system_calls"], f"{results['size']:,}"]
        for name, results in found.items()
    ]
    return table(["", "median, µs", "system calls", "size, bytes"], rows)


def setup(found: dict) -> str:
    rows = [
        [name, results["elapsed_milliseconds"]["median"], results["processor_milliseconds"]["median"]]
        for name, results in found.items()
    ]
    return table(["median, ms", "elapsed", "processor"], rows)


def not_asked(found: dict) -> str:
    rows = [
        [name, number(median(results)), results["system_calls"], ", ".join(results["opened"]) or "nothing"]
        for name, results in found.items()
    ]
    return table(["", "median, µs", "system calls", "opened files of the host and the user"], rows)


# ---- The plot: the medians as bars, grouped by case.

COLORS = ["#2a6fdb", "#8fb7f2", "#555555", "#e07b39", "#f2c19c", "#7a9e4d", "#c9c9c9"]
BAR, GAP, HEIGHT, LEFT, TOP = 16, 28, 260, 60, 60


def plot(found: dict) -> str:
    cases = [
        (host, place, found[place][host]["right"])
        for place in found
        for host in found[place]
        if host != "file_system"
    ]
    names = list(cases[0][2])
    # A bar several times longer than the others is cut off and labeled with its value.
    top = 1.6 * max(median(results[name]) for _, _, results in cases for name in (OURS, PEER))
    width = LEFT + len(cases) * (len(names) * BAR + GAP) + 20
    shapes = []
    for step in range(0, int(top), 100 if top < 1000 else 200):
        y = TOP + HEIGHT - step / top * HEIGHT
        shapes.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{width - 10}" y2="{y:.1f}" stroke="#e5e5e5"/>')
        shapes.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{step}</text>')
    for index, (host, place, results) in enumerate(cases):
        x = LEFT + index * (len(names) * BAR + GAP) + GAP / 2
        for position, name in enumerate(names):
            value = median(results[name])
            height = min(value, top) / top * HEIGHT
            left = x + position * BAR
            shapes.append(
                f'<rect x="{left:.1f}" y="{TOP + HEIGHT - height:.1f}" width="{BAR - 2}" height="{height:.1f}" '
                f'fill="{COLORS[position % len(COLORS)]}"><title>{name}: {value:.0f} µs</title></rect>'
            )
            if value > top:
                shapes.append(f'<text x="{left + BAR / 2:.1f}" y="{TOP - 4}" text-anchor="middle">{value:.0f}</text>')
        middle = x + len(names) * BAR / 2
        shapes.append(f'<text x="{middle:.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{host}</text>')
        shapes.append(f'<text x="{middle:.1f}" y="{TOP + HEIGHT + 34}" text-anchor="middle">{place}</text>')
    for position, name in enumerate(names):
        x, y = LEFT + position % 4 * 215, TOP + HEIGHT + 62 + position // 4 * 20
        shapes.append(f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="{COLORS[position % len(COLORS)]}"/>')
        shapes.append(f'<text x="{x + 18}" y="{y}">{name}</text>')
    height = TOP + HEIGHT + 100
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="{width}" height="{height}" fill="white"/>\n'
        f'<text x="{LEFT}" y="24" font-size="15">A login with a correct code, pam_start to pam_end: median, µs</text>\n'
        + "\n".join(shapes)
        + "\n</svg>\n"
    )


def main() -> None:
    source, picture = map(Path, sys.argv[1:])
    found = json.loads(source.read_text())
    Path(picture).write_text(plot(found["logins"]))

    machine = found["machine"]
    load = found["load"]
    print(
        f"{machine['processors']} processors, {machine['architecture']}; medians of {found['rounds']} logins each. "
        f"Load average when it began {load['before']:.1f}, when it ended {load['after']:.1f}.\n"
    )
    for place, results in found["logins"].items():
        print(f"### Logins, homes {'in memory' if place == 'memory' else f'on a {place}'} ({results['file_system']})\n")
        print(logins(results))
    print("### Counts of one login\n")
    print(counts(found["counts"], found["memory_kib"]))
    print("### Size of the module by part\n")
    print(table(["", "bytes"], [[part, f"{size:,}"] for part, size in found["parts"].items()]))
    print("### Enrolled users\n")
    print(growth(found["growth"]))
    print("### Devices of the user\n")
    devices = found["devices"]
    print(table(["median, µs", *devices], [[OURS, *(number(each["median"]) for each in devices.values())]]))
    print("### Backup codes of the user, with an app code\n")
    codes = found["backup_codes"]
    print(table(["median, µs", *codes], [[OURS, *(number(each["median"]) for each in codes.values())]]))
    print("### Exempt users\n")
    print(not_asked(found["not_asked"]))
    print("### Different users at once, homes on a journaled disk\n")
    print(parallel(found["parallel"]))
    backup = found["backup_code"]
    print(
        f"A login with one of ten backup codes: {backup['processor_milliseconds']['median']} ms of the processor, "
        f"{backup['peak_kib']['median'] / 1024:.0f} MiB at most in all.\n"
    )
    print("### Helpers of programs that do not run as root\n")
    print(helpers(found["helpers"]))
    print("### The setup command\n")
    print(setup(found["setup_command"]))
    ours, theirs = (found["setup_command"][name]["elapsed_milliseconds"]["median"] for name in (ENABLE, GOOGLE))
    print(f"`twofactor enable` apart from hashing takes {ours / theirs:.2f} of the time of `google-authenticator`.\n")
    doctor = found["doctor_command"]
    print(
        f"`twofactor doctor`, a host with {doctor['services']} services: "
        f"{doctor['processor_milliseconds']['median']:,.0f} ms of the processor.\n"
    )
    if users := found["users_command"]:
        print(f"`twofactor users` with {users['accounts']:,} accounts: {users['elapsed_milliseconds']:,.0f} ms.")


if __name__ == "__main__":
    main()
