"""How far relations are relied upon: what imports confirm, who may say whether a relation is so, and what is made of doubt."""

import json
from datetime import timedelta
from importlib import import_module
from uuid import uuid4

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command

from changemgmt.accounts.models import Team
from changemgmt.architecture.exports import as_json
from changemgmt.architecture.graphs import graph_at
from changemgmt.architecture.impact import impact_of_components
from changemgmt.architecture.importers.files import of_path
from changemgmt.architecture.models import Component, Relation, Revision, Source
from changemgmt.architecture.queries import current_revision, images, relation_owners, trusted_since
from changemgmt.architecture.rules import Operation
from changemgmt.architecture.trust import trust_of
from changemgmt.assessment.queries import inputs_of
from changemgmt.assessment.rules import assess
from changemgmt.audit.models import Event
from changemgmt.audit.queries import representations
from changemgmt.changes.facts import facts_of
from changemgmt.core.errors import Invalid, NotFound, NotPermitted, NotPossible
from changemgmt.core.time import rfc3339, utc_now
from changemgmt.lifecycle.import_architecture import import_architecture
from changemgmt.lifecycle.judge_relation import confirm_relation, may_judge, refute_relation
from changemgmt.lifecycle.prepare import prepare
from changemgmt.preview.actions import apply_items, revert_items, store
from changemgmt.preview.compute import compute
from changemgmt.preview.queries import collisions_of, impact_of, state_of

from ..cast import ROLES
from ..cli.calling import caller
from ..preview.conftest import change_of  # noqa: F401
from ..web.conftest import clean_html  # noqa: F401
from .conftest import DATA, NOW

pytestmark = pytest.mark.django_db
V1 = "/api/v1/"
YEAR = timedelta(days=365)
UPDATE = {"operation": "update", "object": "component", "key": "till", "data": {"users": 7}}
JUDGES = {"ada": "administrator", "max": "change manager", "ian": "owner of the source", "vera": "in the team that owns the target"}


@pytest.fixture(autouse=True)
def a_year(settings):
    settings.RELATION_TRUST_DAYS = 365


@pytest.fixture
def shop(seeded, do, cast):
    """till -serving-> shop -serving-> site; till -serving-> shelf. Ian owns the till, a team with Vera in it the shop, nobody the rest."""
    team = Team.objects.create(slug="shopkeepers", name="Shopkeepers")
    team.members.add(cast.vera)
    parts = {"till": ("Node", "ian"), "shop": ("ApplicationComponent", "shopkeepers"), "site": ("BusinessActor", ""), "shelf": ("Node", "")}
    links = [("r1", "till", "shop"), ("r2", "shop", "site"), ("r3", "till", "shelf")]
    do(
        *(
            Operation("create", "component", key, data={"name": key.title(), "type": kind, "owner": owner, "users": 10, "criticality": 4})
            for key, (kind, owner) in parts.items()
        ),
        *(Operation("create", "relation", key, source, target, "serving") for key, source, target in links),
    )


def doubt(*keys, at=None):
    """These relations were confirmed then, or never, and nobody works with what was read before."""
    Relation.objects.filter(key__in=keys).update(confirmed_at=at)
    newest = Revision.objects.order_by("-number").first()
    newest.token = uuid4()
    newest.save()


def reached(now=NOW, *keys):
    """What an update reaches: key -> trust."""
    return {row["key"]: row["trust"] for row in impact_of_components(keys or ["till"], now=now)["affected"]}


# --- what confirms ---


def test_who_makes_a_relation_confirms_it_for_a_year(shop):
    assert set(Relation.objects.values_list("confirmed_at", flat=True)) == {NOW}
    assert set(reached(NOW + YEAR).values()) == {"confirmed"}
    assert set(reached(NOW + YEAR + timedelta(seconds=1)).values()) == {"stale"}
    doubt("r2")
    assert reached() == {"shop": "confirmed", "shelf": "confirmed", "site": "unconfirmed"}


def test_the_days_are_set_by_the_house(shop, settings):
    settings.RELATION_TRUST_DAYS = 10
    assert set(reached(NOW + timedelta(days=11)).values()) == {"stale"}
    assert trust_of(NOW, None, trusted_since(NOW + timedelta(days=10))) == "confirmed"
    assert trust_of(NOW, NOW, trusted_since(NOW)) == "refuted"


