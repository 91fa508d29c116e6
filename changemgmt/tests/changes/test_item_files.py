"""Plans of terraform as items: what each action becomes, what is hidden, what is reported and what is refused."""

import json
import lzma
from collections import Counter
from pathlib import Path

import pytest
from django.conf import settings

from changemgmt.changes import item_files
from changemgmt.changes.item_files import read
from changemgmt.core.errors import Invalid

PLANS = sorted((Path(settings.BASE_DIR) / "data" / "terraform-plans").glob("*.json.xz"))
SECRET = "hunter2"
HIDDEN, UNKNOWN = "(sensitive)", "(known after apply)"


def row(address="vm.web", actions=("update",), before=None, after=None, **more):
    marks = {name: more.pop(name) for name in ("before_sensitive", "after_sensitive", "after_unknown") if name in more}
    change = {"actions": list(actions), "before": before, "after": after, **marks}
    return {
        "address": address,
        "mode": "managed",
        "type": address.split(".")[0],
        "name": "x",
        "provider_name": "acme/cloud",
        "change": change,
        **more,
    }


def plan(*rows, **more):
    return json.dumps({"format_version": "1.2", "resource_changes": list(rows), **more}).encode()


def proposed(*rows, namespace="", **more):
    return read(plan(*rows, **more), format="terraform_plan", namespace=namespace)


def item(*rows, **more):
    (proposal,) = proposed(*rows, **more).items
    return proposal.item


@pytest.mark.parametrize(
    ("actions", "operation", "replace"),
    [
        (["create"], "create", False),
        (["update"], "update", False),
        (["delete"], "delete", False),
        (["delete", "create"], "update", True),
        (["create", "delete"], "update", True),
        (["create", "forget"], "update", True),
    ],
)
def test_each_action_becomes_its_operation(actions, operation, replace):
    before, after = (None if operation == "create" else {"size": 1}), (None if operation == "delete" else {"size": 2})
    found = item(row(actions=actions, before=before, after=after), namespace="tf")
    assert (found["operation"], found.get("replace", False), found["key"], found["object"]) == (operation, replace, "tf/vm.web", "component")
    attributes = found.get("data", {}).get("attributes", {})
    assert attributes.get("size") == (None if operation == "delete" else 2)


@pytest.mark.parametrize("actions", [["no-op"], ["read"], []])
def test_what_changes_nothing_is_no_item_and_no_fault(actions):
    found = proposed(row(actions=actions, before={"a": 1}, after={"a": 2}))
    assert (found.items, found.skipped) == ([], [])


@pytest.mark.parametrize("actions", [["forget"], ["explode"], ["update", "delete"]])
def test_other_actions_are_reported(actions):
    found = proposed(row(actions=actions, before={}, after={}))
    assert found.items == [] and [where for where, _ in found.skipped] == ["vm.web"] and ", ".join(actions) in found.skipped[0][1]


def test_data_sources_leftovers_and_nonsense_are_no_items():
    found = proposed(
        row("data.image.base", ["read"], None, {}, mode="data"),
        row(actions=["delete"], before={}, deposed="ab12"),
        7,
        {"address": "x"},
        {"address": 5, "change": {"actions": []}},
    )
    assert found.items == []
    assert [where for where, _ in found.skipped] == ["vm.web", "resource_changes.2", "resource_changes.3", "resource_changes.4"]


def test_an_update_holds_what_differs_and_takes_away_what_went():
    before = {"size": 1, "old": "x", "tags": {"a": 1, "b": 2}, "same": [1]}
    after = {"size": 2, "tags": {"a": 1, "b": 3}, "same": [1], "new": None}
    assert item(row(before=before, after=after))["data"] == {"attributes": {"old": None, "size": 2, "tags": {"b": 3}}}


def test_a_moved_resource_is_an_update_of_the_component_under_its_former_address():
    same = {"size": 1}
    quiet = item(row("vm.new", ["no-op"], same, same, previous_address="vm.old"), namespace="tf")
    assert quiet == {"operation": "update", "object": "component", "key": "tf/vm.old", "data": {"name": "vm.new"}}
    both = item(row("vm.new", ["update"], same, {"size": 2}, previous_address="vm.old"))
    assert both == {"operation": "update", "object": "component", "key": "vm.old", "data": {"name": "vm.new", "attributes": {"size": 2}}}
    replaced = item(row("vm.new", ["delete", "create"], same, {"size": 2}, previous_address="vm.old"))
    assert (replaced["key"], replaced["replace"], replaced["data"]["name"]) == ("vm.old", True, "vm.new")
    assert proposed(row("vm.new", ["no-op"], same, same, previous_address="vm.new")).items == []


def test_drift_is_reported_by_names_and_makes_no_items():
    found = proposed(
        resource_drift=[
            row(before={"size": 1, "password": SECRET}, after={"size": 2, "password": "other"}),
            row("vm.gone", ["delete"], {"a": SECRET}, None),
            row("vm.quiet", ["no-op"], {}, {}),
            "nonsense",
        ]
    )
    assert found.items == [] and SECRET not in str(found)
    assert found.skipped == [
        ("resource_drift.0, vm.web", "It was changed outside terraform: password, size. That is drift, which a plan reports and does not do."),
        ("resource_drift.1, vm.gone", "It was deleted outside terraform. That is drift, which a plan reports and does not do."),
    ]


HIDINGS = [
    ({"password": SECRET}, {"password": True}),
    ({"admin": {"pin": SECRET, "login": "root"}}, {"admin": {"pin": True}}),
    ({"keys": [{"v": SECRET}, {"v": "open"}]}, {"keys": [{"v": True}]}),
    ({"keys": [SECRET]}, {"keys": True}),
    ({"anything": SECRET}, True),
    ({"api_token": SECRET}, {}),
    ({"variables": {"DB_PASSWORD": SECRET}}, False),
    ({"url": f"postgres://root:{SECRET}@db/x"}, None),
    ({"pem": f"-----BEGIN PRIVATE KEY-----\n{SECRET}"}, {}),
]


