"""Propagation once more, in plain Python: what the arrays have to agree with."""

from __future__ import annotations

from collections import defaultdict


def half_edges(links):
    """By node: (to, type, forward). A relation that others end on is passed through. `links`: (key, source, type, target)."""
    ended_on = {end for _, source, _, target in links for end in (source, target) if end.startswith("relation:")}
    found = defaultdict(list)
    for key, source, kind, target in links:
        own = f"relation:{key}"
        for one, two in [(source, target), *([(source, own), (own, target)] if own in ended_on else [])]:
            found[one].append((two, kind, True))
            found[two].append((one, kind, False))
    return found


def reached(layers, links, seeds, rules, bounds):
    """Key -> (score, distance, keys of the path), of every component that is reached and is no seed.

    Level by level: of every node the best product so far, of equal ones the path whose keys come first. A node that is not better than
    at an earlier level leads nowhere better. `layers`: key -> layer of every component.
    """
    edges = half_edges(links)
    best = {key: (severity, 0, (key,)) for key, severity in seeds.items() if key in layers}
    front = dict(best)
    level = 0
    while front and (bounds.max_depth is None or level < bounds.max_depth):
        level += 1
        found = {}
        for node, (score, _, path) in front.items():
            for to, kind, forward in edges[node]:
                product = score * weight(layers, rules, bounds, node, to, kind, forward)
                if product <= 0 or product < bounds.min_score * (1 - 1e-9) or (to in best and product <= best[to][0] * (1 + 1e-9)):
                    continue
                candidate = (product, level, (*path, to))
                if to not in found or (-round(product, 9), candidate[2]) < (-round(found[to][0], 9), found[to][2]):
                    found[to] = candidate
        best |= found
        front = found
    return {key: (round(score, 9), distance, path) for key, (score, distance, path) in best.items() if key in layers and key not in seeds}


def weight(layers, rules, bounds, one, two, kind, forward):
    """What a relation of this type conducts from one node to the next."""
    rule = rules[kind]
    if not rule.conducts(0 if forward else 1) or (bounds.types is not None and kind not in bounds.types):
        return 0.0
    if rule.layers and any(node in layers and layers[node] not in rule.layers for node in (one, two)):
        return 0.0
    if bounds.layers is not None and two in layers and layers[two] not in bounds.layers:
        return 0.0
    return rule.weight
