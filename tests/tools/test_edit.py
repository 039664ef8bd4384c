"""The edit tool changes exactly what was quoted, or says what to do instead."""

from __future__ import annotations

import codecs
import os
import stat
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.fakes.hands import Hands
from tools.matching import Match, find

SOURCE = "def f(x):\n    if x:\n        return 1\n    return 2\n"


def test_a_unique_quotation_is_replaced_and_the_changed_lines_are_shown(hands: Hands) -> None:
    path = hands.put("a.py", SOURCE)
    output = hands.call("edit", path="a.py", replacements=[{"find": "return 2", "replace": "return 3"}])
    assert path.read_text() == SOURCE.replace("return 2", "return 3")
    assert "   4\t    return 3" in output.text
    assert output.changes[0].path == "a.py"
    assert (output.changes[0].before, output.changes[0].after) == (SOURCE.encode(), path.read_bytes())
    assert hands.recorder.changes == [(hands.root / "a.py", SOURCE.encode(), path.read_bytes())]
    assert hands.recorder.completed == 1


@pytest.mark.parametrize(
    "arguments",
    [
        {"find": "return 2", "replace": "return 3"},
        {"old": "return 2", "new": "return 3"},
        {"old_string": "return 2", "new_string": "return 3"},
        {"edits": {"old": "return 2", "new": "return 3"}},
        {"edits": '[{"old": "return 2", "new": "return 3"}]'},
        {"edits": [{"old": "return 2", "new": "return 3"}, {"old": "return 2", "new": "return 3"}]},
    ],
)
def test_slips_in_the_form_of_the_arguments_are_understood(hands: Hands, arguments: dict[str, object]) -> None:
    path = hands.put("a.py", SOURCE)
    hands.call("edit", path="a.py", **arguments)
    assert path.read_text() == SOURCE.replace("return 2", "return 3")


def test_all_edits_are_made_or_none(hands: Hands) -> None:
    path = hands.put("a.py", SOURCE)
    good, bad = {"find": "return 1", "replace": "return 9"}, {"find": "nowhere", "replace": "x"}
    assert "replacement 2" in hands.refused("edit", path="a.py", replacements=[good, bad])
    assert path.read_text() == SOURCE
    hands.call("edit", path="a.py", replacements=[{"find": "return 2", "replace": "return 8"}, good])
    assert path.read_text() == SOURCE.replace("return 1", "return 9").replace("return 2", "return 8")


def test_overlapping_edits_are_refused(hands: Hands) -> None:
    hands.put("a.py", SOURCE)
    edits = [
        {"find": "    if x:\n        return 1", "replace": "    pass"},
        {"find": "return 1\n    return 2", "replace": "pass"},
    ]
    assert "overlap" in hands.refused("edit", path="a.py", edits=edits)


def test_an_ambiguous_quotation_is_refused_with_its_places(hands: Hands) -> None:
    path = hands.put("a.py", "x = 1\ny = 1\nx = 1\nz = 1\n")
    text = hands.refused("edit", path="a.py", old="x = 1", new="x = 2")
    assert "2 times" in text
    assert "   1\tx = 1" in text
    assert "   3\tx = 1" in text
    assert path.read_text().count("x = 1") == 2


def test_of_several_places_the_only_one_that_fills_its_lines_is_meant(hands: Hands) -> None:
    path = hands.put("a.py", "def f(x):\n    y = x + 1\n    x\n    if x:\n        y()\n    y = x + 12\n")
    hands.call("edit", path="a.py", old="x", new="return x")
    assert path.read_text() == "def f(x):\n    y = x + 1\n    return x\n    if x:\n        y()\n    y = x + 12\n"
    hands.call("edit", path="a.py", old="y = x + 1", new="y = x")
    assert path.read_text() == "def f(x):\n    y = x\n    return x\n    if x:\n        y()\n    y = x + 12\n"
    assert "times" in hands.refused("edit", path="a.py", old="x", new="z")


