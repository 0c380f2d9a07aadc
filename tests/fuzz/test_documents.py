# SPDX-License-Identifier: Apache-2.0
"""Documents of any content, by hypothesis: every reader of them refuses or reads."""

import json
import random

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from mutation import mutate_bytes

from dealias._documents import read_json, read_yaml
from dealias.data.coco_masks import decode_segmentation, run_lengths
from dealias.evaluation.options import parse_ids
from dealias.models.rebuilding import build_with_weights

always_the_same = settings(
    derandomize=True, deadline=None, database=None, max_examples=60, suppress_health_check=list(HealthCheck)
)
plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = st.recursive(plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner))
DOCUMENTS = ("instances", "panoptic", "check-instances", "report-run", "report-comparison", "prediction")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_any_json_in_place_of_a_document_or_of_a_part(target, name):
    reader = target(name)
    file = next(path for path in reader.files if path.suffix == ".json")
    good = json.loads(reader.good[file])

    @always_the_same
    @given(values, st.sampled_from([None, *good]), st.booleans())
    def check(value, key, inside):
        inside = inside and isinstance(good.get(key), list)
        content = value if key is None else {**good, key: [*good[key], value] if inside else value}
        file.write_text(json.dumps(content))
        try:
            assert reader.read(file) in ("good", "refused")
        finally:
            file.write_bytes(reader.good[file])

    check()


@pytest.mark.parametrize("name", ["folders", "options", "config", "compared"])
def test_any_yaml_in_place_of_a_document_or_of_a_part(target, name):
    reader = target(name)
    file = next(path for path in reader.files if path.suffix == ".yaml")
    good = yaml.safe_load(reader.good[file])

    @always_the_same
    @given(values | st.dictionaries(st.integers(), st.integers()), st.sampled_from([None, *good]), st.text(max_size=40))
    def check(value, key, text):
        content = yaml.safe_dump(value if key is None else {**good, key: value}) + (text if key is None else "")
        file.write_text(content, encoding="utf-8", errors="replace")
        try:
            assert reader.read(file) in ("good", "refused")
        finally:
            file.write_bytes(reader.good[file])

    check()


@always_the_same
@given(values, st.sampled_from([(1, 1), (7, 5)]))
def test_any_segmentation(value, size):
    for segmentation in (value, {"size": list(size), "counts": value}, [value], [[value] * 6]):
        try:
            mask = decode_segmentation(segmentation, size)
        except Exception as error:  # which its caller turns into one that names the file
            assert not isinstance(error, MemoryError | RecursionError)
        else:
            assert mask.shape == size and mask.max() <= 1


@always_the_same
@given(st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=60))
def test_any_compressed_run_lengths(text):
    try:
        lengths = run_lengths(text)
    except ValueError:
        return
    assert len(lengths) == sum(not ord(character) - 48 & 32 for character in text)


@always_the_same
@given(values)
def test_what_is_written_is_read(tmp_path_factory, value):
    file = tmp_path_factory.getbasetemp() / "document"
    file.write_text(json.dumps(value))
    assert repr(read_json(file)) == repr(json.loads(json.dumps(value)))
    text = yaml.safe_dump(value)
    assume("\\0" not in text)
    file.write_text(text)
    assert repr(read_yaml(file)) == repr(yaml.safe_load(text))


@always_the_same
@given(st.text(max_size=30))
def test_any_ids(text):
    try:
        ids = parse_ids(text)
    except ValueError:
        return
    assert all(isinstance(number, int) for number in ids)


@always_the_same
@given(st.dictionaries(st.text(max_size=5) | st.integers(), plain, min_size=1))
def test_weights_must_be_tensors(weights):
    with pytest.raises(ValueError, match=r"a\.ckpt: its weights must be tensors by name"):
        build_with_weights(lambda: pytest.fail("built"), weights, "a.ckpt")


def test_mutators_change_what_they_are_given():
    draw, content = random.Random(0), bytes(range(256))
    changed = [mutate_bytes(content, draw) for _ in range(200)]
    assert sum(new != content for new in changed) > 190 and len({len(new) for new in changed}) > 50
