"""Fresh virtual environments in which babyeval is installed from a wheel or as an editable copy.

The heavy libraries are those of the environment that runs the tests: their folder is named in a .pth
file, which makes Python import from it but not obey the .pth files in it, so that an editable
babyeval there is not seen.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cli.support import ROOT, Done, environment

_LEFT_OUT = shutil.ignore_patterns(
    ".*", "__pycache__", "*.egg-info", "build", "dist", "results", "babyeval-demo", "evaluation_data", "site", "tests"
)


class Environment:
    """A virtual environment without pip."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        self.python = folder / "bin" / "python"
        self.site = next((folder / "lib").glob("python*")) / "site-packages"
        own = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
        (self.site / "heavy.pth").write_text("\n".join(sorted(own)) + "\n")

    def install(self, what: Path, *options: str) -> None:
        """Installs from a folder or wheel, without dependencies, by the pip of the tests' environment."""
        command = [sys.executable, "-m", "pip", "--python", self.python, "install", "--quiet", "--no-deps", *build_options()]
        done = subprocess.run([*command, *options, what], capture_output=True, text=True, check=False, env=_plain())
        assert done.returncode == 0, done.stdout + done.stderr

    def run(self, *args: object, cwd: Path) -> Done:
        """Runs this environment's Python."""
        command = [str(self.python), *map(str, args)]
        done = subprocess.run(command, cwd=cwd, env=environment(cwd), capture_output=True, text=True, timeout=180, check=False)
        return Done(done.returncode, done.stdout, done.stderr)


def build_options() -> list[str]:
    """Whether packages are built with the setuptools that is there; else pip fetches one that is new enough."""
    try:
        return ["--no-build-isolation"] if int(version("setuptools").split(".")[0]) >= 77 else []
    except PackageNotFoundError:
        return []


def _plain() -> dict[str, str]:
    return {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}


def place() -> Path:
    """A folder that lasts as long as this process."""
    folder = Path(tempfile.mkdtemp(prefix="babyeval-environments-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def source_copy(folder: Path) -> Path:
    """A copy of the source tree, so that building leaves nothing behind in the original."""
    return Path(shutil.copytree(ROOT, folder, ignore=_LEFT_OUT, symlinks=True))


@functools.cache
def wheel() -> Path:
    """The wheel of the source tree."""
    folder = place()
    tree = source_copy(folder / "tree")
    isolation = ["--no-isolation"] if build_options() else []
    command = [sys.executable, "-m", "build", "--wheel", *isolation, "--outdir", folder, tree]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_plain())
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = folder.glob("*.whl")
    return found


@functools.cache
def with_wheel() -> Environment:
    """An environment into which the wheel is installed."""
    made = Environment(place() / "environment")
    made.install(wheel(), "--no-index")
    return made