def test_of_several_places_the_line_that_is_pointed_at_is_meant_as_long_as_it_reads_so(hands: Hands) -> None:
    path = hands.put("a.py", "x = 1\ny = 1\nx = 1\nz = 1; z = 1\n")
    hands.context.workspace.point_at(("a.py", 3, "x = 1"))
    hands.call("edit", path="a.py", old="= 1", new="= 2")
    assert path.read_text() == "x = 1\ny = 1\nx = 2\nz = 1; z = 1\n"
    assert "3 times" in hands.refused("edit", path="a.py", old=" = 1\n", new=" = 3\n"), "the line reads otherwise now"
    hands.context.workspace.point_at(("a.py", 4, "z = 1; z = 1"))
    assert "4 times" in hands.refused("edit", path="a.py", old=" = 1", new=" = 3"), "it is in the line twice"
    hands.context.workspace.point_at(("b.py", 1, "x = 1"))
    assert "4 times" in hands.refused("edit", path="a.py", old=" = 1", new=" = 3")
    hands.context.workspace.point_at(("a.py", 1, "x = 1"))
    hands.context.workspace.point_at(None)
    assert "4 times" in hands.refused("edit", path="a.py", old=" = 1", new=" = 3")
    path = hands.put("b.py", "x = 1\ny = x = 1 + 1\n")
    hands.context.workspace.point_at(("b.py", 2, "y = x = 1 + 1"))
    hands.call("edit", path="b.py", old="x = 1", new="x = 2")
    assert path.read_text() == "x = 1\ny = x = 2 + 1\n", "before a line that reads so"


def test_a_quotation_that_is_nowhere_is_answered_with_the_nearest_lines(hands: Hands) -> None:
    hands.put("a.py", SOURCE + "\n\ndef compute_total(items):\n    return sum(items)\n")
    text = hands.refused("edit", path="a.py", old="def compute_totals(item):\n    return sum(items)", new="pass")
    assert "   7\tdef compute_total(items):" in text
    assert "   8\t    return sum(items)" in text


def test_a_change_that_is_already_there_is_recognised(hands: Hands) -> None:
    hands.put("a.py", "value = compute(1, 2)\n")
    text = hands.refused("edit", path="a.py", old="value = compute(1)", new="value = compute(1, 2)")
    assert "already there at line 1" in text


def test_equal_old_and_new_is_an_error(hands: Hands) -> None:
    hands.put("a.py", SOURCE)
    assert "equal" in hands.refused("edit", path="a.py", old="return 1", new="return 1")


def test_an_empty_quotation_is_an_error_except_in_an_empty_file(hands: Hands) -> None:
    path = hands.put("a.py", SOURCE)
    assert "empty" in hands.refused("edit", path="a.py", old="", new="x = 1")
    path = hands.put("b.py", "")
    hands.call("edit", path="b.py", old="", new="x = 1\n")
    assert path.read_text() == "x = 1\n"


def test_a_file_must_be_read_before_it_is_edited(hands: Hands) -> None:
    path = hands.put("a.py", SOURCE, read=False)
    assert "read it first" in hands.refused("edit", path="a.py", old="return 1", new="return 9")
    assert path.read_text() == SOURCE


def test_a_file_that_changed_since_it_was_read_must_be_read_again(hands: Hands) -> None:
    path = hands.put("a.py", SOURCE)
    path.write_text(SOURCE + "# mine\n")
    assert "changed since" in hands.refused("edit", path="a.py", old="return 1", new="return 9")
    hands.call("read", path="a.py")
    hands.call("edit", path="a.py", old="return 1", new="return 9")
    hands.call("edit", path="a.py", old="return 2", new="return 8")  # its own change counts as seen
    assert path.read_text() == SOURCE.replace("return 1", "return 9").replace("return 2", "return 8") + "# mine\n"


def test_quotes_dashes_and_spaces_that_look_alike_are_matched(hands: Hands) -> None:
    path = hands.put("a.txt", "He said “yes” – and\u00a0went.\nCafe\u0301 ends.\n")
    hands.call("edit", path="a.txt", old='said "yes" - and went', new="said no")
    hands.call("edit", path="a.txt", old="Café ends", new="Bar opens")
    assert path.read_text() == "He said no.\nBar opens.\n"


