# SPDX-License-Identifier: Apache-2.0
import json
import stat

import pytest

from dealias._files import replacing, write_json, write_text


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "sub" / "a.txt"
    write_text(path, "old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_files_have_the_usual_permissions(tmp_path):
    write_text(tmp_path / "a", "")
    (tmp_path / "b").write_text("")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE((tmp_path / "b").stat().st_mode)


def test_json_keeps_values_and_writes_null_for_nan(tmp_path):
    write_json(tmp_path / "a.json", {"é": [1, 2.5, float("nan")], "b": {"c": (float("inf"), None, True)}})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=pytest.fail) == {"é": [1, 2.5, None], "b": {"c": [None, None, True]}}
    assert "é" in text


def test_json_refuses_other_types(tmp_path):
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"path": tmp_path})
    assert not list(tmp_path.iterdir())
