"""Captions as they are shown: the trigger word once and in front, tags shuffled behind those that stay."""

import random

from hypothesis import given
from hypothesis import strategies as st

from lora_scripts.data.pictures.captions import CaptionRules, shown_caption, tags_of, with_trigger

TAGS = st.lists(st.text("abcxyz", min_size=1, max_size=6), min_size=1, max_size=8, unique=True)


def shown(caption, seed=0, **rules):
    return shown_caption(caption, CaptionRules(**rules), random.Random(seed))


def test_the_trigger_word_stands_in_front_once():
    assert with_trigger("a cat, ink", "sks") == "sks, a cat, ink"
    assert with_trigger("a cat, sks, ink", "sks") == "sks, a cat, ink"
    assert with_trigger("一只猫，水墨", "sks") == "sks，一只猫，水墨"
    assert with_trigger("a sks dog", "sks") == "a sks dog"
    assert with_trigger("a cat, sks", "sks") == "sks, a cat"
    assert with_trigger("a cat in ink style, night", "ink style") == "a cat in ink style, night"
    assert with_trigger("水墨风的猫，夜", "水墨风") == "水墨风的猫，夜"
    assert with_trigger("asks why", "sks") == "sks, asks why"
    assert with_trigger("a dog, “sks”.", "sks") == "a dog, “sks”."
    assert with_trigger("sks, sks, dog", "sks") == "sks, dog"
    assert with_trigger("", "sks") == "sks"
    assert with_trigger("a cat", "") == "a cat"


def test_a_caption_without_rules_stays_as_it_is():
    assert shown("a cat,  on a mat") == "a cat,  on a mat"


@given(TAGS, st.integers(0, 9), st.integers(0, 10))
def test_shuffling_loses_no_tag_and_keeps_the_first_ones(tags, keep, seed):
    caption = ", ".join(tags)
    found = tags_of(shown(caption, seed, trigger="sks", shuffle=True, keep=keep))
    assert found[0] == "sks"
    assert found[1 : keep + 1] == tags[:keep]
    assert sorted(found[1:]) == sorted(tags)


def test_a_phrase_with_the_trigger_word_stays_in_its_place():
    caption = "in snow, my sks dog, night, ink"
    assert {tags_of(shown(caption, seed, trigger="sks", shuffle=True))[1] for seed in range(50)} == {"my sks dog"}
    assert len({shown(caption, seed, trigger="sks", shuffle=True) for seed in range(200)}) == 6


def test_a_trigger_of_two_tags_stays_in_front():
    assert {tags_of(shown("a, b, c", seed, trigger="ink, night", shuffle=True))[1] for seed in range(50)} == {"night"}


def test_tags_come_in_many_orders():
    caption = "a, b, c, d"
    assert len({shown(caption, seed, shuffle=True) for seed in range(200)}) == 24


def test_dropout_shows_so_many_pictures_without_a_word():
    bare = sum(shown("a cat", seed, trigger="sks", dropout=0.3) == "" for seed in range(2000))
    assert 500 < bare < 700


@given(st.floats(0, 0.99), st.booleans())
def test_every_caption_takes_the_same_number_of_draws(dropout, shuffle):
    chance = random.Random(7)
    shown_caption("a, b, c", CaptionRules("", dropout, shuffle), chance)
    plain = random.Random(7)
    plain.random(), plain.random()
    assert chance.random() == plain.random()