def test_wrong_indentation_is_matched_and_the_replacement_fitted(hands: Hands) -> None:
    path = hands.put("a.py", "class A:\n    def f(self):\n        if self.x:\n            return 1\n        return 2\n")
    old = "def f(self):\n  if self.x:\n    return 1\n  return 2"
    new = "def f(self):\n  if self.y:\n    while True:\n      return 3\n  return 2"
    assert "indentation" in hands.text("edit", path="a.py", old=old, new=new)
    assert path.read_text() == (
        "class A:\n    def f(self):\n        if self.y:\n"
        "            while True:\n                return 3\n        return 2\n"
    )


def test_spaces_for_tabs_are_matched_and_become_tabs(hands: Hands) -> None:
    path = hands.put("a.go", "package a\n\nfunc f() int {\n\tif x {\n\t\treturn 1\n\t}\n\treturn 2\n}\n")
    hands.call(
        "edit", path="a.go", old="    if x {\n        return 1\n    }", new="    if y {\n        return 3\n    }"
    )
    assert path.read_text() == "package a\n\nfunc f() int {\n\tif y {\n\t\treturn 3\n\t}\n\treturn 2\n}\n"


def test_a_quotation_whose_first_line_lost_its_indentation_keeps_the_rest(hands: Hands) -> None:
    path = hands.put("a.py", "if a:\n    if b:\n        c = 1\n    d  = 2\n")
    hands.call("edit", path="a.py", old="if b:\n        c = 1\n    d = 2", new="if e:\n        c = 1\n    d = 3")
    assert path.read_text() == "if a:\n    if e:\n        c = 1\n    d = 3\n"


def test_copied_line_numbers_are_taken_off(hands: Hands) -> None:
    path = hands.put("a.py", SOURCE)
    hands.call("edit", path="a.py", old="   3\t        return 1\n   4\t    return 2", new="   3\t        return 7")
    assert path.read_text() == "def f(x):\n    if x:\n        return 7\n"


def test_an_edit_that_breaks_the_syntax_is_refused_and_says_where(hands: Hands) -> None:
    path = hands.put("a.py", SOURCE)
    text = hands.refused("edit", path="a.py", old="    return 2", new="    return (2")
    assert "line 4" in text
    assert "return (2" in text
    assert path.read_text() == SOURCE


def test_wrong_python_indentation_is_a_syntax_error(hands: Hands) -> None:
    path = hands.put("a.py", SOURCE)
    assert "indent" in hands.refused("edit", path="a.py", old="        return 1", new="    return 1")
    assert path.read_text() == SOURCE


def test_a_file_that_was_broken_before_can_be_mended_in_steps(hands: Hands) -> None:
    path = hands.put("a.py", "x = (1\ny = [2\n")
    hands.call("edit", path="a.py", old="x = (1\n", new="x = (1)\n")
    hands.call("edit", path="a.py", old="y = [2\n", new="y = [2]\n")
    assert path.read_text() == "x = (1)\ny = [2]\n"


def test_parsers_that_guess_report_an_error_and_keep_the_edit(hands: Hands) -> None:
    path = hands.put("a.c", "int f(void) { return 1; }\n")
    assert "syntax" in hands.text("edit", path="a.c", old="return 1;", new="return 1 MACRO(;")
    assert "MACRO" in path.read_text()


@pytest.mark.parametrize(
    "content",
    [
        b"one\r\ntwo\r\nthree\r\n",
        b"one\r\ntwo\nthree",
        b"one\ntwo\nthree",
        codecs.BOM_UTF8 + b"one\ntwo\nthree\n",
        codecs.BOM_UTF16_LE + "one\r\ntwo\r\nthree".encode("utf-16-le"),
        codecs.BOM_UTF16_BE + "one\ntwo\n".encode("utf-16-be"),
        b"caf\xe9\ntwo\nthree \t \n\n",
    ],
)
def test_everything_but_the_edit_stays_byte_for_byte(hands: Hands, content: bytes) -> None:
    path = hands.put("a.txt", content)
    wide = content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    encoding = ("utf-16-le" if content[0] == 0xFF else "utf-16-be") if wide else "latin-1"
    hands.call("edit", path="a.txt", old="two", new="2")
    assert path.read_bytes() == content.replace("two".encode(encoding), "2".encode(encoding))


