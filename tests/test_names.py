"""Names are legal, readable where they can be, and never the same for two things."""

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from statsig_staging.names import (
    digest,
    experiment_folder,
    experiment_table,
    is_free,
    legal_name,
    source_table,
)

NAMES = st.one_of(
    st.text(alphabet="aB1_-. é", min_size=1, max_size=6), st.text(min_size=1, max_size=80)
)


@pytest.mark.parametrize("name", ["a", "123", "new_checkout", "_", "x" * 60])
def test_a_legal_name_stays_as_written(name: str) -> None:
    """Small letters, digits and underscores, at most 60 of them, need no hash."""
    assert legal_name(name) == name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Checkout", "checkout_xd246b6af31"),
        ("new checkout", "new_checkout_x660fddb834"),
        ("v1.2-β", "v1_2_xd89bd234ef"),
        ("!!!", "id_x51416d5642"),
        ("x" * 61, "x" * 40 + "_xf0438696d5"),
    ],
)
def test_any_other_name_gets_a_hash(name: str, expected: str) -> None:
    """What is left of a name that is not legal is followed by a hash of all of it."""
    assert legal_name(name) == expected


def test_a_name_that_looks_hashed_gets_a_hash_of_its_own() -> None:
    """It could be what another name has become."""
    assert legal_name("a_x0123456789") == "a_x0123456789_xe130aaaee7"


@pytest.mark.parametrize(
    "name", ["a_x012345678", "a_x0123456789a", "a_x012345678g", "ax0123456789"]
)
def test_a_name_that_only_resembles_a_hashed_one_stays(name: str) -> None:
    """Nine or eleven digits, another letter, no underscore: no name becomes that."""
    assert legal_name(name) == name


@given(NAMES)
def test_every_name_becomes_legal(name: str) -> None:
    """A catalog takes whatever comes out: it is the name itself, or ends in a hash."""
    legal = legal_name(name)

    assert re.fullmatch(r"[a-z0-9_]{1,60}", legal)
    assert legal == name or re.fullmatch(r".+_x[0-9a-f]{10}", legal)


@given(NAMES, NAMES)
@example("A", legal_name("A"))
def test_two_names_never_become_one(one: str, other: str) -> None:
    """Not even where one is written as what the other becomes."""
    assume(one != other)

    assert legal_name(one) != legal_name(other)


def test_parts_of_a_digest_do_not_run_together() -> None:
    """Where one part ends and the next begins makes a difference."""
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("a", "") != digest("a")


def test_a_digest_is_as_long_as_asked() -> None:
    """Eight hexadecimal digits unless told otherwise."""
    assert digest("123") == "961dcdc1"
    assert digest("123", length=16).startswith("961dcdc1")


def test_a_digest_takes_any_text() -> None:
    """Half a surrogate pair, which no encoding has, is text like any other."""
    assert digest("\ud800") != digest("?")


@pytest.mark.parametrize(
    ("experiment", "folder"),
    [
        ("123", "experiment-123"),
        ("New.Checkout-2", "experiment-New.Checkout-2"),
        ("x" * 120, "experiment-" + "x" * 120),
        (".hidden", "experiment-hidden_xdba045f29e"),
        ("a/b", "experiment-a_b_xc9d2a281f3"),
        ("..", "experiment-id_x411e1b03da"),
        ("A_x0123456789", "experiment-a_x0123456789_x8d6d765462"),
    ],
)
def test_a_folder_is_the_id_as_written_where_that_is_safe(experiment: str, folder: str) -> None:
    """A slash, a leading dot or anything else that means something in a path is not kept."""
    assert experiment_folder(experiment) == folder


def test_a_table_of_an_experiment() -> None:
    """One per experiment: ``<table>_<id>``, in a folder of its own name."""
    name = experiment_table("first_exposures", "123")

    assert (name.catalog, name.folder) == ("first_exposures_123", "first_exposures")


