"""Cross-compiles C for arm64 with Debian's compiler and libraries, and runs its programs under QEMU's emulation."""

from pathlib import Path

from .architecture import ARM64
from .machine import CHECKOUT
from .process import run

# Debian's packages, unpacked by scripts/dependencies arm64.
ROOT = CHECKOUT / ".build/packages" / ARM64.name / "root"
# From scripts/build --for arm64.
PRODUCT = CHECKOUT / f".build/product-{ARM64.name}"

HEADERS = [ROOT / "usr/include" / name for name in ("", ARM64.triplet, "libxml2", "postgresql")]
LIBRARIES = [ROOT / "lib" / ARM64.triplet, ROOT / "usr/lib" / ARM64.triplet]

C_LIBRARY = Path("/usr") / ARM64.triplet / "lib"
# The prefix that runs a program. The dynamic linker starts it, because qemu's option -L would search the folder of the
# libraries for every file that the program opens.
EMULATED = (
    *(ARM64.emulator, str(C_LIBRARY / ARM64.dynamic_linker)),
    *("--library-path", ":".join(map(str, (C_LIBRARY, *LIBRARIES)))),
)


def compile(output: Path, *arguments, libraries: tuple[str, ...] = (), status: int | None = 0) -> str:
    """Compiles and links; every warning is an error. Returns the compiler's messages."""
    flags = ["-std=gnu17", "-O2", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    flags += [f"-I{folder}" for folder in sorted(CHECKOUT.glob("Sources/C*/include"))]
    flags += [word for folder in HEADERS for word in ("-isystem", folder)]
    flags += [word for folder in LIBRARIES for word in (f"-L{folder}", f"-Wl,-rpath-link={folder}")]
    return run(ARM64.tool("gcc"), "-o", output, *flags, *arguments, *libraries, status=status).stderr
