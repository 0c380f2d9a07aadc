# SPDX-License-Identifier: Apache-2.0
import pytest

from dealias.evaluation.options import parse_classes, parse_ids, parse_label_map


def test_classes(tmp_path):
    assert parse_classes("2") == ("0", "1")
    assert parse_classes(" road, traffic sign ,car") == ("road", "traffic sign", "car")
    (tmp_path / "names.txt").write_text("\ufeffroad\n\ntraffic sign \n", encoding="utf-8")
    assert parse_classes(str(tmp_path / "names.txt")) == ("road", "traffic sign")


@pytest.mark.parametrize("text", ["0", "road", "road,,car", "road,car,road", "-3", "no/such/file.txt"])
def test_bad_classes(text):
    with pytest.raises(ValueError, match="class"):
        parse_classes(text)


def test_label_maps(tmp_path):
    assert parse_label_map(None) == {}
    assert parse_label_map("0:1, 2 : 255,-1:3") == {0: 1, 2: 255, -1: 3}
    (tmp_path / "map.yaml").write_text("# old: new\n0: 1\n2: 255\n")
    assert parse_label_map(str(tmp_path / "map.yaml")) == {0: 1, 2: 255}


@pytest.mark.parametrize("text", ["0:1,0:2", "0:1,2", "a:1", "1:", "nowhere.yaml"])
def test_bad_label_maps(text):
    with pytest.raises(ValueError, match="label map"):
        parse_label_map(text)


@pytest.mark.parametrize("content", ["[0, 1]", "a: 1", "0: true", "0: 1.5", "", "0: [", "0:1"])
def test_bad_label_map_files(tmp_path, content):
    (tmp_path / "map.yaml").write_text(content)
    with pytest.raises(ValueError, match=r"label map .*map\.yaml: expected"):
        parse_label_map(str(tmp_path / "map.yaml"))


def test_ids():
    assert parse_ids("11, 254") == (11, 254) and parse_ids("") == ()
    with pytest.raises(ValueError, match="separated by commas"):
        parse_ids("11;254")