@pytest.mark.parametrize(("values", "marks"), HIDINGS)
@pytest.mark.parametrize("actions", [["create"], ["update"], ["delete", "create"]])
def test_sensitive_values_are_nowhere(values, marks, actions):
    found = proposed(row(actions=actions, before={}, after=values, after_sensitive=marks))
    assert len(found.items) == 1 and SECRET not in str(found)


def test_an_update_of_nothing_but_a_secret_says_which():
    marks = {"before_sensitive": {"password": True}, "after_sensitive": {"password": True}}
    found = item(row(before={"password": SECRET, "a": 1}, after={"password": "other", "a": 1}, **marks))
    assert found["data"] == {"attributes": {"password": HIDDEN}}


def test_what_is_known_only_afterwards_says_so():
    unknown = {"id": True, "net": {"ip": True, "mask": False}, "disks": [{"id": True}, {}], "deep": {"er": {"x": False}}, "list": [True]}
    found = item(row(actions=["create"], after={"size": 1, "disks": [{"n": 1}, {"n": 2}], "list": [None]}, after_unknown=unknown))
    told = {"terraform_type": "vm", "provider": "acme/cloud"}
    disks = [{"n": 1, "id": UNKNOWN}, {"n": 2}]
    assert found["data"]["attributes"] == told | {"size": 1, "id": UNKNOWN, "net": {"ip": UNKNOWN}, "disks": disks, "list": [UNKNOWN]}


@pytest.mark.parametrize("encode", [str.encode, lambda text: text.encode("utf-8-sig"), lambda text: text.encode("utf-16")])
def test_a_plan_is_read_in_the_encodings_shells_write(encode):
    text = plan(row("vm.grün", ["create"], None, {"city": "Zürich"})).decode()
    (proposal,) = read(encode(text), format="terraform_plan").items
    assert proposal.item["data"]["attributes"]["city"] == "Zürich"
    big = b"\xfe\xff" + text.encode("utf-16-be")
    assert read(big, format="terraform_plan").items == [proposal]


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.name)
def test_every_shipped_plan_gives_what_the_file_holds(path):
    """Counted from the file itself: each change that is neither nothing nor a look is an item, each drift a report."""
    raw = lzma.decompress(path.read_bytes())
    document = json.loads(raw)
    told = Counter()
    for change in (one["change"]["actions"] for one in document["resource_changes"] if one["mode"] == "managed"):
        told["update" if len(change) == 2 else change[0]] += 1
    found = read(raw, format="terraform_plan")
    assert Counter(one.item["operation"] for one in found.items) == told - Counter({"no-op": told["no-op"], "read": told["read"]})
    assert len(found.skipped) == len(document.get("resource_drift", []))
    assert {one.item["key"] for one in found.items} <= {one["address"] for one in document["resource_changes"]}


DEEP = b'{"resource_changes": ' + b"[" * 150 + b"]" * 150 + b"}"
BAD = [
    (b'{"resource_changes": [', r"line 1, column 23"),
    (b"[" * 200_000, r"nested more than 100 deep \(line 1, column 101\)"),
    (DEEP, r"nested more than 100 deep \(line 1, column 121\)"),
    (b'{"resource_changes": [],\n "resource_changes": []}', r"'resource_changes' twice in one object \(line 2, column 2\)"),
    (b'{"resource_changes": [], "a": {"b": 1, "\\u0062": 2}}', r"'b' twice in one object \(line 1, column 40\)"),
    (b'{"resource_changes": NaN}', "NaN is no number"),
    (b'{"resource_changes": ' + b"9" * 10_000 + b"}", "can't be read as JSON"),
    (b'{"resource_changes": ["\\ud800"]}', "half a surrogate pair"),
    (b'{"resource_changes": []}\x00', "NUL"),
    (b"\xff\xfe{\x00\x00\xd8", "not UTF-16, as it begins: line 1"),
    (b'{\n"a": "\xff"}', "not UTF-8: line 2"),
    (b'{"format_version": "1.0", "values": {}}', "no resource_changes"),
    (b'{"resource_changes": [], "errored": true}', "ended in an error"),
    (b'{"resource_changes": {}}', "no resource_changes"),
]


@pytest.mark.parametrize(("data", "says"), BAD)
def test_a_bad_plan_is_refused_with_its_place(data, says):
    with pytest.raises(Invalid, match=says):
        read(data, format="terraform_plan")


def test_a_plan_of_too_many_values_or_bytes_is_refused_before_it_is_unfolded(monkeypatch):
    many = b'{"resource_changes": [' + b"[]," * 10_000_000 + b"1]}"
    with pytest.raises(Invalid, match="more than 8,000,000 values"):
        read(many, format="terraform_plan")
    monkeypatch.setattr(item_files, "LARGEST", 1024 * 1024)
    with pytest.raises(Invalid, match="larger than 1 MB"):
        read(many, format="terraform_plan")


ODD = [5, "text", [1], {"a": [1]}, True]


@pytest.mark.parametrize("field", ["before", "after", "before_sensitive", "after_sensitive", "after_unknown"])
@pytest.mark.parametrize("value", ODD)
def test_values_of_another_shape_than_terraform_writes_are_no_reason_to_fail(field, value):
    change = {"actions": ["update"], "before": {"a": {"b": 1}}, "after": {"a": {"b": 2}}} | {field: value}
    (proposal,) = read(plan({"address": "vm.web", "change": change}), format="terraform_plan").items
    assert isinstance(proposal.item["data"]["attributes"], dict)
