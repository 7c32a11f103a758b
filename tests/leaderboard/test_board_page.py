"""The page as a file: whole, self-contained, with nothing of the data taken for markup; and its figures."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pandas as pd
import pytest
from babyeval.leaderboard import plots
from babyeval.leaderboard.page import build_page
from babyeval.leaderboard.svg import inlined
from boards import HOSTILE, a_model, bare, whole, write

from babyeval.errors import UsageError
from babyeval.reading_figure import TITLES


def parsed(text):
    return ET.fromstring(text)  # noqa: S314 - our own figures


class Page(HTMLParser):
    """The tags of a page, and the texts of its scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.inline, self.open = [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open = self.tags[-1] if tag in ("script", "style") else None

    def handle_endtag(self, tag):
        self.open = None

    def handle_data(self, data):
        if self.open:
            self.inline.append((*self.open, data))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two conditions of two seeds with names that try to break the page, a sweep, and a damaged record."""
    root = tmp_path_factory.mktemp("page") / "results <b>"
    for place, name in enumerate(HOSTILE):
        about = {"condition": f"c{place // 2}<i>", "train_seed": place % 2, "words_seen": 5000}
        write(root, *whole(a_model(name, **about), place, 0.6 + 0.1 * (place // 2)))
        write(root, bare("blimp", a_model(name, revision="chck_1K", **{**about, "words_seen": 1000}), 55.0))
    broken = next(root.glob("*/main/wug_adj/full-causal/robust/result.json"))
    broken.write_text("{")
    return root


@pytest.fixture(scope="module")
def built(results, tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    payload = build_page(results, folder / "new" / "page.html", figures=folder / "figures")
    return payload, (folder / "new" / "page.html").read_text(encoding="utf-8"), folder


def test_the_page_carries_its_payload(built):
    payload, text, folder = built
    (found,) = [data for tag, attrs, data in Page(text).inline if attrs.get("id") == "payload"]
    assert json.loads(found) == json.loads(payload.model_dump_json())
    assert [path.name for path in (folder / "new").iterdir()] == ["page.html"]
    assert len(payload.damaged) == 1


def test_names_are_never_markup(built):
    _, text, _ = built
    page = Page(text)
    for name in HOSTILE:
        assert ("<" in name) == (name not in text), name
    assert sum(tag == "title" for tag, _ in page.tags) == 1
    title = re.search("<title>(.*?)</title>", text)[1]
    assert "<" not in title
    assert "results <b>" in html.unescape(title)
    assert not [attrs for _, attrs in page.tags if any(key.startswith("on") for key in attrs)]


def test_nothing_is_loaded_and_only_these_scripts_may_run(built):
    _, text, _ = built
    page = Page(text)
    assert not [
        (tag, attrs)
        for tag, attrs in page.tags
        if {"src", "srcset", "action", "data"} & attrs.keys() or tag in ("link", "iframe")
    ]
    (policy,) = [attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    directives = {words[0]: set(words[1:]) for part in policy.split(";") if (words := part.split())}
    for kind in ("script", "style"):
        texts = [data for tag, attrs, data in page.inline if tag == kind and attrs.get("type") != "application/json"]
        digests = {f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'" for one in texts}
        assert digests == directives[f"{kind}-src"]
        assert texts


def test_figures_stand_on_the_page_and_in_the_folder(built):
    payload, _, folder = built
    assert list(payload.figures) == ["zscores", "effects", "curve:blimp"]  # the hand-made reading records hold no words
    files = sorted(path.name for path in (folder / "figures").iterdir())
    assert files == sorted(f"{key}.{end}" for key in ("zscores", "effects", "curve_blimp") for end in ("svg", "pdf"))
    for key, figure in payload.figures.items():
        root = parsed(figure.svg)
        nodes = list(root.iter())
        assert not [node for node in nodes if "style" in node.attrib or node.tag.endswith(("}style", "}script", "}metadata"))]
        ids = [node.attrib["id"] for node in nodes if "id" in node.attrib]
        assert all(one.startswith(f"{key.replace(':', '-')}-") for one in ids)
        assert len(set(ids)) == len(ids)
        used = set(re.findall(r"url\(#([^)]+)\)", figure.svg)) | {n.attrib["href"][1:] for n in nodes if "href" in n.attrib}
        assert used <= set(ids)
    words = "".join(parsed(payload.figures["effects"].svg).itertext())
    assert "c1<i>" in words
    assert (folder / "figures" / "effects.pdf").read_bytes().startswith(b"%PDF")


def test_a_figure_follows_the_colours_of_the_page():
    text = (
        '<?xml version="1.0"?><!DOCTYPE svg PUBLIC "x" "y"><svg xmlns="http://www.w3.org/2000/svg" width="9pt" height="9pt">'
        '<metadata>m</metadata><g id="patch_1"><path style="fill: #ffffff"/></g><path id="p" style="fill: none; stroke: #000000"/>'
        '<text style="font: bold 10px \'DejaVu Sans\'; text-anchor: middle">a &lt;b&gt;</text><use style="fill: #123456" clip-path="url(#p)"/></svg>'
    )
    root = parsed(inlined(text, "curve:x", "Title"))
    space = "{http://www.w3.org/2000/svg}"
    background, line = root.findall(f".//{space}path")
    assert background.attrib == {"fill": "none"}
    assert line.attrib == {"id": "curve-x-p", "fill": "none", "stroke": "currentColor"}
    words = root.find(f"{space}text")
    assert (words.text, words.attrib) == (
        "a <b>", {"font-size": "10", "font-weight": "bold", "text-anchor": "middle", "fill": "currentColor"},
    )  # fmt: skip
    assert root.find(f"{space}use").attrib == {"fill": "#123456", "clip-path": "url(#curve-x-p)"}
    assert (root.get("role"), root.get("aria-label"), root.get("width")) == ("img", "Title", None)


def test_the_reading_figure_is_no_wider_than_a_page(tmp_path, monkeypatch):
    """Five panels beside each other are too small to read, on paper and on a screen."""
    write(tmp_path / "r", *whole(a_model("a"), 1, 0.6), *whole(a_model("b"), 2, 0.8))
    frame = pd.DataFrame(
        [(measure, 200.0 + i, 201.0 + i) for measure in TITLES for i in range(3)], columns=["measure", "predicted", "observed"]
    )
    monkeypatch.setattr(plots, "_binned", lambda board, result: frame)
    payload = build_page(tmp_path / "r", tmp_path / "page.html")
    root = parsed(payload.figures["reading"].svg)
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    assert width < 7 * 96 < 2 * height
    words = "".join(root.itertext())
    assert all(title in words for title in TITLES.values())
    assert words.count("observed (ms)") == 2  # rows


def test_figures_name_models_whose_names_begin_with_an_underscore(tmp_path, monkeypatch):
    names = ("_tiny-bert", "_tiny-llama", "plain")
    for seed, name in enumerate(names):
        write(tmp_path / "r", *whole(a_model(name, words_seen=100), seed, 0.6))
        write(tmp_path / "r", bare("blimp", a_model(name, revision="chck_10", words_seen=10), 50.0))
    frame = pd.DataFrame([(measure, 200.0, 201.0) for measure in TITLES], columns=["measure", "predicted", "observed"])
    monkeypatch.setattr(plots, "_binned", lambda board, result: frame)
    figures = build_page(tmp_path / "r", tmp_path / "page.html").figures
    space = "{http://www.w3.org/2000/svg}"
    for key, more in (("reading", []), ("curve:blimp", ["chance"])):
        legend = next(node for node in parsed(figures[key].svg).iter(f"{space}g") if "legend" in node.get("id", ""))
        assert [text.text for text in legend.iter(f"{space}text")] == [*names, *more], key


def test_a_folder_is_no_page(results, tmp_path):
    with pytest.raises(UsageError, match="the name of a file"):
        build_page(results, tmp_path)


def test_no_model_library_is_imported(tmp_path):
    write(tmp_path / "results", *whole(a_model("a"), 1, 0.7), *whole(a_model("b"), 2, 0.8))
    code = (
        "import sys; from pathlib import Path; from babyeval.leaderboard.page import build_page; "
        "build_page(Path('results'), Path('page.html')); "
        "print([name for name in ('torch', 'transformers', 'huggingface_hub') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
