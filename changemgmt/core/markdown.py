"""People's Markdown as HTML that can't do harm."""

from html import unescape
from re import sub

import nh3
from markdown_it import MarkdownIt

RENDERER = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
TAGS = {
    *("a", "b", "blockquote", "br", "code", "del", "em", "h3", "h4", "h5", "h6", "hr", "i", "img", "li", "ol", "p"),
    *("pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul"),
}
# A text stands inside a page that has its own h1 and h2.
HEADINGS = {"h1": "h3", "h2": "h4", "h3": "h5", "h4": "h6", "h5": "h6", "h6": "h6"}


def keep(tag: str, attribute: str, value: str) -> str | None:
    """Images only from this host; everything else as the allow-list says."""
    if tag == "img" and attribute == "src" and (not value.startswith("/") or value.startswith("//")):
        return None
    return value


def to_html(text: str) -> str:
    """`text` rendered and sanitised: no raw HTML, no scripts or styles, no image of another host."""
    tokens = RENDERER.parse(text)
    for token in tokens:
        token.tag = HEADINGS.get(token.tag, token.tag)
    html = RENDERER.renderer.render(tokens, RENDERER.options, {})
    return nh3.clean(
        html,
        tags=TAGS,
        attributes={"a": {"href", "title"}, "img": {"src", "alt", "title"}, "ol": {"start"}},
        url_schemes={"http", "https", "mailto"},
        attribute_filter=keep,
        link_rel="noopener noreferrer nofollow",
    )


def to_text(markdown: str, limit: int = 320) -> str:
    """The beginning of a text without its markup, on one line, cut between words."""
    text = " ".join(unescape(sub(r"<[^>]*>", " ", to_html(markdown))).split()).replace(" .", ".").replace(" ,", ",")
    return text if len(text) <= limit else f"{text[:limit].rsplit(' ', 1)[0]} …"
