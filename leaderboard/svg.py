"""An SVG by matplotlib made fit to stand inside a page: no style of its own, its own ids, colours of the page's text."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

_SVG, _LINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML has no such letters
_DOCTYPE = re.compile(r"<!DOCTYPE[^>]*>")
_FONT = re.compile(r"^(?:(bold|italic|oblique)\s+)?([\d.]+)px\s+(.*)$")
_BLACK = {"#000000", "black", "#262626"}  # seaborn's text


def inlined(text: str, key: str, title: str) -> str:
    """A figure for the page, whose security policy allows no style attributes.

    Presentation attributes take the place of styles; black follows the page's text, so that the figure can be read in the
    dark; ids begin with the figure's key, since several figures stand in one document.

    Args:
        text: What matplotlib wrote.
        key: The figure's key.
        title: What a screen reader says of it.
    """
    root = ET.fromstring(_ILLEGAL.sub("\ufffd", _DOCTYPE.sub("", text)))  # noqa: S314 - matplotlib wrote it a moment ago
    prefix = re.sub(r"\W", "-", key)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    for node in root.iter():
        _restyle(node)
        _rename(node, prefix)
    background = root.find(f".//*[@id='{prefix}-patch_1']/{{{_SVG}}}path")
    if background is not None:
        background.set("fill", "none")
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-label", title)
    ET.register_namespace("", _SVG)
    return ET.tostring(root, encoding="unicode")


def _restyle(node: ET.Element) -> None:
    """Turns a style into attributes; the shorthand for fonts has none, so it is taken apart."""
    for part in node.attrib.pop("style", "").split(";"):
        name, colon, value = (piece.strip() for piece in part.partition(":"))
        if not colon:
            continue
        font = _FONT.match(value) if name == "font" else None
        if font:
            node.set("font-size", font[2])
            if font[1]:
                node.set("font-weight" if font[1] == "bold" else "font-style", font[1])
        elif name != "font":
            node.set(name, value)
    for name in ("fill", "stroke"):
        if node.get(name, "").lower() in _BLACK:
            node.set(name, "currentColor")
    if node.tag == f"{{{_SVG}}}text" and "fill" not in node.attrib:
        node.set("fill", "currentColor")


def _rename(node: ET.Element, prefix: str) -> None:
    """Gives ids, and what refers to them, a prefix."""
    if "id" in node.attrib:
        node.set("id", f"{prefix}-{node.attrib['id']}")
    link = node.attrib.pop(f"{{{_LINK}}}href", None) or node.attrib.get("href")
    if link and link.startswith("#"):
        node.set("href", f"#{prefix}-{link[1:]}")
    elif link:
        node.set("href", link)
    for name, value in node.attrib.items():
        if "url(#" in value:
            node.set(name, _REFERENCE.sub(rf"url(#{prefix}-\1)", value))
