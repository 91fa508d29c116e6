"""What a change reaches: the array search against a plain walk over every path, and the cases the specification names."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from changemgmt.architecture.effects import effects
from changemgmt.architecture.graph import Rule, build
from changemgmt.architecture.overlay import Bounds, Link, Node, Overlay, View
from changemgmt.architecture.propagation import EdgeSeed, propagate, ranked, search, searches
from changemgmt.architecture.trust import NEVER, seconds

RULES = {
    "serving": Rule("forward", 0.9),
    "realization": Rule("forward", 0.8),
    "composition": Rule("backward", 0.9),
    "flow": Rule("forward", 0.5),
    "peer": Rule("both", 0.6),
    "always": Rule("backward", 1.0),
    "association": Rule("none", 1.0),
    "upward": Rule("forward", 0.7, frozenset({"business", "application"})),
}
LAYERS = ("business", "application", "technology")
SINCE = datetime(2026, 1, 1, tzinfo=UTC)


MOMENTS = {
    "confirmed": (SINCE, None),
    "stale": (SINCE - timedelta(seconds=1), None),
    "unconfirmed": (None, None),
    "refuted": (SINCE, SINCE),
}


def graph_of(layers, links, needs=None, trust=None):
    """`layers`: key -> layer; `links`: (key, source, type, target), where an end may be `relation:<key>`; `trust`: link -> its trust."""
    return build(
        1,
        [(key, layer, "Thing", 3, 10, (needs or {}).get(key, {})) for key, layer in layers.items()],
        [(key, kind, source, target, *(MOMENTS[trust[key]] if trust else ())) for key, source, kind, target in links],
    )


def plain(layers, links, seeds, bounds, rules=RULES, follow=None):
    """Every path, walked one by one: key -> (score, distance, keys of the path). `follow`: the links that conduct; None for all."""
    found = walked(layers, links, seeds, bounds, rules, {link[0] for link in links} if follow is None else follow)
    return {key: (score, distance, path) for key, (score, distance, path, _) in found.items()}


def walked(layers, links, seeds, bounds, rules, follow):
    """The same, with the links of the path."""
    ended_on = {end.removeprefix("relation:") for link in links for end in (link[1], link[3]) if end.startswith("relation:")}
    steps = []
    for key, source, kind, target in links:
        own = f"relation:{key}"
        pairs = [(source, target)] + ([(source, own), (own, target)] if key in ended_on else [])
        for one, two in pairs if key in follow else ():
            steps += [(one, two, kind, True, key), (two, one, kind, False, key)]

    def weight(one, two, kind, forward):
        rule = rules[kind]
        if rule.propagation not in ("both", "forward" if forward else "backward") or (bounds.types is not None and kind not in bounds.types):
            return 0
        if rule.layers and any(node in layers and layers[node] not in rule.layers for node in (one, two)):
            return 0
        if bounds.layers is not None and two in layers and layers[two] not in bounds.layers:
            return 0
        return rule.weight

    best = {}

    def walk(node, score, path, used):
        rank = (-round(score, 9), len(path), path, used)
        if len(path) > 1 and node not in seeds and node in layers and (node not in best or rank < best[node]):
            best[node] = rank
        if len(path) - 1 == bounds.max_depth:
            return
        for one, two, kind, forward, link in steps:
            further = score * weight(one, two, kind, forward) if one == node and two not in path else 0
            if further >= bounds.min_score and further > 0:
                walk(two, further, (*path, two), (*used, link))

    for seed, severity in seeds.items():
        walk(seed, severity, (seed,), ())
    return {key: (-score, length - 1, path, used) for key, (score, length, path, used) in best.items()}


def plain_with_trust(layers, links, seeds, bounds, trust):
    """Over confirmed links where that is possible, else over all that are not refuted: key -> (score, distance, path, worst trust on it)."""
    sure = walked(layers, links, seeds, bounds, RULES, {key for key, said in trust.items() if said == "confirmed"})
    every = walked(layers, links, seeds, bounds, RULES, {key for key, said in trust.items() if said != "refuted"})
    return {
        key: (*one[:3], max((trust[link] for link in one[3]), key=("confirmed", "stale", "unconfirmed").index)) for key, one in (every | sure).items()
    }


KEYS = "abcdef"


@st.composite
def worlds(draw):
    keys = draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=6, unique=True))
    layers = {key: draw(st.sampled_from(LAYERS)) for key in keys}
    links = []
    for number in range(draw(st.integers(0, 8))):
        ends = [*keys, *(f"relation:{link[0]}" for link in links)]
        links.append((f"r{number}", draw(st.sampled_from(ends)), draw(st.sampled_from(sorted(RULES))), draw(st.sampled_from(ends))))
    seeds = draw(st.dictionaries(st.sampled_from(keys), st.sampled_from([0.6, 0.8, 0.9, 1.0]), min_size=1, max_size=3))
    bounds = Bounds(
        max_depth=draw(st.integers(1, 5)),
        min_score=draw(st.sampled_from([0.01, 0.05, 0.3])),
        layers=draw(st.none() | st.sets(st.sampled_from(LAYERS)).map(frozenset)),
        types=draw(st.none() | st.sets(st.sampled_from(sorted(RULES)), min_size=3).map(frozenset)),
    )
    return layers, links, seeds, bounds


@st.composite
def doubted_worlds(draw):
    layers, links, seeds, bounds = draw(worlds())
    trust = {link[0]: draw(st.sampled_from(sorted(MOMENTS))) for link in links}
    return layers, links, seeds, replace(bounds, confirmed_since=seconds(SINCE)), trust


def as_plain(reach):
    return {one.key: (round(one.score, 9), one.distance, tuple(step["key"] for step in one.path)) for one in reach}


@settings(max_examples=250, deadline=None)
@given(world=worlds())
def test_the_array_search_equals_a_walk_over_every_path(world):
    layers, links, seeds, bounds = world
    found = propagate(graph_of(layers, links), seeds, rules=RULES, bounds=bounds)
    assert as_plain(found) == plain(layers, links, seeds, bounds)


@settings(max_examples=250, deadline=None)
@given(world=doubted_worlds())
def test_a_trusted_path_wins_and_the_rest_carries_the_worst_trust_on_its_path(world):
    layers, links, seeds, bounds, trust = world
    found = propagate(graph_of(layers, links, trust=trust), seeds, rules=RULES, bounds=bounds)
    assert {key: (*one, reached.trust) for (key, one), reached in zip(as_plain(found).items(), found, strict=True)} == plain_with_trust(
        layers, links, seeds, bounds, trust
    )
    assert [one.trust == "confirmed" for one in found] == [True] * found.sure + [False] * (len(found) - found.sure)
    assert found.by_layer() == Counter(one.layer for one in found[: found.sure])


@settings(max_examples=80, deadline=None)
@given(world=doubted_worlds(), data=st.data())
def test_confirming_only_adds_to_what_is_sure_and_refuting_only_takes_away(world, data):
    layers, links, seeds, bounds, trust = world
    if not links:
        return
    chosen = data.draw(st.sampled_from(sorted(trust)))

    def reached(said):
        found = propagate(graph_of(layers, links, trust=trust | {chosen: said}), seeds, rules=RULES, bounds=bounds)
        return {one.key for one in found[: found.sure]}, {one.key for one in found}

    (sure, every), (more_sure, more) = reached(trust[chosen]), reached("confirmed")
    assert sure <= more_sure and every <= more
    less_sure, less = reached("refuted")
    assert less_sure <= sure and less <= every
    for said in ("stale", "unconfirmed"):
        assert reached(said) == (less_sure, more)


@settings(max_examples=80, deadline=None)
@given(world=doubted_worlds())
def test_a_refuted_relation_is_as_if_it_were_not_there(world):
    layers, links, seeds, bounds, trust = world
    ends = {end.removeprefix("relation:") for link in links for end in (link[1], link[3]) if end.startswith("relation:")}
    left = [link for link in links if trust[link[0]] != "refuted" or link[0] in ends]
    with_it, without = (propagate(graph_of(layers, some, trust=trust), seeds, rules=RULES, bounds=bounds) for some in (links, left))
    assert list(with_it) == [replace(one, path=mine.path) for one, mine in zip(without, with_it, strict=True)]
    assert effects(graph_of(layers, links, trust=trust), RULES, Overlay(frozenset(seeds))) == effects(
        graph_of(layers, left, trust=trust), RULES, Overlay(frozenset(seeds))
    )


def test_a_doubtful_step_says_so_and_names_its_relation():
    links = [("1", "a", "serving", "b"), ("2", "b", "serving", "c"), ("3", "a", "flow", "c")]
    graph = graph_of(dict.fromkeys("abc", "business"), links, trust={"1": "stale", "2": "confirmed", "3": "unconfirmed"})
    found = {one.key: one for one in propagate(graph, {"a": 1.0}, rules=RULES, bounds=Bounds(confirmed_since=seconds(SINCE)))}
    assert (found["b"].trust, found["c"].trust, round(found["c"].score, 2)) == ("stale", "stale", 0.81)
    assert found["c"].path[1] == {"relation": "serving", "direction": "forward", "key": "b", "trust": "stale", "relation_key": "1"}
    assert "trust" not in found["c"].path[2]
    assert {one.trust for one in propagate(graph, {"a": 1.0}, rules=RULES)} == {"confirmed"}, "without a moment nobody asks"


def test_a_weak_trusted_path_wins_over_a_strong_doubtful_one():
    graph = graph_of(
        dict.fromkeys("ab", "business"), [("1", "a", "flow", "b"), ("2", "a", "serving", "b")], trust={"1": "confirmed", "2": "unconfirmed"}
    )
    (found,) = propagate(graph, {"a": 1.0}, rules=RULES, bounds=Bounds(confirmed_since=seconds(SINCE)))
    assert (found.score, found.trust) == (0.5, "confirmed")


def test_what_a_doubtful_relation_conducted_to_is_not_sure_when_the_relation_itself_is_changed():
    graph = graph_of(dict.fromkeys("ab", "business"), [("1", "a", "serving", "b")], trust={"1": "stale"})
    bounds = Bounds(confirmed_since=seconds(SINCE))
    view = View(graph, RULES, bounds=bounds)
    (one,) = ranked(searches(view, {}, [EdgeSeed("a", "serving", "b", 1.0, "1")], bounds=bounds), frozenset(), {})
    assert (one.key, one.trust, one.path[1]["relation_key"]) == ("b", "stale", "1")
    (new,) = ranked(searches(view, {}, [EdgeSeed("a", "serving", "b", 1.0)], bounds=bounds), frozenset(), {})
    assert new.trust == "confirmed", "what the change makes, it says"


def test_a_relation_that_a_new_one_ends_on_keeps_its_trust():
    bounds = Bounds(confirmed_since=seconds(SINCE))
    graph = graph_of(dict.fromkeys("abx", "business"), [("r", "a", "association", "b")], trust={"r": "stale"})
    for link, trusts in ((Link("r", "a", "serving", "b", only_node=True, confirmed=NEVER), ["unconfirmed"]),
                         (Link("r", "a", "serving", "b", only_node=True, refuted=True), []),
                         (Link("r", "a", "serving", "b", only_node=True), ["confirmed"])):  # fmt: skip
        view = View(graph, RULES, Overlay(links=(link, Link("q", "x", "serving", "relation:r"))), bounds)
        found = ranked(searches(view, {"x": 1.0}, bounds=bounds), frozenset("x"), {})
        assert [(one.key, one.trust) for one in found] == [("b", trust) for trust in trusts]
        assert [step["relation_key"] for one in found for step in one.path if "trust" in step] == ["r" for trust in trusts if trust != "confirmed"]


@settings(max_examples=120, deadline=None)
@given(world=worlds(), data=st.data())
def test_an_overlay_gives_what_the_whole_new_graph_gives(world, data):
    layers, links, seeds, bounds = world
    ends = {end.removeprefix("relation:") for link in links for end in (link[1], link[3]) if end.startswith("relation:")}
    gone = data.draw(
        st.sets(st.sampled_from([link[0] for link in links if link[0] not in ends]), max_size=2) if len(ends) < len(links) else st.just(set())
    )
    new_layers = dict.fromkeys(data.draw(st.sets(st.sampled_from(["g", "h", "B"]), max_size=2)), "business")
    both = [*layers, *new_layers]
    new = [(f"n{place}", *data.draw(st.tuples(st.sampled_from(both), st.sampled_from(sorted(RULES)), st.sampled_from(both)))) for place in range(2)]
    overlay = Overlay(
        removed_relations=frozenset(gone),
        nodes=tuple(Node(key, layer, "Thing", 3, 10) for key, layer in new_layers.items()),
        links=tuple(Link(*link) for link in new),
    )
    kept = [link for link in links if link[0] not in gone] + new
    found = search(View(graph_of(layers, links), RULES, overlay, bounds), seeds, bounds=bounds)
    assert as_plain(ranked([found], frozenset(seeds), {})) == plain(layers | new_layers, kept, seeds, bounds)


def test_a_relation_between_relations_is_passed_through():
    graph = graph_of(dict.fromkeys("abx", "business"), [("r", "a", "serving", "b"), ("q", "x", "realization", "relation:r")])
    found = {one.key: one for one in propagate(graph, {"x": 1.0}, rules=RULES)}
    assert list(found) == ["b"]
    assert round(found["b"].score, 6) == 0.72
    assert [step["key"] for step in found["b"].path] == ["x", "relation:r", "b"]


def test_a_path_says_which_relation_was_followed_and_which_way():
    graph = graph_of(
        {"orders": "application", "api": "application", "shop": "business"}, [("1", "orders", "serving", "api"), ("2", "shop", "composition", "api")]
    )
    path = {one.key: one.path for one in propagate(graph, {"orders": 0.8}, rules=RULES)}["shop"]
    assert path == (
        {"key": "orders"},
        {"relation": "serving", "direction": "forward", "key": "api"},
        {"relation": "composition", "direction": "backward", "key": "shop"},
    )


def test_a_deleted_relation_reaches_what_it_led_to_and_nothing_else():
    graph = graph_of(dict.fromkeys("abcd", "business"), [("1", "a", "serving", "b"), ("2", "b", "serving", "c"), ("3", "a", "serving", "d")])
    view = View(graph, RULES)
    found = ranked([search(view, {}, [EdgeSeed("a", "serving", "b", 1.0)], bounds=Bounds())], frozenset(), {})
    assert as_plain(found) == {"b": (0.9, 1, ("a", "b")), "c": (0.81, 2, ("a", "b", "c"))}


def test_results_are_ranked_by_score_then_criticality_then_users_then_key():
    rows = [
        ("a", "x", "T", 3, 0, {}),
        ("b", "x", "T", 2, 9, {}),
        ("c", "x", "T", 5, 0, {}),
        ("d", "x", "T", 2, 50, {}),
        ("e", "x", "T", 2, 9, {}),
    ]
    graph = build(1, rows, [(f"r{to}", "serving", "a", to) for to in "bcde"])
    assert [one.key for one in propagate(graph, {"a": 1.0}, rules=RULES)] == ["c", "d", "b", "e"]


def effect_of(gone, needs, links, relations=()):
    graph = graph_of(dict.fromkeys("abcxyz", "business"), links, needs)
    return effects(graph, RULES, Overlay(frozenset(gone), frozenset(relations)))


TWO = [("1", "a", "serving", "x"), ("2", "b", "serving", "x"), ("3", "x", "serving", "y")]


def test_one_of_two_supporters_gone_is_degraded_while_one_is_enough():
    assert effect_of("a", {"x": {"serving": 1}}, TWO) == {"x": "degraded"}


def test_too_few_supporters_left_is_down_and_takes_down_what_needs_it():
    assert effect_of("a", {"x": {"serving": 2}, "y": {"serving": 1}}, TWO) == {"x": "down", "y": "down"}
    assert effect_of("ab", {"x": {"serving": 1}}, TWO) == {"x": "down", "y": "degraded"}


def test_a_deleted_relation_takes_its_support_away():
    assert effect_of("", {"x": {"serving": 2}}, TWO, relations={"1"})["x"] == "down"


def test_parallel_relations_of_one_supporter_count_once():
    links = [*TWO, ("4", "a", "serving", "x")]
    assert effect_of("b", {"x": {"serving": 2}}, links)["x"] == "down"
    assert effect_of("", {"x": {"serving": 2}}, links, relations={"4"}).get("x") is None


def test_a_new_supporter_makes_up_for_the_one_that_goes():
    graph = graph_of(dict.fromkeys("abcxyz", "business"), TWO, {"x": {"serving": 2}})
    overlay = Overlay(frozenset("a"), frozenset("1"), links=(Link("n", "c", "serving", "x"),))
    assert effects(graph, RULES, overlay) == {"x": "degraded"}


def test_cycles_end_and_an_empty_graph_reaches_nothing():
    ring = graph_of(dict.fromkeys("abc", "business"), [("1", "a", "always", "b"), ("2", "b", "always", "c"), ("3", "c", "always", "a")])
    assert len(propagate(ring, {"a": 1.0}, rules=RULES, bounds=Bounds(max_depth=None, min_score=0.0))) == 2
    assert len(propagate(graph_of({}, []), {"a": 1.0}, rules=RULES)) == 0
