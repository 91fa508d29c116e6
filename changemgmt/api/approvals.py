"""`approvals/`: what waits for my vote, and voting; the approval of a change and what blocks it."""

from __future__ import annotations

from typing import Any, ClassVar

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from changemgmt.approvals import filters, looks
from changemgmt.approvals.models import ActionItem, Level, Vote
from changemgmt.approvals.queries import approval_of, queue_of, visible_seat
from changemgmt.approvals.shapes import level_shape, levels_whole
from changemgmt.approvals.sitting import may_sit, seat_now
from changemgmt.changes.queries import visible
from changemgmt.core.errors import Invalid, existing
from changemgmt.core.reading import reading
from changemgmt.core.verdict import Verdict
from changemgmt.lifecycle import claim
from changemgmt.lifecycle import vote as verbs
from changemgmt.lifecycle.blockers import all_blockers
from changemgmt.lifecycle.reconfirm import reconfirm_vote

from .base import Empty, Resource, StrictSerializer, Text, Whole
from .errors import body_of

MOST_AT_ONCE = 200


class ConditionBody(serializers.Serializer):
    text = serializers.CharField()
    due = serializers.ChoiceField(ActionItem.Due.choices, required=False)
    evidence = serializers.ChoiceField(ActionItem.Evidence.choices, required=False)
    owner = serializers.CharField(required=False)
    expires_at = serializers.DateTimeField(required=False)
    on_expiry = serializers.ChoiceField(ActionItem.OnExpiry.choices, required=False)


class VoteBody(StrictSerializer):
    """A vote. Its values are checked by the verb, so that every door says the same."""

    digest = Text(required=False, allow_null=True, allow_blank=True)
    vote = serializers.ChoiceField(Vote.Kind.choices)
    comment = Text(required=False, allow_blank=True)
    conditions = serializers.ListField(
        required=False, child=serializers.JSONField(), help_text="text, due, evidence, owner, expires_at, on_expiry of each"
    )
    password = Text(required=False, allow_blank=True, allow_null=True, help_text="Where the level demands a signature.")
    code = Text(required=False, allow_blank=True, allow_null=True, help_text="Of the second factor, where the person has one.")


class QuestionBody(StrictSerializer):
    question = Text(required=False, allow_blank=True, default="", max_length=20_000)


class WithdrawBody(StrictSerializer):
    reason = Text(required=False, allow_blank=True, default="", max_length=2_000)


class ReassignBody(StrictSerializer):
    to = Text(max_length=150)
    reason = Text(required=False, allow_blank=True, default="", max_length=2_000)


class ReconfirmBody(StrictSerializer):
    digest = Text(required=False, allow_null=True, allow_blank=True)
    password = Text(required=False, allow_blank=True)
    code = Text(required=False, allow_blank=True)


class OneOfMany(StrictSerializer):
    id = Whole(min_value=1)
    digest = Text(required=False, allow_null=True, allow_blank=True)


class BulkBody(StrictSerializer):
    votes = serializers.ListField(child=OneOfMany(), min_length=1, max_length=MOST_AT_ONCE)
    vote = serializers.ChoiceField(Vote.Kind.choices)
    comment = Text(required=False, allow_blank=True, default="")
    # Levels that demand a signature take it for all votes of a call: a wrong or missing factor is a 403 at each of theirs.
    password = Text(required=False, allow_blank=True, allow_null=True, help_text="Where a level demands a signature.")
    code = Text(required=False, allow_blank=True, allow_null=True, help_text="Of the second factor; one signs them all.")