@pytest.fixture
def run(seeded, cast, write_file):
    """`run(moment, text, source=…)` imports edges (and the nodes they need) at a moment."""

    def imported(now, edges="source,target,type\na,b,serving\n", source="cmdb"):
        write_file("est/nodes.csv", "key,type\na,Node\nb,Node\nc,Node\n")
        folder = write_file("est/edges.csv", edges).parent
        return import_architecture(of_path(folder), actor=cast.ada, now=now, format="csv", source=source)

    return imported


def test_nothing_of_a_real_model_is_untrusted_when_it_was_just_imported(bring):
    bring(DATA / "archisurance" / "archisurance.archimate", "archi", namespace="archisurance")
    assert Relation.objects.exclude(confirmed_at=NOW).count() == 0
    keys = sorted({row.source.key for row in Relation.objects.exclude(source=None).select_related("source")})
    assert not impact_of_components(keys[:40], now=NOW)["untrusted"]


def exported():
    return json.loads("".join(as_json()))


def test_the_same_file_again_confirms_without_a_revision_and_moves_nothing_but_that_date(run):
    run(NOW)
    before, number = exported(), current_revision()
    graph_at(None)
    later = NOW + timedelta(days=300)
    again = run(later)
    assert (again.revision, again.relations["unchanged"]) == (number, 1)
    before["relations"][0]["confirmed_at"] = rfc3339(later)
    assert (exported(), current_revision()) == (before, number)
    assert Relation.objects.get().confirmed_at == later
    assert reached(NOW + timedelta(days=600), "a") == {"b": "confirmed"}, "the graph that was read before is not gone on with"


def test_an_import_that_confirms_what_was_stale_is_a_revision(run):
    number = run(NOW).revision
    doubt(Relation.objects.get().key, at=NOW - YEAR)
    again = run(NOW + timedelta(days=1))
    assert again.revision == current_revision() == number + 1
    assert set(Revision.objects.get(number=again.revision).touched) >= {"a", "b", Relation.objects.get().key}


def test_what_the_file_does_not_speak_of_is_not_confirmed_by_it(run):
    run(NOW)
    run(NOW, "source,target,type\nb,c,serving\n", source="other")
    run(NOW + YEAR, source="cmdb")
    assert {row.source.key: row.confirmed_at for row in Relation.objects.select_related("source")} == {"a": NOW + YEAR, "b": NOW}


def told(run_file, now, cast, **said):
    """Import a file of ours that says of its relation when it was confirmed or refuted."""
    parts = [{"key": key, "type": "Node"} for key in "ab"]
    relation = {"key": "r", "source": "a", "target": "b", "type": "serving", "source_system": "cmdb", **said}
    path = run_file("est.json", json.dumps({"components": parts, "relations": [relation]}))
    return import_architecture(of_path(path), actor=cast.ada, now=now, format="json", source="backup")


def test_a_file_of_ours_brings_the_dates_of_its_relations_with_it(seeded, cast, write_file):
    told(write_file, NOW, cast, confirmed_at="2025-01-02T03:04:05Z", refuted_at="2025-02-03T04:05:06Z", refuted_reason="It is gone.")
    row = Relation.objects.get()
    assert (rfc3339(row.confirmed_at), rfc3339(row.refuted_at), row.refuted_reason) == ("2025-01-02T03:04:05Z", "2025-02-03T04:05:06Z", "It is gone.")
    assert row.source_system == "cmdb"


def test_a_file_of_ours_says_that_nobody_confirmed_and_one_that_is_silent_confirms(seeded, cast, write_file):
    told(write_file, NOW, cast, confirmed_at=None)
    assert Relation.objects.get().confirmed_at is None
    told(write_file, NOW, cast)
    assert Relation.objects.get().confirmed_at == NOW


def test_a_file_of_ours_makes_no_date_older_and_overrules_no_owner(seeded, cast, write_file):
    told(write_file, NOW, cast)
    told(write_file, NOW, cast, confirmed_at="2025-01-02T03:04:05Z", refuted_at="2025-02-03T04:05:06Z", refuted_reason="It is gone.")
    row = Relation.objects.get()
    assert (row.confirmed_at, row.refuted_at) == (NOW, None)
    refute_relation("r", actor=cast.ada, now=NOW, reason="It was taken down.")
    told(write_file, NOW + YEAR, cast, confirmed_at=rfc3339(NOW + YEAR))
    row = Relation.objects.get()
    assert (row.confirmed_at, row.refuted_at) == (NOW, NOW)


