"""Pictures go into sizes of one area, whole but for their edges."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lora_scripts.data.pictures.buckets import buckets, fit, fitted, nearest_bucket

SIDES = st.integers(16, 5000)
UNITS = st.sampled_from([8, 16, 32, 64])


def test_a_resolution_of_512_has_the_sizes_that_stable_diffusion_is_trained_in():
    found = buckets(512, 64)
    assert found[0] == (512, 512)
    assert {(768, 320), (640, 384), (448, 576), (320, 768), (1024, 256)} <= set(found)


@given(st.integers(32, 2048), UNITS)
def test_every_bucket_is_whole_units_and_never_larger_than_the_square(resolution, unit):
    side = max(unit, resolution // unit * unit)
    for width, height in buckets(resolution, unit):
        assert width % unit == height % unit == 0
        assert width * height <= side * side
        assert max(width, height) <= 2 * side


@given(SIDES, SIDES, st.integers(64, 1024), UNITS, st.floats(0, 1), st.floats(0, 1))
def test_a_picture_fills_its_bucket_and_keeps_its_proportions(width, height, resolution, unit, x, y):
    bucket = nearest_bucket((width, height), buckets(resolution, unit))
    how = fit((width, height), bucket, (x, y))
    assert all(b <= s for b, s in zip(bucket, how.scaled, strict=True))
    assert min(s - b for b, s in zip(bucket, how.scaled, strict=True)) == 0  # one side fits exactly
    assert 0 <= how.left <= how.scaled[0] - bucket[0]
    assert 0 <= how.top <= how.scaled[1] - bucket[1]
    factor = max(bucket[0] / width, bucket[1] / height)
    assert abs(how.scaled[0] - width * factor) <= 1
    assert abs(how.scaled[1] - height * factor) <= 1


@given(SIDES, SIDES)
def test_no_bucket_is_nearer_in_proportions_than_the_one_that_is_taken(width, height):
    sizes = buckets(512, 64)
    taken = nearest_bucket((width, height), sizes)

    def apart(bucket):
        return abs(np.log(width / height) - np.log(bucket[0] / bucket[1]))

    assert apart(taken) <= min(map(apart, sizes)) + 1e-8


@settings(max_examples=20)
@given(st.floats(0, 1))
def test_what_is_cut_is_that_part_of_the_picture(at):
    wide = Image.fromarray(np.tile(np.arange(200, dtype=np.uint8), (100, 1))).convert("RGB")
    how = fit(wide.size, (100, 100), (at, 0.5))
    shown = np.asarray(fitted(wide, how))
    assert shown.shape == (100, 100, 3)
    assert np.array_equal(shown[0, :, 0], np.arange(how.left, how.left + 100))
    assert how.lost == 0.5
