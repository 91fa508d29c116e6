"""What the README promises is there, and what is there stands in the README."""

import re
import sys
from pathlib import Path

import pytest
import yaml

from changemgmt.tests.needs import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(path.stem for path in (ROOT / "changemgmt" / "management" / "commands").glob("*.py") if not path.stem.startswith("_"))
READ = re.compile(r"""(?:environ\.get\(|environ\[|flag\(|getenv\()\s*["']([A-Z][A-Z_]+)["']""")
NOT_OURS = {"DJANGO_SETTINGS_MODULE", "USER"}


def settings_read() -> list[str]:
    """Every environment variable that settings and commands read."""
    files = [*(ROOT / "config").glob("*.py"), *(ROOT / "changemgmt").rglob("*.py")]
    texts = [path.read_text(encoding="utf-8") for path in files if "tests" not in path.parts]
    return sorted({name for text in texts for name in READ.findall(text)} - NOT_OURS)


@pytest.mark.parametrize("name", settings_read())
def test_every_setting_is_in_the_readme(name: str) -> None:
    assert f"`{name}`" in README


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_readme(name: str) -> None:
    assert f"manage.py {name}" in README


@pytest.mark.parametrize("target", re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
def test_every_make_target_is_in_the_readme(target: str) -> None:
    assert f"make {target}" in README


def requirements() -> list[tuple[str, str]]:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return [tuple(line.split("==")) for line in lines if line and not line.startswith(("#", "-"))]  # type: ignore[misc]


@pytest.mark.parametrize("name", [re.sub(r"\[.*", "", name) for name, _ in requirements()])
def test_every_dependency_has_its_reason_in_the_readme(name: str) -> None:
    assert f"| {name} |" in README


def test_every_dependency_is_pinned() -> None:
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?", name) and re.fullmatch(r"[0-9][0-9.]*", version) for name, version in requirements())


def test_links_between_the_pages_lead_somewhere() -> None:
    broken = []
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert broken == []


def test_compose_starts_what_production_needs() -> None:
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    assert {"web", "worker", "scheduler", "setup", "postgres", "redis"} <= services.keys()
    units = {path.name for path in (ROOT / "deploy" / "systemd").glob("*.service")}
    assert units == {"countersign-web.service", "countersign-worker.service", "countersign-scheduler.service"}


def test_shipped_data_names_its_licence() -> None:
    readme = (ROOT / "data" / "README.md").read_text()
    for folder in (ROOT / "data").iterdir():
        if folder.is_dir() and folder.name != "licences":
            assert f"`{folder.name}/`" in readme
    assert (ROOT / "data" / "licences" / "Apache-2.0.txt").exists()


def test_the_tests_import_from_this_checkout() -> None:
    assert Path(sys.modules["changemgmt"].__file__ or "").is_relative_to(ROOT)