def test_several_lines_in_a_file_with_crlf_get_crlf(hands: Hands) -> None:
    path = hands.put("a.txt", b"one\r\ntwo\r\nthree\r\n")
    hands.call("edit", path="a.txt", old="one\ntwo\n", new="1\n2\n2b\n")
    assert path.read_bytes() == b"1\r\n2\r\n2b\r\nthree\r\n"


def test_a_character_that_the_encoding_lacks_is_refused(hands: Hands) -> None:
    path = hands.put("a.txt", b"caf\xe9\n")
    assert "latin-1" in hands.refused("edit", path="a.txt", old="caf", new="\u20ac")
    assert path.read_bytes() == b"caf\xe9\n"


def test_the_mode_of_a_file_stays(hands: Hands) -> None:
    path = hands.put("run.sh", "#!/bin/sh\necho 1\n")
    path.chmod(0o751)
    hands.call("edit", path="run.sh", old="echo 1", new="echo 2")
    assert stat.S_IMODE(path.stat().st_mode) == 0o751


def test_a_symbolic_link_stays_and_its_target_is_changed(hands: Hands) -> None:
    target = hands.put("real/a.txt", "one\n")
    (hands.root / "link.txt").symlink_to("real/a.txt")
    hands.call("read", path="link.txt")
    output = hands.call("edit", path="link.txt", old="one", new="two")
    assert (hands.root / "link.txt").is_symlink()
    assert target.read_text() == "two\n"
    assert output.changes[0].path == "real/a.txt"


def test_a_write_protected_file_and_a_hard_link_are_refused(hands: Hands, tmp_path: Path) -> None:
    path = hands.put("a.txt", "one\n")
    path.chmod(0o444)
    assert "write-protected" in hands.refused("edit", path="a.txt", old="one", new="two")
    outside = tmp_path / "outside.txt"
    outside.write_text("one\n")
    os.link(outside, hands.root / "hard.txt")
    hands.call("read", path="hard.txt")
    assert "hard link" in hands.refused("edit", path="hard.txt", old="one", new="two")
    assert outside.read_text() == "one\n"


def test_a_preview_shows_the_diff_and_changes_nothing(hands: Hands) -> None:
    path = hands.put("a.py", SOURCE)
    diff = hands.preview("edit", path="a.py", old="return 2", new="return 3")
    assert "-    return 2\n+    return 3\n" in diff
    assert path.read_text() == SOURCE


def test_a_large_file_without_the_quotation_is_answered_soon(hands: Hands) -> None:
    hands.put("big.txt", "".join(f"line {number} of the file\n" for number in range(40_000)))
    assert "not" in hands.refused("edit", path="big.txt", old="something else\n" * 100, new="x")


text = st.text(st.sampled_from("ab \t\n\r\"'“”-–\u00a0é\u0301"), max_size=60)


@settings(max_examples=300, deadline=None)
@given(before=text, old=text.filter(str.strip), after=text, new=text)
@example(before="a", old="a\r", after="\n", new="")
def test_an_exact_unique_quotation_is_found_where_it_is(before: str, old: str, after: str, new: str) -> None:
    whole = before + old + after
    found = find(whole, old, new)
    if whole.count(old) == 1 and "\r" not in whole + new and whole.find(old, whole.find(old) + 1) < 0:
        assert found == Match(len(before), len(before) + len(old), new)
    else:
        assert found is not None


@settings(max_examples=300, deadline=None)
@given(whole=text, old=text.filter(str.strip), new=text)
def test_a_match_is_never_more_than_characters_and_white_space_away(whole: str, old: str, new: str) -> None:
    found = find(whole, old, new)
    if isinstance(found, Match):
        alike = str.maketrans({"“": '"', "”": '"', "–": "-"})
        quoted, region = (
            "".join(part.translate(alike).replace("e\u0301", "é").split())
            for part in (old, whole[found.start : found.end])
        )
        assert quoted.replace("\u0301", "") == region.replace("\u0301", "")