def test_a_table_of_a_source() -> None:
    """One per experiment and source: ``<table>_<id>_<source>``."""
    name = source_table("unit_day_metrics", "123", "web_events")

    assert name.catalog == "unit_day_metrics_123_web_events"
    assert name.folder == "unit_day_metrics_web_events"


def test_an_id_with_an_underscore_gets_a_hash_of_the_pair() -> None:
    """Experiment a_b with source c is not experiment a with source b_c."""
    one, other = source_table("t", "a_b", "c"), source_table("t", "a", "b_c")

    assert one.catalog == f"t_a_b_c_x{digest('a_b', 'c', length=10)}"
    assert other.catalog == "t_a_b_c"


@given(st.tuples(NAMES, NAMES), st.tuples(NAMES, NAMES))
@example(("a_b", "c"), ("a", "b_c"))
@example(("a-b", "c"), ("a", "b_c"))
@example(("a", "B"), ("a", "b"))
def test_two_pairs_never_share_a_table(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Different pairs of experiment and source have different names in the catalog."""
    assume(one != other)

    assert source_table("t", *one).catalog != source_table("t", *other).catalog


@given(st.tuples(NAMES, NAMES), st.tuples(NAMES, NAMES))
def test_two_pairs_never_share_a_folder(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Different pairs of experiment and source lie in different folders."""
    assume(one != other)
    folders = {
        f"{experiment_folder(experiment)}/{source_table('t', experiment, source).folder}"
        for experiment, source in (one, other)
    }

    assert len(folders) == 2


def test_a_name_made_of_another_ones_hash_is_another_name() -> None:
    """Somebody may call a source what another one is called in the catalog."""
    assert legal_name("A") != legal_name(legal_name("A"))


def test_a_source_called_like_the_hash_of_a_pair_has_another_table() -> None:
    """Nor does the hash of a pair stand for what somebody wrote."""
    source = f"b_c_x{digest('a_b', 'c', length=10)}"

    assert source_table("t", "a", source).catalog != source_table("t", "a_b", "c").catalog


def test_a_source_that_begins_like_the_hash_of_an_id_has_another_table() -> None:
    """Where the id ends and the source begins is told apart."""
    source = f"{legal_name('a-b').removeprefix('a_')}_c"

    assert source_table("t", "a", source).catalog != source_table("t", "a-b", "c").catalog


@given(st.tuples(NAMES, NAMES), st.integers(1, 12))
def test_a_table_says_whose_it_is(pair: tuple[str, str], number: int) -> None:
    """What it is and of which source; a table of the experiment has none."""
    name = source_table("unit_day_metrics", *pair, number)

    assert (name.kind, name.source) == ("unit_day_metrics", pair[1])
    assert experiment_table("exposure_counts", "1").source is None


def test_further_tables_of_a_source_have_a_number() -> None:
    """In the catalog and as a folder; the first goes without."""
    name = source_table("unit_day_metrics", "123", "events", 2)

    assert name.catalog == "unit_day_metrics_123_events_2"
    assert name.folder == "unit_day_metrics_events_2"
    assert source_table("t", "123", "events", 1) == source_table("t", "123", "events")


@given(st.tuples(NAMES, st.integers(1, 12)), st.tuples(NAMES, st.integers(1, 12)), NAMES)
@example(("a", 2), ("a_2", 2), "1")
@example(("a", 2), ("a_2", 22), "b_1")
@example(("a", 22), ("a_2", 2), "1")
def test_no_two_tables_share_a_name(
    one: tuple[str, int], other: tuple[str, int], experiment: str
) -> None:
    """Where both numbers are free: one that makes a source's table another source's is not."""
    sources = {one[0], other[0]}
    assume(one != other and is_free(*one, sources) and is_free(*other, sources))
    first, second = (source_table("t", experiment, *each) for each in (one, other))

    assert first.catalog != second.catalog
    assert first.folder != second.folder


def test_a_number_that_another_source_ends_in_is_not_free() -> None:
    """Its table would be called like the other source's."""
    assert not is_free("a", 2, {"a", "a_2"})
    assert is_free("a", 3, {"a", "a_2"})
    assert is_free("a", 1, {"a", "a_2"})