class QueueShape(serializers.Serializer):
    id = serializers.IntegerField()
    change = serializers.CharField()
    title = serializers.CharField()
    level = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # a declared field
    power = serializers.CharField()
    on_behalf_of = serializers.CharField(allow_null=True)
    group = serializers.CharField(allow_null=True)
    claimed_by = serializers.CharField(allow_null=True)
    claimed_until = serializers.DateTimeField(allow_null=True)
    chain = serializers.CharField()
    due_at = serializers.DateTimeField(allow_null=True)
    risk_level = serializers.CharField(allow_null=True)
    risk_score = serializers.FloatField(allow_null=True)
    type = serializers.CharField()
    priority = serializers.CharField()
    version = serializers.IntegerField()
    digest = serializers.CharField()
    changed_since_my_vote = serializers.BooleanField()
    can_reconfirm = serializers.BooleanField()


class SeatShape(serializers.Serializer):
    id = serializers.IntegerField()
    label = serializers.CharField()  # type: ignore[assignment]  # a declared field
    power = serializers.CharField()
    weight = serializers.IntegerField()
    state = serializers.CharField()
    explanation = serializers.CharField()
    group = serializers.CharField(allow_null=True)
    claimed_by = serializers.CharField(allow_null=True)
    claimed_until = serializers.DateTimeField(allow_null=True)
    reassigned_from = serializers.CharField()
    people = serializers.ListField(child=serializers.CharField())
    guests = serializers.ListField(child=serializers.CharField(), help_text="Names of those who are asked without an account.")
    digest = serializers.CharField()


class SignatureShape(serializers.Serializer):
    meaning = serializers.CharField()
    name = serializers.CharField()
    factors = serializers.ListField(child=serializers.CharField())
    at = serializers.DateTimeField()


class VoteShape(serializers.Serializer):
    id = serializers.IntegerField()
    seat = serializers.IntegerField()
    by = serializers.CharField()
    name = serializers.CharField()
    on_behalf_of = serializers.CharField(allow_null=True)
    vote = serializers.CharField()
    comment = serializers.CharField()
    conditions = ConditionBody(many=True)
    version = serializers.IntegerField()
    digest = serializers.CharField()
    at = serializers.DateTimeField()
    signature = SignatureShape(allow_null=True)
    carried = serializers.BooleanField()
    superseded = serializers.BooleanField()
    superseded_why = serializers.CharField()


class RunningRule(serializers.Serializer):
    kind = serializers.CharField()
    value = serializers.IntegerField(allow_null=True)


class RunningLevel(serializers.Serializer):
    id = serializers.IntegerField()
    number = serializers.IntegerField()
    name = serializers.CharField()
    chain = serializers.CharField()
    state = serializers.CharField()
    rule = RunningRule()
    rule_in_words = serializers.CharField()
    watches = serializers.ListField(child=serializers.CharField())
    opened_at = serializers.DateTimeField(allow_null=True)
    due_at = serializers.DateTimeField(allow_null=True)
    decided_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    escalated_at = serializers.DateTimeField(allow_null=True)
    timed_out_at = serializers.DateTimeField(allow_null=True)
    on_timeout = serializers.ChoiceField(Level.OnTimeout.choices)
    allow_conditions = serializers.BooleanField()
    require_comment_on_reject = serializers.BooleanField()
    require_signature = serializers.BooleanField()
    allow_guests = serializers.BooleanField()
    seats = SeatShape(many=True)
    votes = VoteShape(many=True)


class ShortBlocker(serializers.Serializer):
    what = serializers.CharField()
    who_can_clear = serializers.ListField(child=serializers.CharField())
    clears_at = serializers.DateTimeField(allow_null=True)


class BlockerShape(ShortBlocker):
    rule = serializers.CharField()
    facts = serializers.ListField(child=serializers.CharField())


class DifferenceShape(serializers.Serializer):
    path = serializers.CharField()
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)


class SinceShape(serializers.Serializer):
    version = serializers.IntegerField()
    at = serializers.DateTimeField()
    parts = serializers.ListField(child=serializers.CharField())
    differences = DifferenceShape(many=True)


class ApprovalShape(serializers.Serializer):
    round = serializers.IntegerField()
    chain = serializers.CharField(allow_null=True)
    chain_version = serializers.IntegerField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    outcome = serializers.CharField()
    levels = RunningLevel(many=True)
    blockers = ShortBlocker(many=True)
    changed_since_my_look = SinceShape(allow_null=True)