def test_a_source_that_confirms_nothing_is_not_believed_and_no_date_is_to_come(seeded, cast, write_file):
    report = told(write_file, NOW, cast, confirmed_at=rfc3339(NOW + YEAR)).skipped
    assert [(one["where"], "still to come" in one["reason"]) for one in report] == [("est.json, relations[0]", True)]
    Source.objects.filter(name="backup").update(confirms=False)
    told(write_file, NOW, cast, confirmed_at="2025-01-02T03:04:05Z", refuted_at="2025-02-03T04:05:06Z", refuted_reason="x")
    row = Relation.objects.get()
    assert (row.confirmed_at, row.refuted_at, row.refuted_reason) == (None, None, "")


def test_an_import_does_not_overrule_an_owner_who_refuted(run, cast):
    run(NOW)
    key = Relation.objects.get().key
    refute_relation(key, actor=cast.ada, now=NOW, reason="It was taken down.")
    run(NOW + timedelta(days=1))
    row = Relation.objects.get()
    assert (row.refuted_at, row.refuted_reason, row.confirmed_at) == (NOW, "It was taken down.", NOW)
    assert reached(NOW, "a") == {}


def test_a_source_of_guesses_confirms_nothing(run):
    Source.objects.create(name="discovery", confirms=False)
    run(NOW, source="discovery")
    assert Relation.objects.get().confirmed_at is None
    assert reached(NOW, "a") == {"b": "unconfirmed"}
    run(NOW, source="cmdb")
    assert reached(NOW, "a") == {"b": "confirmed"}


def test_applying_confirms_what_it_makes_and_reverting_puts_the_trust_back(shop, change_of, cast):  # noqa: F811
    refute_relation("r2", actor=cast.max, now=NOW, reason="No.")
    before = images("relation", ["r1", "r2", "r3"])
    made = {"operation": "create", "object": "relation", "key": "r4", "source": "shelf", "relation_type": "serving", "target": "site"}
    change = change_of(made, {"operation": "delete", "object": "relation", "key": "r2"})
    later = NOW + timedelta(days=3)
    apply_items(change, change.items.all(), actor="ian", now=later)
    assert Relation.objects.get(key="r4").confirmed_at == later
    revert_items(change, actor="ian", now=later)
    assert images("relation", ["r1", "r2", "r3", "r4"]) == before
    assert before["r2"]["refuted_reason"] == "No."


# --- who may say it ---


@pytest.mark.parametrize("judge", [confirm_relation, refute_relation])
def test_owners_of_either_end_and_who_runs_the_architecture_may_and_nobody_else(shop, cast, judge):
    before = list(Relation.objects.order_by("key").values())
    for name in ROLES:
        user = getattr(cast, name)
        if name in (*JUDGES, "otto"):
            assert may_judge("r1", actor=user).allowed, name
            continue
        more = {"reason": "No."} if judge is refute_relation else {}
        with pytest.raises(NotPermitted, match="ian, shopkeepers"):
            judge("r1", actor=user, now=NOW, **more)
    assert list(Relation.objects.order_by("key").values()) == before
    assert not Event.objects.filter(action__in=["relation.confirmed", "relation.refuted"]).exists()


@pytest.mark.parametrize("name", sorted(JUDGES))
def test_each_of_them_confirms_and_refutes_on_the_record(shop, cast, name):
    actor, number = getattr(cast, name), current_revision()
    later = NOW + timedelta(hours=1)
    row = refute_relation("r1", actor=actor, now=later, reason="  It was a test. ")
    assert (row.refuted_at, row.refuted_reason, row.revision, current_revision()) == (later, "It was a test.", number + 1, number + 1)
    row = confirm_relation("r1", actor=actor, now=later + timedelta(hours=1))
    assert (row.refuted_at, row.refuted_reason, row.confirmed_at) == (None, "", later + timedelta(hours=1))
    said = [(event["action"], event["actor"]) for event in representations(list(Event.objects.filter(object="relation:r1").order_by("pk")))]
    assert said == [("relation.refuted", name), ("relation.confirmed", name)]
    step = Revision.objects.get(number=number + 1)
    assert (step.actor, step.reason, set(step.touched) >= {"r1", "till", "shop"}) == (name, "relation refuted: It was a test.", True)
    history = Relation.history.filter(key="r1").order_by("history_id").values_list("refuted_reason", flat=True)
    assert list(history) == ["", "It was a test.", ""]


