"""Bringing in the change log of another system."""

import csv
import lzma
from collections import Counter
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from changemgmt.architecture.models import Component, ComponentType, Layer
from changemgmt.audit.models import Event
from changemgmt.changes.models import Change, Version
from changemgmt.core.errors import Invalid
from changemgmt.lifecycle.import_changes import import_changes

LOG = settings.BASE_DIR / "data" / "change-log-osg"
NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
HEADER = (
    "change_id,class,severity,resource,resource_group,site,facility,services,description,created_at,published_at,planned_start,planned_end,"
    "start,end,window_revisions,state,removed_at"
)


def rows() -> list[dict[str, str]]:
    with lzma.open(LOG / "changes.csv.xz", "rt", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def log(folder: Path, *lines: str, header: str = HEADER) -> Path:
    file = folder / "changes.csv"
    file.write_text("\n".join((header, *lines)) + "\n")
    return file


def line(
    identity: str = "1", kind: str = "SCHEDULED", resource: str = "R1", created: str = "2020-03-01T08:00:00Z", state: str = "published", **more: str
) -> str:
    window = more.get("window", "2020-03-02T08:00:00Z,2020-03-02T10:00:00Z")
    last = more.get("last", window)
    return f"{identity},{kind},Outage,{resource},g,Site,f,CE;SE,Patching,{created},{created},{window},{last},0,{state},"


@pytest.fixture
def resource(db) -> Component:
    layer = Layer.objects.create(name="technology", order=4)
    kind = ComponentType.objects.create(name="resource", layer=layer)
    site = ComponentType.objects.create(name="site", layer=layer)
    Component.objects.create(key="site:R1", name="R1", type=site, layer=layer)
    return Component.objects.create(key="resource:R1", name="R1", type=kind, layer=layer)


def test_the_whole_real_log_comes_in_and_a_second_time_nothing_does(db) -> None:
    given = rows()
    report = import_changes(LOG, now=NOW)
    assert (report.adds, report.unchanged) == (1360, 0)
    assert Change.objects.filter(imported=True, result=None).count() == 1360
    assert Change.objects.filter(type="emergency").count() == sum(row["class"] == "UNSCHEDULED" for row in given)
    assert Change.objects.filter(state="cancelled").count() == 27
    empty = sum(row["start"] == row["end"] or row["end"] > "2026-11-20T09:00:00Z" for row in given)
    assert Change.objects.filter(actual_start=None, actual_end=None).count() == empty
    years = Counter((row["created_at"] or row["start"])[:4] for row in given)
    numbers = Counter(number[4:8] for number in Change.objects.values_list("number", flat=True))
    assert numbers == years
    assert all(Change.objects.filter(number=f"CHG-{year}-{count:05d}").exists() for year, count in years.items())
    assert Event.objects.filter(action="change.imported").count() == Version.objects.count() == 1360
    again = import_changes(LOG, now=NOW)
    assert (again.adds, again.unchanged) == (0, 1360)
    assert Event.objects.count() == 1360


def test_a_change_names_the_component_of_its_resource(resource: Component, tmp_path: Path) -> None:
    report = import_changes(log(tmp_path, line(), line("2", resource="gone")), now=NOW)
    first, second = Change.objects.order_by("number")
    assert [(item.key, item.operation, item.data, item.layer) for item in first.items.all()] == [("resource:R1", "update", {}, "technology")]
    assert not second.items.exists()
    assert second.no_items_reason
    assert report.without_items == 1
    assert report.skipped == [{"where": "component gone", "reason": "There is no component called gone. Its changes are imported without items."}]


def test_the_windows_and_references_are_kept(db, tmp_path: Path) -> None:
    import_changes(log(tmp_path, line(last="2020-03-02T09:00:00Z,2020-03-02T12:00:00Z")), now=NOW)
    change = Change.objects.get()
    assert (change.planned_start, change.planned_end) == (datetime(2020, 3, 2, 8, tzinfo=UTC), datetime(2020, 3, 2, 10, tzinfo=UTC))
    assert (change.actual_start, change.actual_end) == (datetime(2020, 3, 2, 9, tzinfo=UTC), datetime(2020, 3, 2, 12, tzinfo=UTC))
    assert change.external_references == [{"system": "change-log-osg", "id": "1", "url": None}]
    assert (change.state, change.imported, change.tags, change.requester.is_service) == ("closed", True, ["CE", "SE"], True)


def test_what_is_over_has_no_window_ahead(db, tmp_path: Path) -> None:
    import_changes(log(tmp_path, line(window="2020-03-02T08:00:00Z,2100-01-01T00:00:00Z")), now=NOW)
    change = Change.objects.get()
    assert (change.state, change.planned_start, change.planned_end, change.actual_end) == ("closed", None, None, None)


def test_a_dry_run_stores_nothing(db, tmp_path: Path) -> None:
    report = import_changes(log(tmp_path, line()), now=NOW, dry_run=True)
    assert report.adds == 1
    assert not Change.objects.exists()
    assert not Event.objects.exists()


def test_a_row_that_cannot_be_read_is_reported_with_its_line(db, tmp_path: Path) -> None:
    report = import_changes(log(tmp_path, line("1", kind="MAYBE"), line("2", created="soon"), line(""), line("4"), line("4")), now=NOW)
    assert report.adds == 1
    assert [entry["where"] for entry in report.skipped if entry["where"].startswith("line")] == ["line 2", "line 3", "line 4", "line 6"]
    assert "value table" in report.skipped[0]["reason"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe\x00", "line 1: this is not UTF-8 text"),
        (b"a,b\n1,2\n", "No shipped mapping fits"),
        (b"", "No shipped mapping fits"),
        (HEADER.encode() + b"\n1,2\n", "line 2: it does not have as many columns"),
        (HEADER.encode() + b'\n1,"2\n', "line 2"),
    ],
)
def test_a_malformed_file_is_refused_whole_with_the_place(db, tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "changes.csv"
    file.write_bytes(content)
    with pytest.raises(Invalid, match=said):
        import_changes(file, now=NOW)
    assert not Change.objects.exists()


def test_a_packed_file_that_is_none_is_refused(db, tmp_path: Path) -> None:
    file = tmp_path / "changes.csv.xz"
    file.write_bytes(b"not packed")
    with pytest.raises(Invalid, match="can't be read"):
        import_changes(file, now=NOW)


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ("[]", "A mapping is an object"),
        ("a: [", "no YAML"),
        ("system: s\nid: change_id\nfields: {}", "title and created_at must be mapped"),
        ("system: s\nid: change_id\nfields: {colour: x}", "colour is none of ours"),
        ("system: s\nid: change_id\nzone: Nowhere\nfields: {title: description, created_at: start}", "no time zone"),
        ("system: s\nid: change_id\nfields: {title: description, created_at: start, type: {column: class, values: {A: odd}}}", "odd is not one of"),
        ("system: s\nid: change_id\nfields: {title: subject, created_at: start}", "lacks the columns subject"),
    ],
)
def test_a_wrong_mapping_is_refused_and_the_mistake_is_named(db, tmp_path: Path, mapping: str, said: str) -> None:
    file = tmp_path / "mapping.yaml"
    file.write_text(mapping)
    with pytest.raises(Invalid, match=said):
        import_changes(log(tmp_path, line()), now=NOW, mapping=file)


def test_an_own_mapping_reads_another_log(db, tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text(
        "system: tickets\nzone: Europe/Vienna\nid: nr\nfields:\n  title: what\n  created_at: when\n  type: {column: kind, values: {N: normal}, default: major}\n"
    )
    file = tmp_path / "tickets.csv"
    file.write_text("nr,what,when,kind\n7,Move the mail,2024-07-01 12:00,\n")
    import_changes(file, now=NOW, mapping=mapping)
    change = Change.objects.get()
    assert (change.number, change.title, change.type) == ("CHG-2024-00001", "Move the mail", "major")
    assert change.created_at == datetime(2024, 7, 1, 10, tzinfo=UTC)


def test_the_command_reports_and_refuses(db, tmp_path: Path) -> None:
    out = StringIO()
    call_command("import_changes", str(log(tmp_path, line())), stdout=out)
    assert "1 changes were imported from change-log-osg" in out.getvalue()
    with pytest.raises(CommandError, match="There is no file"):
        call_command("import_changes", str(tmp_path / "none.csv"))
