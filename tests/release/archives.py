"""The archives of a release: what is in them."""

import hashlib
import re
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

from template.resources import FUNCTIONS
from template.stack import ROOT

ARCHITECTURES = {"arm64": "AArch64", "x86_64": "X86-64"}
# The C library of Amazon Linux 2023.
_GLIBC_MAX = (2, 34)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_GLIBC = re.compile(r"GLIBC_(\d+)\.(\d+)")
# Those of infra that are no source code, and what is built.
_SOURCES = ("local/", "operator/", "release.sh", "release/")
_BUILT = {
    "CHANGELOG.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "BUILD",
    "SHA256SUMS",
    *(f"functions/{function.lower()}.zip" for function in FUNCTIONS),
}


class Release:
    """The archives of one version in a directory."""

    def __init__(self, directory: Path, version: str) -> None:
        self.directory, self.version = directory, version

    def name(self, architecture: str) -> str:
        return f"ferry-{self.version}-{architecture}"

    def archive(self, architecture: str) -> Path:
        return self.directory / f"{self.name(architecture)}.zip"

    def operator(self, architecture: str) -> Path:
        return self.directory / f"ferry-operator-{self.version}-linux-{architecture}.zip"

    def all(self) -> list[Path]:
        names = [self.archive(each) for each in ARCHITECTURES]
        names += [self.operator(each) for each in ARCHITECTURES]
        return [*names, self.directory / f"SHA256SUMS-{self.version}"]


def _files() -> set[str]:
    command = ["git", "-C", ROOT / "infra", "ls-files", "."]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return _BUILT | {name for name in listed.split() if not name.startswith(_SOURCES)}


def unpack(archive: Path, directory: Path) -> None:
    """With the files' modes, which Python's module does not restore."""
    directory.mkdir(parents=True)
    subprocess.run(["unzip", "-q", archive, "-d", directory], check=True)


def every_file_is_there(release: Release) -> Iterator[str]:
    for architecture in ARCHITECTURES:
        name = release.name(architecture)
        with zipfile.ZipFile(release.archive(architecture)) as archive:
            found = set(archive.namelist())
        expected = {f"{name}/{file}" for file in _files()}
        for file in sorted(found ^ expected):
            yield f"{file} is {'missing' if file in expected else 'not expected'}"
        with zipfile.ZipFile(release.operator(architecture)) as archive:
            if sorted(archive.namelist()) != ["LICENSE-APACHE", "LICENSE-MIT", "operator"]:
                yield f"the operator's archive has {archive.namelist()}"


def no_link_leads_out_of_an_archive(release: Release, directory: Path) -> Iterator[str]:
    unpacked = directory / "pages"
    unpack(release.archive("arm64"), unpacked)
    pages = sorted(unpacked.rglob("*.md"))
    for page in pages:
        for target in _LINK.findall(page.read_text()):
            file = target.partition("#")[0]
            if "://" not in target and not (page.parent / file).exists():
                yield f"{page.relative_to(unpacked)} links to {target}"
    if len(pages) < 6:
        yield f"the pages are {pages}"


def the_checksums_are_right(release: Release) -> Iterator[str]:
    run = subprocess.run(
        ["sha256sum", "--check", "--quiet", "--strict", f"SHA256SUMS-{release.version}"],
        cwd=release.directory,
        capture_output=True,
        text=True,
    )
    if run.returncode != 0:
        yield run.stdout + run.stderr
    for architecture in ARCHITECTURES:
        name = release.name(architecture)
        with zipfile.ZipFile(release.archive(architecture)) as archive:
            lines = archive.read(f"{name}/SHA256SUMS").decode().splitlines()
            listed = {file: digest for digest, file in (line.split("  ") for line in lines)}
            if listed.keys() != _files() - {"SHA256SUMS"}:
                yield f"{name} has checksums of {sorted(listed)}"
            for file, digest in listed.items():
                if hashlib.sha256(archive.read(f"{name}/{file}")).hexdigest() != digest:
                    yield f"{name}/{file} has another checksum"


def the_programs_start_on_amazon_linux(release: Release, directory: Path) -> Iterator[str]:
    for architecture, machine in ARCHITECTURES.items():
        for program in _programs(release, architecture, directory):
            header = _read("--file-header", program)
            if not re.search(rf"Machine: +.*{machine}$", header, re.MULTILINE):
                yield f"{program} is built for another machine"
            wanted = {(int(a), int(b)) for a, b in _GLIBC.findall(_read("--version-info", program))}
            if not wanted or max(wanted) > _GLIBC_MAX:
                yield f"{program} needs the versions {sorted(wanted)} of the C library"
            if not program.stat().st_mode & 0o001:
                yield f"{program} is not executable for all"


def no_path_of_this_machine_is_in_a_program(release: Release, directory: Path) -> Iterator[str]:
    for architecture in ARCHITECTURES:
        for program in _programs(release, architecture, directory):
            content = program.read_bytes()
            for path in (ROOT, Path.home()):
                if f"{path}/".encode() in content:
                    yield f"{program} has the path {path}"


def the_operator_runs(release: Release, directory: Path) -> Iterator[str]:
    """That of this machine: of the other, only its header is read."""
    unpacked = directory / "operator"
    unpack(release.operator("x86_64"), unpacked)
    unpack(release.archive("x86_64"), directory / "registered")
    layer = directory / "registered" / release.name("x86_64") / "layer/ferry/functions.json"
    run = subprocess.run([unpacked / "operator", "check", layer], capture_output=True, text=True)
    if run.returncode != 0 or "0 functions are valid" not in run.stdout + run.stderr:
        yield f"operator check ends with {run.returncode}: {run.stdout}{run.stderr}"


def the_bytes_are_those_of_another_build(release: Release, other: Release) -> Iterator[str]:
    for archive, again in zip(release.all(), other.all(), strict=True):
        if archive.read_bytes() != again.read_bytes():
            yield f"{archive.name} differs"


def _programs(release: Release, architecture: str, directory: Path) -> Iterator[Path]:
    unpacked = directory / "programs" / architecture
    if not unpacked.exists():
        unpack(release.archive(architecture), unpacked)
        for function in FUNCTIONS:
            name = function.lower()
            archive = unpacked / release.name(architecture) / "functions" / f"{name}.zip"
            unpack(archive, unpacked / name)
        unpack(release.operator(architecture), unpacked / "operator")
    for function in FUNCTIONS:
        yield unpacked / function.lower() / "bootstrap"
    yield unpacked / "operator" / "operator"


def _read(option: str, program: Path) -> str:
    command = ["readelf", "--wide", option, program]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