def test_the_verdict_explains_also_where_nobody_owns_an_end(shop, cast):
    doubt("r3")
    verdict = may_judge("r3", actor=cast.vera)
    assert "of ian" in verdict.reason
    Component.objects.update(owner="")
    assert "no owner" in may_judge("r1", actor=cast.ian).reason


def test_a_reason_is_needed_and_nothing_is_refuted_twice(shop, cast):
    for reason in ("", "   ", "x" * 501):
        with pytest.raises(Invalid):
            refute_relation("r1", actor=cast.ian, now=NOW, reason=reason)
    refute_relation("r1", actor=cast.ian, now=NOW, reason="No.")
    with pytest.raises(NotPossible):
        refute_relation("r1", actor=cast.ian, now=NOW, reason="No.")
    with pytest.raises(NotFound):
        confirm_relation("none", actor=cast.ian, now=NOW)


def test_the_owners_of_a_relation_on_a_relation_are_those_at_its_far_ends(shop, do):
    do(Operation("create", "relation", "on", "site", "relation:r1", "serving"), Operation("create", "relation", "on2", "relation:on", "site", "flow"))
    assert relation_owners(["r1", "on", "on2", "r2"]) == {
        "r1": {"ian", "shopkeepers"},
        "on": {"ian", "shopkeepers"},
        "on2": {"ian", "shopkeepers"},
        "r2": {"shopkeepers"},
    }


# --- what is made of it ---


def test_a_refuted_relation_conducts_nothing_supports_nobody_and_stays_on_record(shop, cast):
    refute_relation("r1", actor=cast.ian, now=NOW, reason="No.")
    assert reached() == {"shelf": "confirmed"}
    assert Relation.objects.filter(key="r1").exists()


def test_a_preview_counts_what_is_sure_and_says_what_is_not(shop, change_of, cast):  # noqa: F811
    doubt("r1", at=NOW - YEAR - timedelta(days=1))
    change = change_of(UPDATE)
    prepare(change, now=NOW)
    change.save()
    impact = impact_of(change)
    assert [(row["key"], row["trust"]) for row in impact["affected"]] == [("shelf", "confirmed"), ("shop", "stale"), ("site", "stale")]
    assert [step.get("relation_key") for step in impact["affected"][2]["path"]] == [None, "r1", None]
    assert (impact["untrusted"], impact["by_layer"], impact["users"]) == (2, {"technology": 1}, 20)
    assert change.affected_count == 1
    assert change.preview.summary["affected"] == 1
    assert facts_of(change).layers == ("technology",)
    inputs = inputs_of(change)
    assert (inputs.reached, inputs.reached_directly, inputs.reached_unsurely, inputs.users) == (1, 1, 2, 20)
    assert "2 more over relations that nobody confirmed lately; they are not counted" in json.dumps(dict(assess(inputs).statements))
    assert set(change.reach.values_list("key", flat=True)) == {"till", "shelf"}
    assert collisions_of(change, cast.vera) == []


def test_doubt_never_raises_the_risk_and_confirming_does_openly(shop, change_of, cast):  # noqa: F811
    change = change_of(UPDATE)

    def risk():
        store(change, compute(change, now=NOW), now=NOW)
        return assess(inputs_of(change))

    sure = risk()
    doubt("r1", "r2", "r3")
    doubtful = risk()
    assert doubtful.overall <= sure.overall and doubtful.business < sure.business
    for key in ("r1", "r2", "r3"):
        confirm_relation(key, actor=cast.ada, now=NOW)
    assert risk().overall == sure.overall


def test_previews_fall_stale_when_a_relation_within_their_reach_is_judged_also_far_from_it(shop, change_of, cast):  # noqa: F811
    change, other = change_of(UPDATE), change_of({**UPDATE, "key": "shelf"})
    doubt("r1", "r2")
    for one in (change, other):
        store(one, compute(one, now=NOW), now=NOW)
    assert state_of(change) == state_of(other) == "ready"
    refute_relation("r2", actor=cast.vera, now=NOW, reason="No.")
    assert (state_of(change), state_of(other)) == ("stale", "ready")
    store(change, compute(change, now=NOW), now=NOW)
    assert [row["key"] for row in impact_of(change)["affected"]] == ["shelf", "shop"]


def test_another_trust_is_another_result_for_approvals_given_before(shop, change_of, cast):  # noqa: F811
    change = change_of(UPDATE)
    sure = compute(change, now=NOW).result_digest
    doubt("r1")
    assert compute(change, now=NOW).result_digest != sure
    confirm_relation("r1", actor=cast.ada, now=NOW)
    assert compute(change, now=NOW).result_digest == sure


