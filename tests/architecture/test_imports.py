"""Who may import whom, as in docs/architecture.md. Members are discovered: a new provider is covered by existing."""

import ast
import fnmatch
import re
import subprocess
import sys
from pathlib import Path

import pytest
from workspace import ROOT, Member, codecs, members, written

IMPURE = ["asyncio", "datetime", "grpc", "logging", "opentelemetry", "os", "random", "socket", "threading", "time"]
SDKS = ["openai", "anthropic", "cohere", "hvac", "xllamacpp", "aiohttp", "yaml", "dotenv", "redis"]
LIBRARIES = {"antiphon_contract", "antiphon_kit", "antiphon_wires", "antiphon_client"}
ARCHITECTURE = ROOT / "docs" / "architecture.md"
TEST_TOOLS = {"antiphon_conformance", "antiphon_bench", "antiphon_harness"}


def _contract(name: str, kind: str, *, indirect: bool = False, **lists: list[str]) -> str:
    body = "".join(f"{key} =\n" + "".join(f"    {value}\n" for value in values) for key, values in lists.items())
    slug = "".join(c if c.isalnum() else "-" for c in name)
    return f"[importlinter:contract:{slug}]\nname = {name}\ntype = {kind}\n{body}" + (
        "allow_indirect_imports = True\n" if indirect else ""
    )


def _forbid(name: str, source: list[str], forbidden: list[str], *, indirect: bool = False) -> str:
    return _contract(name, "forbidden", indirect=indirect, source_modules=source, forbidden_modules=forbidden)


def rules() -> list[str]:
    ours = written()
    names = {member.package for member in ours}
    programs = sorted(names - LIBRARIES - TEST_TOOLS)
    pure = [*codecs(), "antiphon_wires.sse"]
    core = ["antiphon_router.core"]
    found = [
        _forbid("The wire contract depends on nothing of ours", ["antiphon"], sorted(names)),
        _forbid(
            "The rules of the contract know no one else", ["antiphon_contract"], sorted(names - {"antiphon_contract"})
        ),
        _contract("Programs are unaware of each other", "independence", modules=programs),
        _forbid(
            "The kit knows no program, wire, client or suite",
            ["antiphon_kit"],
            sorted(names - {"antiphon_contract", "antiphon_kit"}),
        ),
        _forbid(
            "The client knows the contract only",
            ["antiphon_client"],
            sorted(names - {"antiphon_contract", "antiphon_client"}),
        ),
        _forbid(
            "Wires know no program, client or suite",
            ["antiphon_wires"],
            sorted(names - {"antiphon_contract", "antiphon_kit", "antiphon_wires"}),
        ),
        _forbid("The suite sees the wire only", ["antiphon_conformance"], sorted(names - {"antiphon_conformance"})),
        _forbid("No program needs a test tool", [*programs, *sorted(LIBRARIES)], sorted(TEST_TOOLS)),
        _contract("Router: shell over core", "layers", layers=["antiphon_router.shell", "antiphon_router.core"]),
        _forbid("The router core is pure", core, [*IMPURE, "google", "antiphon", *sorted(names - {"antiphon_router"})]),
        # gRPC's status codes are part of the error table; dates are parsed in retry hints, which are told the time.
        _forbid("Codecs are pure", pure, [*sorted({*IMPURE, *SDKS, "antiphon_kit"} - {"grpc", "datetime"})]),
    ]
    for sdk in SDKS:
        strangers = [member.package for member in members() if not _declares(member, sdk)]
        found.append(_forbid(f"Only who declares {sdk} imports it", strangers, [sdk], indirect=True))
    telemetry = [
        f"antiphon_kit.{p.stem}"
        for p in (ROOT / "services/kit/src/antiphon_kit").glob("*.py")
        if p.stem not in ("telemetry", "telemetry_otel", "__init__")
    ]
    found.append(
        _forbid(
            "Only the kit's telemetry module imports OpenTelemetry",
            [*programs, "antiphon_wires", *telemetry],
            ["opentelemetry"],
            indirect=True,
        )
    )
    return found


def _declares(member: Member, sdk: str) -> bool:
    return {"yaml": "pyyaml", "dotenv": "python-dotenv"}.get(sdk, sdk) in member.requires


def lint(directory: Path, contracts: list[str]) -> subprocess.CompletedProcess[str]:
    roots = "".join(f"    {member.package}\n" for member in members())
    config = directory / "contracts.ini"
    config.write_text(
        f"[importlinter]\nroot_packages =\n{roots}include_external_packages = True\n\n" + "\n".join(contracts)
    )
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", str(config)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_imports_keep_to_the_rules(tmp_path):
    linted = lint(tmp_path, rules())
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_wires_are_told_the_time():
    clock = re.compile(r"\b(now|utcnow|today)\(")
    wires = next(member for member in written() if member.package == "antiphon_wires")
    pure = [path for path in wires.modules() if path.stem not in ("adapter", "vendor")]
    assert not [path for path in pure if "time" in _imported(path) or clock.search(path.read_text())]


def test_a_broken_rule_is_seen(tmp_path):
    linted = lint(tmp_path, [_forbid("The kit imports no gRPC", ["antiphon_kit"], ["grpc"])])
    assert linted.returncode == 1
    assert "BROKEN" in linted.stdout


def _allowed() -> dict[str, set[str]]:
    """The table of docs/architecture.md: package or pattern -> packages of ours that it may import."""
    rows = re.findall(r"^\| `(antiphon_[a-z_*]+)` \| ((?:`antiphon\w*`(?:, )?)+) \|$", ARCHITECTURE.read_text(), re.M)
    return {package: set(re.findall(r"`(\w+)`", names)) for package, names in rows}


@pytest.mark.parametrize("member", written(), ids=lambda m: m.package)
def test_a_member_imports_only_what_the_architecture_page_lists(member):
    (allowed,) = [names for pattern, names in _allowed().items() if fnmatch.fnmatch(member.package, pattern)]
    imported = {name for path in member.modules() for name in _imported(path) if name.startswith("antiphon")}
    assert imported - {member.package} <= allowed


@pytest.mark.parametrize("member", written(), ids=lambda m: m.package)
def test_a_member_imports_only_what_it_declares(member):
    """A test environment holds every distribution, so an undeclared import shows only in an image."""
    imported = {name for path in member.modules() for name in _imported(path) if name.startswith("antiphon")}
    assert imported <= _closure(member)


def _imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def _closure(member: Member) -> set[str]:
    by_dist = {m.package.replace("_", "-") if m.package != "antiphon" else "antiphon-protos": m for m in members()}
    seen: set[str] = set()
    todo = [member]
    while todo:
        one = todo.pop()
        if one.package not in seen:
            seen.add(one.package)
            todo += [by_dist[dist] for dist in one.requires if dist in by_dist]
    return seen