class BulkShape(serializers.Serializer):
    id = serializers.IntegerField()
    ok = serializers.BooleanField()
    problem = serializers.JSONField(allow_null=True)


class Queue(Resource):
    """What waits for my vote, in the order in which it is best done: time left, emergencies, risk, priority, age."""

    parameters: ClassVar = ("page_size", "cursor", "count", *filters.NAMES)
    answers: ClassVar = {"GET": QueueShape}

    def get(self, request: Request) -> Response:
        given = {name: request.query_params.getlist(name) for name in request.query_params if name in filters.NAMES}
        rows = [row.shape() for row in filters.narrow(queue_of(self.user, self.now), filters.read(given), now=self.now)]
        size, start = number_of(request, "page_size", 50, 200), number_of(request, "cursor", 0, 10**6, least=0)
        answer: dict[str, Any] = {
            "next": self.at(start + size, len(rows)),
            "previous": self.at(max(0, start - size), start),
            "results": rows[start : start + size],
        }
        if request.query_params.get("count") == "true":
            answer["count"] = len(rows)
        return self.answer(answer)

    def at(self, position: int, end: int) -> str | None:
        """The address of the page that begins at this place, if there is one before `end`."""
        if position >= end:
            return None
        query = self.request.query_params.copy()
        query["cursor"] = str(position)
        return self.request.build_absolute_uri(f"{self.request.path}?{query.urlencode()}")


def number_of(request: Request, name: str, default: int, most: int, *, least: int = 1) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= 7 and least <= int(text) <= most):
        raise Invalid.field(name, f"Give a whole number from {least} to {most}.")
    return int(text)


class AtSeat(Resource):
    """One seat, whoever sits there."""

    def find(self) -> None:
        self.seat = existing(visible_seat(self.kwargs["pk"], self.user), "There is no vote with this id that you may see.")

    def permit(self) -> None:
        Verdict(refusal=may_sit(seat_now(self.seat), self.user, now=self.now)).enforce()

    def level(self, seat: Any) -> Response:
        return self.answer(level_shape(levels_whole().get(pk=seat.level_id)))


class CastVote(AtSeat):
    """Vote at a seat. The digest is the one that came with the seat; the same vote again changes nothing."""

    accepts: ClassVar = {"POST": VoteBody}
    answers: ClassVar = {"POST": RunningLevel}

    def post(self, request: Request, pk: int) -> Response:
        said = {"digest": None, **self.read(VoteBody)}
        return self.level(verbs.cast_vote(pk, actor=self.user, now=self.now, **said))


class Withdraw(AtSeat):
    """Take my vote back. Until the level is decided the seat is open again; afterwards the review is reopened."""

    accepts: ClassVar = {"POST": WithdrawBody}
    answers: ClassVar = {"POST": RunningLevel}

    def permit(self) -> None:
        verbs.may_take_back(seat_now(self.seat), actor=self.user).enforce()

    def post(self, request: Request, pk: int) -> Response:
        return self.level(verbs.withdraw_vote(pk, actor=self.user, now=self.now, **self.read(WithdrawBody)))


class Claim(AtSeat):
    """Take a group's vote for myself: it leaves the others' queues until I release it or the time is over."""

    accepts: ClassVar = {"POST": Empty}
    answers: ClassVar = {"POST": RunningLevel}

    def post(self, request: Request, pk: int) -> Response:
        self.read(Empty)
        return self.level(claim.claim_seat(pk, actor=self.user, now=self.now))


class Release(AtSeat):
    """Give a claimed vote back to its group: who claimed it, or a change manager."""

    accepts: ClassVar = {"POST": Empty}
    answers: ClassVar = {"POST": RunningLevel}

    def permit(self) -> None:
        Verdict(refusal=claim.may_release(seat_now(self.seat), actor=self.user, now=self.now).refusal).enforce()

    def post(self, request: Request, pk: int) -> Response:
        self.read(Empty)
        return self.level(claim.release_seat(pk, actor=self.user, now=self.now))


