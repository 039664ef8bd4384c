"""The copy drafter by its protocol: what it proposes behind a text, behind an edit, and over several requests."""

from __future__ import annotations

from collections.abc import Sequence

from inference.drafters import Generation
from inference.drafters.copy import CopyDrafter, CopyDrafting
from inference.request import Request

SOURCE = tuple(range(100, 180))
CUE = (1, 2)


def begin(drafter: CopyDrafter, tokens: Sequence[int], *references: Sequence[int]) -> CopyDrafting:
    request = Request("a", tuple(tokens), 100, references=tuple(map(tuple, references)))
    return drafter.begin(Generation(request, 0, tuple))


class Writing:
    """An output behind the prompt SOURCE and CUE, written token by token."""

    def __init__(self, *references: Sequence[int]) -> None:
        self.tokens = [*SOURCE, *CUE]
        self.drafting = begin(CopyDrafter(), self.tokens, *references)

    def write(self, *ids: int) -> list[int]:
        """Write the ids; what is drafted behind them, three tokens."""
        for token in ids:
            self.tokens.append(token)
            self.drafting.follow(self.tokens, 0)
        return list(self.drafting.propose(3).ids)


def test_nothing_is_proposed_before_two_tokens_agree() -> None:
    writing = Writing()
    assert writing.write(900) == []
    assert writing.write(110) == []
    assert writing.write(111) == [112, 113, 114]


def test_the_continuation_grows_surer_with_every_token_that_comes() -> None:
    writing = Writing()
    writing.write(*SOURCE[10:30])
    proposal = writing.drafting.propose(8)
    assert (list(proposal.ids), proposal.grounds, proposal.agreed) == ([*SOURCE[30:38]], "match", 20)


def test_a_copy_is_followed_for_three_times_as_many_tokens_as_have_agreed() -> None:
    for written, reach in ((2, 6), (5, 15), (8, 24), (20, 60)):
        writing = Writing()
        writing.write(*SOURCE[:written])
        assert len(writing.drafting.propose(64).ids) == reach


def test_behind_a_changed_token_copying_goes_on_at_once() -> None:
    writing = Writing()
    assert writing.write(*SOURCE[10:20], 900) == [*SOURCE[21:24]]
    assert writing.drafting.propose(4).grounds == "resumed"
    assert writing.write(121) == [122, 123, 124]


def test_behind_inserted_tokens_copying_goes_on_where_it_stopped() -> None:
    writing = Writing()
    writing.write(*SOURCE[10:20], *range(900, 915))
    assert writing.write(120) == [121, 122, 123]


def test_behind_dropped_tokens_copying_goes_on_behind_them() -> None:
    writing = Writing()
    assert writing.write(*SOURCE[10:20], 140) == [141, 142, 143]


def test_behind_a_change_of_length_the_nearest_place_that_agrees_is_taken() -> None:
    """``a.b`` becomes ``c``: the token behind it stands elsewhere too, further away."""
    prompt = [*range(100, 110), 50, 51, 52, 7, *range(110, 130), 7, *range(130, 140), *CUE]
    drafting = begin(CopyDrafter(), prompt)
    written = [*prompt, *range(100, 110), 900, 7]
    for end in range(len(prompt) + 1, len(written) + 1):
        drafting.follow(written[:end], 0)
    assert list(drafting.propose(3).ids) == [110, 111, 112]


def test_a_new_copy_elsewhere_ends_the_waiting_for_the_old_one() -> None:
    writing = Writing()
    assert writing.write(*SOURCE[10:20], 900, 901, *SOURCE[60:68]) == [*SOURCE[68:71]]


def test_references_are_copied_from_and_nothing_is_proposed_beyond_their_end() -> None:
    writing = Writing((500, 501, 502, 503))
    assert writing.write(500, 501) == [502, 503]


def test_a_loop_is_continued_round_and_round() -> None:
    writing = Writing()
    writing.write(900, 901, 902, 900, 901, 902)
    assert list(writing.drafting.propose(7).ids) == [900, 901, 902, 900, 901, 902, 900]


def test_the_next_request_of_a_session_knows_the_answer_of_the_one_before() -> None:
    drafter = CopyDrafter()
    first = begin(drafter, SOURCE)
    first.follow([*SOURCE, 700, 701, 702, 703], 0)
    first.close()
    second = begin(drafter, [*SOURCE, 700, 701, 702, 703, 5, 700, 701])
    assert list(second.propose(2).ids) == [702, 703]


def test_after_a_rewind_what_was_dropped_is_still_known() -> None:
    drafter = CopyDrafter()
    first = begin(drafter, SOURCE)
    first.follow([*SOURCE, 700, 701, 702, 703], 0)
    first.close()
    again = begin(drafter, [*SOURCE[:70], 700, 701])
    assert list(again.propose(2).ids) == [702, 703]
    again.follow([*SOURCE[:70], 700, 701, *SOURCE[68:70]], 0)
    assert list(again.propose(2).ids) == [700, 701], "the common beginning is matched across the break"


def test_two_requests_at_once_do_not_disturb_each_other() -> None:
    drafter = CopyDrafter()
    one = begin(drafter, [*SOURCE, 110, 111])
    two = begin(drafter, [*SOURCE, 120, 121])
    one.follow([*SOURCE, 110, 111, 112], 0)
    assert list(one.propose(1).ids) == [113]
    assert list(two.propose(1).ids) == [122]
    one.close()
    assert list(two.propose(1).ids) == [122]


def test_a_long_output_outlives_the_index_that_forgets_its_beginning() -> None:
    drafter = CopyDrafter(capacity=64)
    tokens = [*SOURCE]
    drafting = begin(drafter, tokens)
    for lap in range(5):
        for token in SOURCE[60:80]:
            tokens.append(token)
            drafting.follow(tokens, 0)
            if lap and token < SOURCE[78]:
                assert list(drafting.propose(1).ids) in ([token + 1], [])
    assert list(drafting.propose(2).ids) == [*SOURCE[60:62]]


def test_what_follows_forced_tokens_is_found_before_they_are_written() -> None:
    writing = Writing()
    writing.write(900)
    assert list(writing.drafting.propose(3, after=(130, 131)).ids) == [132, 133, 134]
