"""`architecture/relations/{key}/confirm/` and `…/refute/`: whether a relation is so, said by an owner of either end."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.urls import path

from changemgmt.lifecycle.judge_relation import confirm_relation, may_judge, refute_relation

from .architecture import RelationShape, relation_named, shown_relation
from .base import Empty, Resource, StrictSerializer, Text

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response


class RefuteBody(StrictSerializer):
    reason = Text(max_length=500)


class Judge(Resource):
    """Whether a relation is so, said by an owner of either end; the relation is named by its key or its id."""

    answers: ClassVar = {"POST": RelationShape}

    def find(self) -> None:
        self.row = relation_named(self.kwargs["key"])

    def permit(self) -> None:
        may_judge(self.row.key, actor=self.user).enforce()


class ConfirmRelation(Judge):
    """It is so: it is relied upon from now on."""

    accepts: ClassVar = {"POST": Empty}

    def post(self, request: Request, key: str) -> Response:
        self.read(Empty)
        return self.answer(shown_relation(confirm_relation(self.row.key, actor=self.user, now=self.now), self.now))


class RefuteRelation(Judge):
    """It is not so: it conducts nothing any more, and stays on record until a change removes it."""

    accepts: ClassVar = {"POST": RefuteBody}

    def post(self, request: Request, key: str) -> Response:
        reason = self.read(RefuteBody)["reason"]
        return self.answer(shown_relation(refute_relation(self.row.key, actor=self.user, now=self.now, reason=reason), self.now))


urlpatterns = [
    path("architecture/relations/<path:key>/confirm/", ConfirmRelation.as_view(), name="relation_confirm"),
    path("architecture/relations/<path:key>/refute/", RefuteRelation.as_view(), name="relation_refute"),
]
