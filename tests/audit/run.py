"""Look up pinned versions in a folder of advisories, offline.

python tests/audit/run.py FOLDER [constraints.txt]

FOLDER holds advisories in the OSV form: a clone of github.com/pypa/advisory-database, or the
unpacked https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

LOCK = Path(__file__).parents[2] / "constraints.txt"


def main() -> int:
    """Print every pin that an advisory names; 1 when there is one, 2 without advisories."""
    folder, lock = Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else LOCK
    pinned = pins(lock.read_text())
    read, newest, hits = 0, "", 0
    for advisory in advisories(folder):
        read += 1
        newest = max(newest, str(advisory["modified"]))
        for name, version in affected(advisory, pinned):
            hits += 1
            print(f"{name} {version}: {', '.join([advisory['id'], *advisory.get('aliases', [])])}")
    print(f"{len(pinned)} pins, {read} advisories (newest: {newest[:10] or 'none'}), {hits} hits")
    return 2 if not read else 1 if hits else 0


def pins(lock: str) -> dict[str, Version]:
    """Read the lines ``name==version`` of a lock.

    Examples
    --------
    >>> pins("# by hand\\nPyYAML==6.0.3\\ntorch==2.13.0; python_version > '3'")
    {'pyyaml': <Version('6.0.3')>, 'torch': <Version('2.13.0')>}
    """
    lines = [line.partition(";")[0].partition("#")[0] for line in lock.splitlines()]
    pairs = [line.split("==") for line in lines if "==" in line]
    return {canonicalize_name(name.strip()): Version(version.strip()) for name, version in pairs}


def advisories(folder: Path) -> Iterator[Mapping[str, Any]]:
    """Read all advisories that were not withdrawn."""
    for file in sorted(folder.rglob("*")):
        if file.suffix in (".yaml", ".json"):
            found = yaml.load(file.read_bytes(), yaml.CSafeLoader)  # JSON is YAML
            if isinstance(found, dict) and "affected" in found and "withdrawn" not in found:
                yield found


def affected(advisory: Mapping[str, Any], pinned: Mapping[str, Version]) -> Iterator[tuple[str, Version]]:
    """Name the pins that an advisory is about."""
    names = dict.fromkeys(
        canonicalize_name(one["package"]["name"])
        for one in advisory["affected"]
        if one.get("package", {}).get("ecosystem") == "PyPI"
    )
    for name in names:
        if name in pinned and any(
            covers(one, pinned[name])
            for one in advisory["affected"]
            if canonicalize_name(one["package"]["name"]) == name
        ):
            yield name, pinned[name]


def covers(affected: Mapping[str, Any], version: Version) -> bool:
    """Tell whether a version is among those listed, or inside a range.

    By https://ossf.github.io/osv-schema: ``introduced`` opens a range, ``fixed`` closes it before
    the version it names, ``last_affected`` after it.
    """
    if version in map(_version, affected.get("versions", [])):
        return True
    for one in affected.get("ranges", []):
        inside = False
        for event in one["events"] if one["type"] != "GIT" else []:
            ((kind, limit),) = event.items()
            at = _version(limit)
            if kind == "introduced" and version >= at:
                inside = True
            elif (kind == "fixed" and version >= at) or (kind == "last_affected" and version > at):
                inside = False
        if inside:
            return True
    return False


def _version(text: Any) -> Version:
    try:
        return Version(str(text))
    except InvalidVersion:  # PyPI once took such; no pin of ours is called so
        return Version("0.dev0")


if __name__ == "__main__":
    sys.exit(main())
