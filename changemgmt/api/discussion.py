"""What hangs on a change: comments, attachments, links, watchers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.http import FileResponse
from django.urls import path
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser

from changemgmt.accounts.models import User
from changemgmt.changes.models import Attachment as AttachmentRow
from changemgmt.changes.models import Comment
from changemgmt.changes.models import Link as LinkRow
from changemgmt.changes.queries import visible_to
from changemgmt.core.errors import Invalid, NotFound, existing
from changemgmt.core.markdown import to_html
from changemgmt.lifecycle import discuss, edit
from changemgmt.lifecycle.edit.ties import LARGEST
from changemgmt.lifecycle.guards import UNSEEN

from .base import StrictSerializer, Text
from .changes import OfChange

if TYPE_CHECKING:
    from collections.abc import Collection

    from rest_framework.request import Request
    from rest_framework.response import Response

PARENT = "parent"
KINDS = (*LinkRow.Kind.values, PARENT)
PARENT_ID = 0
MULTIPART_ROOM = 64 * 1024
DOWNLOAD_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cache-Control": "private, no-store",
}


class CommentBody(StrictSerializer):
    text = Text(max_length=20_000)


class CommentShape(serializers.Serializer):
    id = serializers.IntegerField()
    text = serializers.CharField()
    html = serializers.CharField()
    author = serializers.CharField()
    at = serializers.DateTimeField()


class AttachmentBody(serializers.Serializer):
    file = serializers.FileField()


class AttachmentShape(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    size = serializers.IntegerField()
    content_type = serializers.CharField()
    sha256 = serializers.CharField()
    download = serializers.CharField()
    by = serializers.CharField()
    at = serializers.DateTimeField()
    evidence = serializers.BooleanField()


class LinkBody(StrictSerializer):
    kind = serializers.ChoiceField(KINDS)
    target = Text(max_length=300)
    system = Text(max_length=60, required=False, allow_blank=True, allow_null=True)
    url = Text(max_length=1000, required=False, allow_blank=True, allow_null=True)


class LinkShape(serializers.Serializer):
    id = serializers.IntegerField()
    kind = serializers.ChoiceField(KINDS)
    target = serializers.CharField()
    system = serializers.CharField(allow_null=True)
    url = serializers.CharField(allow_null=True)


class WatcherBody(StrictSerializer):
    username = Text(max_length=150)


class WatcherShape(serializers.Serializer):
    username = serializers.CharField()
    name = serializers.CharField()


class Comments(OfChange):
    """What people said about a change, oldest first."""

    orderings: ClassVar = {"at": "at"}
    ordering = "at"
    names: ClassVar = ("id", "text", "html", "author", "at")
    accepts: ClassVar = {"POST": CommentBody}
    answers: ClassVar = {"GET": CommentShape, "POST": CommentShape}
    statuses: ClassVar = {"POST": "201"}

    def permit(self) -> None:
        if self.writing:
            discuss.refuse_readers(self.user)

    def get(self, request: Request, number: str) -> Response:
        return self.listing(self.change.comments.select_related("author"), lambda rows: map(comment_shown, rows))

    def post(self, request: Request, number: str) -> Response:
        comment = discuss.add_comment(number, self.read(CommentBody)["text"], actor=self.user, now=self.now)
        return self.answer(comment_shown(comment), 201)


class Attachments(OfChange):
    """The files of a change. POST takes one as multipart field `file`."""

    parser_classes = [MultiPartParser]
    upload_limit = LARGEST + MULTIPART_ROOM
    orderings: ClassVar = {"at": "at", "name": "name"}
    ordering = "at"
    names: ClassVar = ("id", "name", "size", "content_type", "sha256", "download", "by", "at", "evidence")
    accepts: ClassVar = {"POST": AttachmentBody}
    answers: ClassVar = {"GET": AttachmentShape, "POST": AttachmentShape}
    statuses: ClassVar = {"POST": "201"}

    def permit(self) -> None:
        if self.writing:
            self.permit_edit()

    def get(self, request: Request, number: str) -> Response:
        return self.listing(self.change.attachments.select_related("by", "change"), lambda rows: map(attachment_shown, rows))

    def post(self, request: Request, number: str) -> Response:
        files = request.FILES.getlist("file")
        if len(files) != 1 or len(request.data) != 1:
            raise Invalid.field("file", "Send one file, as the multipart field “file”, and nothing else.")
        attachment = edit.attach(number, file=files[0], actor=self.user, now=self.now, seen=self.seen)
        shown = attachment_shown(attachment)
        return self.answer(shown, 201, etag=attachment.change.etag, location=f"/api/v1/changes/{number}/attachments/{attachment.pk}/")


class OfAttachment(OfChange):
    def find(self) -> None:
        super().find()
        rows = self.change.attachments.filter(pk=self.kwargs["pk"]).select_related("by", "change")
        self.attachment = existing(rows.first(), "This change has no attachment with this id.")


class Attachment(OfAttachment):
    """One file."""

    answers: ClassVar = {"GET": AttachmentShape}

    def permit(self) -> None:
        if self.writing:
            self.permit_edit()

    def get(self, request: Request, number: str, pk: int) -> Response:
        return self.answer(attachment_shown(self.attachment))

    def delete(self, request: Request, number: str, pk: int) -> Response:
        change = edit.detach(number, pk, actor=self.user, now=self.now, seen=self.seen)
        return self.answer(None, 204, etag=change.etag)


class Download(OfAttachment):
    """The file itself, only ever as a download."""

    def get(self, request: Request, number: str, pk: int) -> FileResponse:
        return download(self.attachment)


def download(attachment: AttachmentRow) -> FileResponse:
    """The file as a download that no browser shows or runs, under the name it was sent with."""
    file = attachment.file.open("rb")
    return FileResponse(file, as_attachment=True, filename=attachment.name, content_type="application/octet-stream", headers=DOWNLOAD_HEADERS)


class Links(OfChange):
    """Ties to other changes and to other systems. The parent is among them, with the id 0."""

    orderings: ClassVar = {"id": "pk"}
    ordering = "id"
    names: ClassVar = ("id", "kind", "target", "system", "url")
    accepts: ClassVar = {"POST": LinkBody}
    answers: ClassVar = {"GET": LinkShape, "POST": LinkShape}
    statuses: ClassVar = {"POST": "201"}

    def permit(self) -> None:
        if self.writing:
            self.permit_edit()

    def get(self, request: Request, number: str) -> Response:
        return self.listing(self.change.links.select_related("other"), self.shown_rows)

    def shown_rows(self, rows: list[LinkRow]) -> list[dict[str, Any]]:
        first = "cursor" not in self.request.query_params
        parent = [parent_shown(self.change, self.user)] if first and self.change.parent_id else []
        seen = set(visible_to(self.user).filter(pk__in=[row.other_id for row in rows if row.other_id]).values_list("pk", flat=True))
        return parent + [link_shown(row, seen) for row in rows]

    def post(self, request: Request, number: str) -> Response:
        body = self.read(LinkBody)
        if body["kind"] == PARENT:
            parent = edit.edit_change(number, {"parent": body["target"]}, actor=self.user, now=self.now, seen=self.seen)
            return self.answer(parent_shown(parent, self.user), 201, etag=parent.etag)
        row = edit.link(number, body, actor=self.user, now=self.now, seen=self.seen)
        return self.answer(link_shown(row, {row.other_id}), 201, etag=row.change.etag, location=f"/api/v1/changes/{number}/links/{row.pk}/")


class Link(OfChange):
    """One tie."""

    answers: ClassVar = {"GET": LinkShape}

    def find(self) -> None:
        super().find()
        self.row = self.change.links.filter(pk=self.kwargs["pk"]).select_related("other").first()
        if self.row is None and not (self.kwargs["pk"] == PARENT_ID and self.change.parent_id):
            raise NotFound("This change has no link with this id.")

    def permit(self) -> None:
        if self.writing:
            self.permit_edit()

    def get(self, request: Request, number: str, pk: int) -> Response:
        other = self.row.other_id if self.row else None
        seen = set(visible_to(self.user).filter(pk=other).values_list("pk", flat=True)) if other else set()
        return self.answer(link_shown(self.row, seen) if self.row else parent_shown(self.change, self.user))

    def delete(self, request: Request, number: str, pk: int) -> Response:
        if self.row:
            change = edit.unlink(number, pk, actor=self.user, now=self.now, seen=self.seen)
        else:
            change = edit.edit_change(number, {"parent": None}, actor=self.user, now=self.now, seen=self.seen)
        return self.answer(None, 204, etag=change.etag)


class Watchers(OfChange):
    """Who is told about a change. POST adds somebody: oneself, or others by those who run it."""

    orderings: ClassVar = {"username": "username"}
    ordering = "username"
    names: ClassVar = ("username", "name")
    accepts: ClassVar = {"POST": WatcherBody}
    answers: ClassVar = {"GET": WatcherShape, "POST": WatcherShape}
    statuses: ClassVar = {"POST": "201"}

    def permit(self) -> None:
        if self.writing:
            discuss.refuse_readers(self.user)

    def get(self, request: Request, number: str) -> Response:
        return self.listing(self.change.watchers.all(), lambda rows: map(watcher_shown, rows))

    def post(self, request: Request, number: str) -> Response:
        username = self.read(WatcherBody)["username"]
        change = discuss.watch(number, username, actor=self.user, now=self.now)
        return self.answer(watcher_shown(change.watchers.get(username=username)), 201, location=f"/api/v1/changes/{number}/watchers/{username}/")


class Watcher(OfChange):
    """One who is told."""

    answers: ClassVar = {"GET": WatcherShape}

    def find(self) -> None:
        super().find()
        self.watcher = existing(self.change.watchers.filter(username=self.kwargs["username"]).first(), "This person does not watch this change.")

    def permit(self) -> None:
        if self.writing:
            discuss.refuse_readers(self.user)

    def get(self, request: Request, number: str, username: str) -> Response:
        return self.answer(watcher_shown(self.watcher))

    def delete(self, request: Request, number: str, username: str) -> Response:
        discuss.unwatch(number, username, actor=self.user, now=self.now)
        return self.answer(None, 204)


def comment_shown(comment: Comment) -> dict[str, Any]:
    return {"id": comment.pk, "text": comment.text, "html": to_html(comment.text), "author": comment.author.username, "at": comment.at}


def attachment_shown(attachment: AttachmentRow) -> dict[str, Any]:
    shown = {name: getattr(attachment, name) for name in ("name", "size", "content_type", "sha256", "at", "evidence")}
    address = f"/api/v1/changes/{attachment.change.number}/attachments/{attachment.pk}/download/"
    return {"id": attachment.pk, **shown, "by": attachment.by.username, "download": address}


def link_shown(row: LinkRow, seen: Collection[int | None]) -> dict[str, Any]:
    """A link; another change is only named to those who may see it."""
    target = row.target if row.other is None else row.other.number if row.other_id in seen else UNSEEN
    return {"id": row.pk, "kind": row.kind, "target": target, "system": row.system or None, "url": row.url or None}


def parent_shown(change: Any, viewer: User) -> dict[str, Any]:
    seen = visible_to(viewer).filter(pk=change.parent_id).exists()
    return {"id": PARENT_ID, "kind": PARENT, "target": change.parent.number if seen else UNSEEN, "system": None, "url": None}


def watcher_shown(user: User) -> dict[str, Any]:
    return {"username": user.username, "name": user.display_name}


urlpatterns = [
    path("changes/<str:number>/comments/", Comments.as_view(), name="comments"),
    path("changes/<str:number>/attachments/", Attachments.as_view(), name="attachments"),
    path("changes/<str:number>/attachments/<int:pk>/", Attachment.as_view(), name="attachment"),
    path("changes/<str:number>/attachments/<int:pk>/download/", Download.as_view(), name="attachment_download"),
    path("changes/<str:number>/links/", Links.as_view(), name="links"),
    path("changes/<str:number>/links/<int:pk>/", Link.as_view(), name="link"),
    path("changes/<str:number>/watchers/", Watchers.as_view(), name="watchers"),
    path("changes/<str:number>/watchers/<str:username>/", Watcher.as_view(), name="watcher"),
]
