# SPDX-License-Identifier: Apache-2.0
import math

import pytest

from dealias.report.image_scores import IMAGE_METRICS, image_scores_path, read_image_scores, write_image_scores

VALUES = [number / 7 for number in range(len(IMAGE_METRICS))]


def test_scores_round_trip_in_their_order_whatever_the_names(tmp_path):
    path = image_scores_path(tmp_path / "run", "val")
    names = ["b", 'a, "quoted"', "two\nlines", "no text \udcff"]
    write_image_scores(path, [(name, VALUES) for name in names])
    found = read_image_scores(path)
    assert path.name == "images_val.csv" and list(found) == names
    for of in found.values():
        assert list(of) == list(IMAGE_METRICS) and list(of.values()) == pytest.approx(VALUES, abs=5e-7)


def test_undefined_scores_are_empty(tmp_path):
    write_image_scores(tmp_path / "a.csv", [("a", [math.nan, *VALUES[1:]])])
    assert (tmp_path / "a.csv").read_text().splitlines()[1].startswith("a,,0.142857,")
    assert math.isnan(read_image_scores(tmp_path / "a.csv")["a"]["mIoU"])


HEADER = ",".join(["name", *IMAGE_METRICS])
BROKEN = {
    "nothing": ("", "expected the columns name, mIoU, .* found $"),
    "other columns": ("name,mIoU\na,1\n", "found name, mIoU"),
    "a word": (
        f"{HEADER}\na,{','.join('1' * 8)}\nb,low,{','.join('1' * 7)}\n",
        "line 3: expected a name and 8 numbers",
    ),
    "too few": (f"{HEADER}\na,1,2\n", "line 2: .* found 1, 2"),
}


@pytest.mark.parametrize(("text", "message"), BROKEN.values(), ids=BROKEN)
def test_what_is_broken_is_named(text, message, tmp_path):
    path = tmp_path / "images_val.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"images_val\.csv.*{message}"):
        read_image_scores(path)
    path.unlink()
    with pytest.raises(ValueError, match=r"images_val\.csv: cannot be read"):
        read_image_scores(path)
