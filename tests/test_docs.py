"""The README holds what the command lines really have."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.conftest import ROOT
from tests.factories import SHELF, squares, write_picture

README = ROOT / "README.md"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:edge|edge-export) [^`\n]*)`")
PROGRAMS = ("edge", "edge-export")


@pytest.fixture(scope="module")
def readme() -> str:
    if not README.is_file():
        pytest.skip("no README.md yet")
    return README.read_text(encoding="utf-8")


def command_of(program: str) -> Any:
    """The program as click sees it; its classes are typer's own business."""
    if program == "edge":
        from edge.cli import app
    else:
        from export.cli import app
    return typer.main.get_command(app)


def children(command: Any) -> Mapping[str, Any]:
    """The commands of a group by name; none of a command."""
    return getattr(command, "commands", None) or {}


def commands(text: str) -> Iterator[list[str]]:
    """Every call of one of our programs in a shell line, split into words."""
    for line in text.replace("\\\n", " ").splitlines():
        for part in re.split(r"&&|\|\||[;|]", line):
            try:
                words = shlex.split(part.removeprefix("$ "), comments=True)
            except ValueError:
                continue  # an apostrophe in prose
            while words and re.fullmatch(r"\w+=\S*", words[0]):
                words = words[1:]
            if words and words[0].rsplit("/", 1)[-1] in PROGRAMS:
                yield [words[0].rsplit("/", 1)[-1], *words[1:]]


def calls(readme: str) -> list[list[str]]:
    shell = [body for name, body in FENCE.findall(readme) if name in ("", "bash", "sh", "console")]
    return [call for body in shell for call in commands(body)]


def check(call: list[str]) -> str | None:
    """What is wrong with a call, or None."""
    command = command_of(call[0])
    words = call[1:]
    path = [call[0]]
    while (inside := children(command)) and words and not words[0].startswith("-"):
        name = words[0]
        if name not in inside:
            return f"{' '.join(path)} has no command {name}"
        command, words = inside[name], words[1:]
        path.append(name)
    known = {"--help"} | {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
    for word in words:
        option = word.split("=", 1)[0]
        if option.startswith("-") and not re.fullmatch(r"-\d.*", option) and option not in known:
            return f"{' '.join(path)} has no option {option}"
    return None


def test_the_check_finds_what_is_wrong() -> None:
    assert check(["edge", "audit", "a.jpg", "--out", "x"]) is None
    assert check(["edge", "gallery", "build", "d", "--out=g.db"]) is None
    assert check(["edge-export", "pack", "--out", "b", "--facing-px", "18", "110"]) is None
    assert check(["edge", "fly"]) == "edge has no command fly"
    assert check(["edge", "gallery", "fly"]) == "edge gallery has no command fly"
    assert check(["edge", "audit", "a.jpg", "--wings"]) == "edge audit has no option --wings"
    found = list(
        commands("A=1 .venv/bin/edge demo && edge audit x | cat; pip install edge # edge x")
    )
    assert found == [["edge", "demo"], ["edge", "audit", "x"]]


def test_every_command_of_the_readme_exists(readme: str) -> None:
    found = calls(readme)
    assert len(found) >= 3
    assert [wrong for call in found if (wrong := check(call))] == []


def test_every_command_in_its_sentences_exists(readme: str) -> None:
    prose = FENCE.sub("", readme)
    wrong = [
        problem
        for text in INLINE.findall(prose)
        for call in commands(text)
        if (problem := check(call))
    ]
    assert wrong == []


def test_its_python_is_python_and_imports_what_there_is(readme: str) -> None:
    blocks = [body for name, body in FENCE.findall(readme) if name == "python"]
    assert blocks
    for block in blocks:
        tree = ast.parse(block)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("edge"):
                module = __import__(str(node.module), fromlist=["_"])
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{node.module} has no {alias.name}"


def test_its_python_runs(
    readme: str,
    tiny_bundle: Path,
    tiny_gallery: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As a reader would run it, beside a picture and a gallery of these names."""
    from edge import bundle

    monkeypatch.setattr(bundle, "default_path", lambda: tiny_bundle)
    monkeypatch.chdir(tmp_path)
    for suffix in ("", ".seq"):
        shutil.copyfile(f"{tiny_gallery}{suffix}", f"store.db{suffix}")
    write_picture(tmp_path / "shelf.jpg", squares(SHELF))
    for name, body in FENCE.findall(readme):
        if name == "python":
            exec(compile(body, "README.md", "exec"), {})
    assert "'red'" in capsys.readouterr().out


def test_files_that_it_shows_are_there(readme: str) -> None:
    links = re.findall(r"\]\(([^)#\s]+)\)", readme)
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert missing == []


def every_command(program: str) -> Iterator[tuple[str, Any]]:
    """All commands and groups of a program by their full name."""
    waiting = [(program, command_of(program))]
    while waiting:
        path, command = waiting.pop()
        yield path, command
        waiting += [(f"{path} {name}", child) for name, child in children(command).items()]


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_command_says_what_it_does(program: str) -> None:
    found = list(every_command(program))
    assert len(found) > 2
    assert [path for path, command in found if not (command.help or "").strip()] == []


def test_what_machines_read_can_be_asked_for_everywhere() -> None:
    has_json = {
        path
        for path, command in every_command("edge")
        if any("--json" in parameter.opts for parameter in command.params)
    }
    assert has_json >= {
        "edge demo",
        "edge audit",
        "edge doctor",
        "edge bench",
        "edge bundle verify",
        "edge gallery build",
        "edge gallery list",
        "edge gallery search",
        "edge gallery verify",
    }