# --- over the API and on the command line ---


def test_the_api_shows_trust_and_takes_the_word_of_owners(shop, api, cast):
    doubt("r1", at=utc_now() - YEAR - timedelta(days=1))
    shown = api(cast.olga).get(f"{V1}relations/r1/").json()
    assert (shown["trust"], shown["refuted_at"], shown["refuted_reason"]) == ("stale", None, "")
    path = f"{V1}architecture/relations/r1/"
    assert api(cast.olga).post(f"{path}confirm/", {}, format="json").status_code == 403
    assert api(cast.olga).post(f"{path}refute/", {"reason": "No."}, format="json").status_code == 403
    answer = api(cast.ian).post(f"{path}confirm/", {}, format="json")
    assert (answer.status_code, answer.json()["trust"]) == (200, "confirmed")
    assert api(cast.ian).post(f"{path}refute/", {}, format="json").status_code == 400
    assert api(cast.ian).post(f"{path}refute/", {"reason": " "}, format="json").json()["errors"]["reason"]
    number = Relation.objects.get(key="r1").pk
    answer = api(cast.vera).post(f"{V1}architecture/relations/{number}/refute/", {"reason": "Not any more."}, format="json")
    assert (answer.status_code, answer.json()["trust"], answer.json()["refuted_reason"]) == (200, "refuted", "Not any more.")
    assert api(cast.vera).post(f"{path}refute/", {"reason": "Again."}, format="json").status_code == 409
    assert api(cast.vera).post(f"{V1}architecture/relations/none/confirm/", {}, format="json").status_code == 404
    assert api(cast.vera).get(f"{path}confirm/").status_code == 405
    impact = api(cast.vera).post(f"{V1}architecture/impact/", {"components": ["till"]}, format="json").json()
    assert ([row["key"] for row in impact["affected"]], impact["untrusted"]) == (["shelf"], 0)
    assert api(cast.max).patch(f"{V1}relations/r1/", {"trust": "confirmed"}, format="json").status_code == 400


def test_a_key_with_a_slash_is_judged_too(shop, api, cast, do):
    do(Operation("create", "relation", "a/confirm/b", "till", "site", "serving"))
    answer = api(cast.ian).post(f"{V1}architecture/relations/a%2Fconfirm%2Fb/refute/", {"reason": "No."}, format="json")
    assert (answer.status_code, answer.json()["key"]) == (200, "a/confirm/b")


def test_the_command_confirms_refutes_and_tells_apart_what_is_not_sure(shop, cast, capsys):
    call_command("architecture", "refute", "r3", "--reason", "No.", "--user", "ian")
    assert "r3: refuted, revision 2." in capsys.readouterr().out
    doubt("r2")
    call_command("architecture", "impact", "till")
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "1 components are reached, 20 users."
    assert said[2] == "Not sure, over relations that nobody confirmed lately: 1 more."
    assert "site" in said[3] and "shelf" not in "".join(said)
    call_command("architecture", "confirm", "r3")
    assert Relation.objects.get(key="r3").refuted_at is None
    with pytest.raises(CommandError, match="Only an owner"):
        call_command("architecture", "confirm", "r2", "--user", "ian")


def test_the_impact_of_a_change_on_the_command_line_tells_them_apart(shop, cast, change_of, monkeypatch, capsys):  # noqa: F811
    doubt("r1")
    change = change_of(UPDATE)
    store(change, compute(change, now=NOW), now=NOW)
    lines = caller("change", monkeypatch, capsys)(cast.rita, "impact", change.number, as_text=True).splitlines()
    assert lines[0].startswith("ready: 1 components reached, 20 users")
    assert [line.split()[-1] for line in lines[1:]] == ["shelf", "more.", "shop", "site"]


def test_what_was_there_before_is_confirmed_by_who_wrote_it_or_spoke_of_it_last(run, do):
    migration = import_module("changemgmt.migrations.0003_relation_trust")
    run(NOW)
    run(NOW + timedelta(days=90))
    do(Operation("create", "relation", "by hand", "b", "c", "serving"))
    Relation.objects.update(confirmed_at=None)
    migration.confirm_what_is_there(apps, None)
    assert Relation.objects.get(key="by hand").confirmed_at == NOW
    assert Relation.objects.exclude(key="by hand").get().confirmed_at == NOW + timedelta(days=90)
