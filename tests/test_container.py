"""The image and its companions, read as far as that goes without a container engine."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipelines.cli import command_line

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("healthscore")]


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions in order, continued lines joined and comments dropped."""
    text = (ROOT / "Dockerfile").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [
        (line.split(None, 1)[0], line.split(None, 1)[1]) for line in joined.splitlines() if line
    ]


def of(name: str) -> list[str]:
    return [given for instruction, given in instructions() if instruction == name]


def last_stage() -> list[tuple[str, str]]:
    found = instructions()
    start = max(place for place, (name, _) in enumerate(found) if name == "FROM")
    return found[start:]


def test_what_is_built_on_has_a_version() -> None:
    default = next(given for given in of("ARG") if given.startswith("PYTHON="))
    images = [
        given.split()[0].replace("${PYTHON}", default.partition("=")[2]) for given in of("FROM")
    ]
    images += [service["image"] for service in SERVICES.values()]
    assert len(images) == 2 + len(SERVICES)
    for image in images:
        assert re.fullmatch(r"[a-z-]+:\d+\.\d+[\w.-]*", image), image
    version = tuple(map(int, re.findall(r"\d+", default)[:2]))
    assert version >= (3, 11)


def test_everything_copied_is_there_and_reaches_the_builder() -> None:
    allowed = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in allowed
    copied = [given for given in of("COPY") if "--from" not in given]
    for given in copied:
        sources = [word for word in given.split()[:-1] if not word.startswith("--")]
        for source in sources:
            assert (ROOT / source).exists(), source
            assert f"!{source.split('/')[0]}" in allowed, source
    assert {name for given in copied for name in given.split()} >= {
        "features",
        "models",
        "pipelines",
    }


def test_the_image_runs_as_nobody_in_particular() -> None:
    stage = last_stage()
    names = [name for name, _ in stage]
    (user,) = [given for name, given in stage if name == "USER"]
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)
    # Nothing is installed after the user changed, and a shell is in nobody's way.
    assert "RUN" not in names[names.index("USER") :]
    assert f"--uid {user.partition(':')[0]}" in " ".join(of("RUN"))
    assert json.loads(of("ENTRYPOINT")[0]) == ["entrypoint"]


def test_packages_are_installed_from_the_pins_alone() -> None:
    installs = [part for given in of("RUN") for part in given.split("&&") if "pip install" in part]
    assert len(installs) == 2
    assert (
        "--require-hashes --no-deps --only-binary :all: --requirement ${REQUIREMENTS}"
        in installs[0]
    )
    assert "--no-index --no-deps --no-build-isolation ." in installs[1]
    debian = " ".join(given for name, given in last_stage() if name == "RUN")
    assert not re.search(r"\b(gcc|g\+\+|build-essential|git|curl)\b", debian)
    assert "pip uninstall --yes --quiet --root-user-action ignore setuptools wheel pip" in debian
    assert "rm -rf /var/lib/apt/lists/*" in debian


def test_the_image_has_the_libraries_that_continuous_integration_has() -> None:
    integration = (ROOT / ".ci" / "run").read_text("utf-8")
    (debian,) = [given for given in of("RUN") if "apt-get install" in given]
    named = debian.partition("--no-install-recommends")[2].partition("&&")[0].split()
    assert {"libgomp1", "libpango-1.0-0", "libpangoft2-1.0-0"} <= set(named)
    assert [name for name in named if f"    {name}" not in integration] == []


def pins(name: str) -> dict[str, str]:
    """Every pin of a requirements file: canonical name to version."""
    text = (ROOT / name).read_text("utf-8")
    found = re.findall(r"^([\w.-]+)==([^\s;]+)", text, flags=re.MULTILINE)
    assert len(found) > 50
    return {canonicalize_name(package): version for package, version in found}


# A build backend is there while the image is built, and is taken out again.
BUILT_WITH = {"hatchling", "pathspec", "pluggy", "trove-classifiers"}
TOOLS = {"pytest", "mypy", "ruff", "sphinx", "marimo", "playwright", "hypothesis", "pyspark"}
SERVERS = {"mlflow", "flask", "flask-cors", "gunicorn", "docker", "graphene", "huey", "aiohttp"}


@pytest.mark.parametrize("name", ["requirements-image.txt", "requirements-server.txt"])
def test_images_hold_what_development_tests(name: str) -> None:
    development = pins("requirements.txt")
    assert {p: v for p, v in pins(name).items() if development.get(p) != v} == {}


def test_the_image_holds_what_is_used_and_no_tools_or_servers() -> None:
    held = pins("requirements-image.txt").keys()
    needed = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    assert needed | {"psycopg", "psycopg-binary", *BUILT_WITH} <= held
    assert not held & (TOOLS | SERVERS)
    assert pins("requirements-server.txt").keys() - held >= SERVERS


def test_what_builds_is_taken_out_again() -> None:
    (line,) = [given for given in of("RUN") if "pip uninstall --yes --quiet hatchling" in given]
    taken = line.partition("--quiet ")[2].partition(" &&")[0].split()
    assert set(taken) == BUILT_WITH
    # Nothing that stays asks for one of them.
    asking = {
        canonicalize_name(Requirement(text).name)
        for package in pins("requirements-image.txt").keys() - BUILT_WITH
        for text in requires_of(package)
        if (marker := Requirement(text).marker) is None or marker.evaluate({"extra": ""})
    }
    assert not asking & BUILT_WITH


