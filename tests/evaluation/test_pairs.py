# SPDX-License-Identifier: Apache-2.0
import os

import pytest

from dealias.evaluation.pairs import FileSet, pair_files
from dealias.evaluation.run import LabelFolders


@pytest.fixture
def files(tmp_path):
    def make(folder, *names):
        for name in names:
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / folder

    return make


def found(folder, suffix=""):
    return FileSet.of(folder, "label map", (".png", ".tif"), suffix)


def test_names(files):
    folder = files("a", "x.png", "sub/deep/y.1_gt.TIF", "z.jpg", ".hidden.png", ".git/w.png", "notes.txt")
    assert found(folder).files == {"sub/deep/y.1_gt": folder / "sub/deep/y.1_gt.TIF", "x": folder / "x.png"}
    assert list(found(folder, "_gt").files) == ["sub/deep/y.1"]


def test_two_files_of_one_name(files):
    folder = files("a", "x.png", "x.tif", "y.png")
    result = found(folder)
    assert list(result.files) == ["x", "y"]
    (problem,) = result.problems
    assert problem.file == str(folder / "x.tif") and "same name 'x' as x.png" in problem.reason


def test_missing_and_empty_folders(files):
    with pytest.raises(ValueError, match="nowhere: no such folder"):
        found(files("a", "x.png").parent / "nowhere")
    with pytest.raises(ValueError, match=r"b: no label map in it, looked for names ending with '_gt' and \.png, \.tif"):
        found(files("b", "x.png"), "_gt")


def test_folders_that_cannot_be_listed(files, monkeypatch):
    folder = files("a", "x.png", "closed/y.png", "open/z.png")
    scandir = os.scandir

    def refuse(path):
        if os.fspath(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    result = found(folder)
    assert sorted(result.files) == ["open/z", "x"]
    (problem,) = result.problems
    assert problem == (str(folder / "closed"), "cannot be listed: Permission denied")


def test_linked_folders_are_named(files):
    folder = files("a", "x.png")
    (folder / "linked").symlink_to(files("b", "y.png"))
    (folder / "z.png").symlink_to(folder / "x.png")
    result = found(folder)
    assert sorted(result.files) == ["x", "z"]
    (problem,) = result.problems
    assert problem.file == str(folder / "linked") and "link to a folder, which is not followed" in problem.reason


def test_missing_counterparts_come_after_the_folders_problems(files):
    first = found(files("a", "x.png", "y.png", "y.tif", "v.png"))
    second = found(files("b", "x.png", "w.png"))
    pairs, problems = pair_files(first, second)
    assert [pair.name for pair in pairs] == ["x"]
    assert [os.path.basename(problem.file) for problem in problems] == ["y.tif", "v.png", "y.png", "w.png"]
    assert problems[1].reason == f"no label map 'v' (.png, .tif) in {second.folder}"


def test_names_that_do_not_fit_at_all(files):
    first, second = found(files("a", "x_pred.png")), found(files("b", "x_gt.png"))
    with pytest.raises(ValueError, match="such as label map 'x_pred' and label map 'x_gt', must be equal but for"):
        pair_files(first, second)


def test_the_same_folder_twice_needs_suffixes(files):
    folder = files("a", "x_pred.png", "x_gt.png")
    with pytest.raises(ValueError, match="given as predictions and as ground truth"):
        LabelFolders(folder, folder).pairs()
    (pair,), problems = LabelFolders(folder, folder, "_pred", "_gt").pairs()
    assert pair == ("x", folder / "x_pred.png", folder / "x_gt.png") and not problems