class Reassign(AtSeat):
    """Ask somebody else at this seat, as a change manager without a part in the change."""

    accepts: ClassVar = {"POST": ReassignBody}
    answers: ClassVar = {"POST": RunningLevel}

    def permit(self) -> None:
        claim.may_reassign(seat_now(self.seat), actor=self.user).enforce()

    def post(self, request: Request, pk: int) -> Response:
        return self.level(claim.reassign_seat(pk, actor=self.user, now=self.now, **self.read(ReassignBody)))


class Reconfirm(AtSeat):
    """Say once more what I said in the round before, where nothing my level watches has moved since."""

    accepts: ClassVar = {"POST": ReconfirmBody}
    answers: ClassVar = {"POST": RunningLevel}

    def post(self, request: Request, pk: int) -> Response:
        return self.level(reconfirm_vote(pk, actor=self.user, now=self.now, **{"digest": None, **self.read(ReconfirmBody)}))


class RequestInformation(AtSeat):
    """Ask before deciding: nobody votes and the clocks stand still until the requester answers."""

    accepts: ClassVar = {"POST": QuestionBody}
    answers: ClassVar = {"POST": RunningLevel}

    def post(self, request: Request, pk: int) -> Response:
        return self.level(verbs.request_information(pk, actor=self.user, now=self.now, **self.read(QuestionBody)))


class BulkVote(Resource):
    """The same vote at several seats of one template's changes: each is checked and recorded by itself. An id that is not mine refuses all (404)."""

    accepts: ClassVar = {"POST": BulkBody}
    answers: ClassVar = {"POST": BulkShape(many=True)}

    def post(self, request: Request) -> Response:
        found = verbs.bulk_vote(actor=self.user, now=self.now, **self.read(BulkBody))
        return self.answer([{**one, "problem": body_of(one["problem"]) if one["problem"] else None} for one in found])


class OfChange(Resource):
    """Something of one change."""

    def find(self) -> None:
        self.change = visible(self.user, self.kwargs["number"])


class Approval(OfChange):
    """The approval of a change: its last round, level by level, with seats and votes."""

    answers: ClassVar = {"GET": ApprovalShape}

    def get(self, request: Request, number: str) -> Response:
        with reading():
            seen = looks.look(self.change, self.user, now=self.now)
            shown = approval_of(self.change, self.user, now=self.now)
            return self.answer(shown | {"changed_since_my_look": looks.shape(self.change, seen)})


class Blockers(OfChange):
    """Everything that keeps the change from its next step: the rule, the facts, who can clear it, and when it clears by itself."""

    answers: ClassVar = {"GET": BlockerShape(many=True)}

    def get(self, request: Request, number: str) -> Response:
        with reading():
            return self.answer(all_blockers(self.change, actor=self.user, now=self.now))


urlpatterns = [
    path("approvals/", Queue.as_view(), name="approvals"),
    path("approvals/bulk-vote/", BulkVote.as_view(), name="bulk_vote"),
    path("approvals/<int:pk>/vote/", CastVote.as_view(), name="vote"),
    path("approvals/<int:pk>/withdraw/", Withdraw.as_view(), name="withdraw_vote"),
    path("approvals/<int:pk>/claim/", Claim.as_view(), name="claim_vote"),
    path("approvals/<int:pk>/release/", Release.as_view(), name="release_vote"),
    path("approvals/<int:pk>/reassign/", Reassign.as_view(), name="reassign_vote"),
    path("approvals/<int:pk>/reconfirm/", Reconfirm.as_view(), name="reconfirm_vote"),
    path("approvals/<int:pk>/request-information/", RequestInformation.as_view(), name="request_information"),
    path("changes/<str:number>/approval/", Approval.as_view(), name="change_approval"),
    path("changes/<str:number>/blockers/", Blockers.as_view(), name="change_blockers"),
]