def requires_of(package: str) -> list[str]:
    """What an installed package asks for; nothing of one that other systems have."""
    try:
        return requires(package) or []
    except PackageNotFoundError:
        return []


@pytest.mark.parametrize(("given", "known"), [("s3 cr$t'\n", "s3 cr$t'"), (None, "none")])
def test_the_password_comes_from_its_file(tmp_path: Path, given: str | None, known: str) -> None:
    environment = {"PATH": os.environ["PATH"]}
    if given is not None:
        (tmp_path / "password").write_text(given, encoding="utf-8")
        environment["PGPASSWORD_FILE"] = str(tmp_path / "password")
    asked = 'printf %s "${PGPASSWORD-none}"; exit 7'
    ran = subprocess.run(
        [ROOT / "container" / "entrypoint.sh", "sh", "-c", asked],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (7, known, "")


def test_a_password_whose_file_is_gone_starts_nothing(tmp_path: Path) -> None:
    ran = subprocess.run(
        [ROOT / "container" / "entrypoint.sh", "touch", tmp_path / "started"],
        env={"PATH": os.environ["PATH"], "PGPASSWORD_FILE": str(tmp_path / "gone")},
        capture_output=True,
        check=False,
    )
    assert ran.returncode
    assert not (tmp_path / "started").exists()


def options_of(command: Any) -> set[str]:
    return {option for one in command.params for option in one.opts}


def test_services_run_commands_that_exist() -> None:
    from mlflow.cli import cli as mlflow

    programs = {"healthscore": typer.main.get_command(command_line()), "mlflow": mlflow}
    for name in OURS:
        program, command, *given = SERVICES[name]["command"]
        known = options_of(programs[program].commands[command])
        options = {word.partition("=")[0] for word in given}
        assert options <= known, name
    assert SERVICES["panel"]["command"][:2] == ["healthscore", "serve"]


def test_the_registry_of_the_compose_file_has_the_server() -> None:
    built = SERVICES["mlflow"]["build"]["args"]
    assert built == {"REQUIREMENTS": "requirements-server.txt"}
    assert f"REQUIREMENTS={'requirements-image.txt'}" in of("ARG")
    images = {service["image"] for service in SERVICES.values() if service.get("build") == "."}
    assert SERVICES["mlflow"]["image"] not in images


def test_no_password_is_written_down() -> None:
    text = (ROOT / "compose.yaml").read_text("utf-8")
    assert not re.search(r"://[^/@\s]+:[^/@\s]+@", text)
    for name, service in SERVICES.items():
        for key in service.get("environment", {}):
            assert "PASSWORD" not in key or key.endswith("_FILE"), (name, key)
    secrets = COMPOSE["secrets"]
    assert all(set(secret) == {"file"} for secret in secrets.values())
    ignored = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert {f"/{Path(secret['file']).parts[0]}/" for secret in secrets.values()} <= set(ignored)
    for service in SERVICES.values():
        for key, value in service.get("environment", {}).items():
            if key.endswith("_FILE"):
                assert value.removeprefix("/run/secrets/") in service["secrets"]
        assert set(service.get("secrets", [])) <= secrets.keys()


def test_services_wait_for_each_other_and_tell_when_they_are_ready() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert "test" in SERVICES[other]["healthcheck"], (name, other)
    is_job = {name for name, service in SERVICES.items() if service.get("profiles") == ["job"]}
    assert is_job == {"train", "score", "monitor"}
    assert all(SERVICES[name]["healthcheck"] == {"disable": True} for name in is_job)


def test_nothing_listens_but_on_this_machine() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_services_of_ours_can_write_only_where_they_must() -> None:
    for name in OURS:
        service = SERVICES[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        targets = {volume.split(":")[1] for volume in service["volumes"]}
        assert targets <= {"/company", "/models"}, name
    named = {v.split(":")[0] for s in SERVICES.values() for v in s["volumes"] if v[0] not in "./"}
    assert named == COMPOSE["volumes"].keys()


def test_the_health_check_asks_what_the_panel_answers_without_login() -> None:
    from pipelines.dashboard.access.gate import OPEN_PATHS

    (check,) = of("HEALTHCHECK")
    asked = re.search(r"http://127\.0\.0\.1:(\d+)(/\w+)'", check)
    assert asked is not None
    assert (asked[1], asked[2] in OPEN_PATHS) == (of("EXPOSE")[0], True)


def test_the_script_of_the_databases_is_sound() -> None:
    script = COMPOSE["configs"]["databases"]["content"].replace("$$", "$")
    assert script.startswith("#!/bin/bash\n")
    # A document within the script ends at the beginning of a line.
    assert "\nSQL\n" in script
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    made = re.search(r"for name in ([\w ]+);", script)
    assert made is not None
    for name in made[1].split():
        assert f"{name}_password" in SERVICES["postgres"]["secrets"]
    assert shlex.split(made[1]) == ["scores", "models"]
