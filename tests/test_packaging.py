"""What is installed: the wheel carries the templates, however it is built."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from email.parser import HeaderParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.markdown import ROOT, blocks, page

if TYPE_CHECKING:
    from email.message import Message

PACKAGE = "statsig_staging"


def run(*command: str | Path, folder: Path) -> str:
    """Run a command outside the checkout, and return what it prints."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def build(folder: Path, *options: str) -> Path:
    """Build with the installed backend: the index is not asked."""
    run(
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        *options,
        "--outdir",
        folder,
        ROOT,
        folder=folder,
    )
    return folder


def only(folder: Path, pattern: str) -> Path:
    """Return the one file of a folder that looks like this."""
    (found,) = folder.glob(pattern)
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout."""
    return only(build(tmp_path_factory.mktemp("wheel"), "--wheel"), "*.whl")


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, and the wheel that is built from it."""
    return build(tmp_path_factory.mktemp("dist"))


def templates() -> dict[str, bytes]:
    """Return the templates of the checkout."""
    return {path.name: path.read_bytes() for path in (ROOT / "sql").glob("*.sql")}


def members(wheel: Path, folder: str, ending: str) -> dict[str, bytes]:
    """Return the files of a wheel's folder."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            Path(name).name: archive.read(name)
            for name in archive.namelist()
            if name.startswith(f"{folder}/") and name.endswith(ending)
        }


def metadata(wheel: Path) -> Message:
    """Return the metadata of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return HeaderParser().parsestr(archive.read(name).decode())


def check_contents(wheel: Path) -> None:
    """Assert that a wheel holds everything that is not Python."""
    starters = {
        path.name: path.read_bytes() for path in (ROOT / PACKAGE / "starters").glob("*.yml")
    }
    assert templates()
    assert members(wheel, f"{PACKAGE}/sql", ".sql") == templates()
    assert starters
    assert members(wheel, f"{PACKAGE}/starters", ".yml") == starters
    assert "py.typed" in members(wheel, PACKAGE, "py.typed")


def test_the_wheel_carries_the_templates(wheel: Path) -> None:
    """Templates, starters and the mark for type checkers are in the package, and no tests."""
    check_contents(wheel)
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {PACKAGE}


def test_the_metadata_says_what_it_is(wheel: Path) -> None:
    """Version, license, Python and the command."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = metadata(wheel)
    assert found["Name"] == "statsig-staging"
    assert found["Version"] == declared["version"]
    assert found["License-Expression"] == "Apache-2.0"
    assert found["License-File"] == "LICENSE"
    assert found["Requires-Python"] == ">=3.11"
    assert found.get_all("Provides-Extra") == ["compiled"]
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        entries = next(name for name in names if name.endswith(".dist-info/entry_points.txt"))
        assert "statsig-staging = statsig_staging.cli:main" in archive.read(entries).decode()
        assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_the_source_distribution_builds_the_same_wheel(dist: Path) -> None:
    """It has the templates, the tests and the licence, and a wheel built from it lacks nothing."""
    with tarfile.open(only(dist, "*.tar.gz")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"sql/{name}" for name in templates()} <= names
    assert {"LICENSE", "README.md", "CHANGELOG.md", "Makefile", "tests/test_packaging.py"} <= names
    assert not [name for name in names if name.startswith(("benchmarks/data/", "demo/", ".venv/"))]
    check_contents(only(dist, "*.whl"))


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Path:
    """The Python of a new environment that has the wheel; what it depends on is borrowed."""
    place = tmp_path / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", place, folder=tmp_path)
    python = place / "bin" / "python"
    paths = sysconfig.get_paths(vars={"base": str(place), "platbase": str(place)})
    site = Path(paths["purelib"])
    run(
        *(sys.executable, "-m", "pip", "--python", python, "install"),
        *("--quiet", "--no-deps", "--no-index", wheel),
        folder=tmp_path,
    )
    # Only paths of the borrowed folder count, not its .pth files: the checkout stays out of reach.
    (site / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"], encoding="utf-8")
    return python


def test_the_installed_package_reads_its_own_templates(installed: Path, tmp_path: Path) -> None:
    """A template is found inside the installed package, not in a checkout."""
    code = (
        "from sqlglot import exp\n"
        "from statsig_staging import templates\n"
        "print(templates.template_root())\n"
        "print(templates.bind('groups_seen', tables={'exposure_counts': exp.to_table('here')}).sql())\n"
    )
    root, query = run(installed, "-c", code, folder=tmp_path).splitlines()
    assert Path(root).is_relative_to(tmp_path / "venv")
    assert Path(root).parts[-2:] == (PACKAGE, "sql")
    assert "FROM here AS c" in query


@pytest.mark.slow
def test_what_the_readme_tells_users_to_type(installed: Path, tmp_path: Path) -> None:
    """The commands of the README work on the installed package, one after the other."""
    lines = "\n".join(blocks(page("README.md"), "console")).splitlines()
    commands = [
        line.removeprefix("$ ").split()
        for line in lines
        if "--project demo" in line or " init " in line
    ]
    assert [command[1] for command in commands] == ["init", "run", "results"]
    shown = [run(installed.parent / name, *rest, folder=tmp_path) for name, *rest in commands]
    assert "revenue_per_visit" in shown[-1]
