"""The paths of the API below `/api/`. Each resource module exports its `urlpatterns`."""

from django.urls import include, path, re_path

from . import (
    accounts,
    approvals,
    architecture,
    assessment,
    audit,
    calendar,
    chains,
    changes,
    delegations,
    discussion,
    drift,
    executions,
    guests,
    impact,
    imports,
    items,
    obligations,
    overrides,
    plans,
    policy_rules,
    preview,
    propagation,
    rebase,
    relation_trust,
    replay,
    sandbox,
    saved_filters,
    scheduling,
    second_factor,
    templates,
    transitions,
    versions,
)
from .base import NoResource
from .schema import Docs, Schema

RESOURCES = (
    accounts,
    second_factor,
    # What lies below `architecture/` and `changes/` of its own comes before what takes any key.
    imports,
    drift,
    relation_trust,
    propagation,
    impact,
    architecture,
    changes,
    items,
    plans,
    executions,
    approvals,
    guests,
    saved_filters,
    delegations,
    chains,
    replay,
    assessment,
    preview,
    rebase,
    policy_rules,
    sandbox,
    transitions,
    obligations,
    overrides,
    discussion,
    versions,
    scheduling,
    calendar,
    audit,
    templates,
)

v1 = [pattern for resource in RESOURCES for pattern in resource.urlpatterns]

urlpatterns = [
    path("v1/", include(v1)),
    path("schema/", Schema.as_view(), name="schema"),
    path("docs/", Docs.as_view(), name="api_docs"),
    re_path(r"", NoResource.as_view()),
]
