"""Data sets: facts about the photograph, reproducible splits, and errors that name the file."""

import builtins
import shutil
import zipfile

import numpy as np
import pytest

from lovasz_opt import datasets
from lovasz_opt.datasets import VOID, DataError


@pytest.fixture(scope="module")
def photo():
    return datasets.motorcycle(scale=4)


def test_facts_about_the_photograph(photo):
    assert photo.image.shape == (125, 185, 3)
    assert photo.image.min() >= 0
    assert photo.image.max() <= 1
    assert set(np.unique(photo.target)) == {0, 1, VOID}
    # Measured once: the motorcycle covers a quarter of the picture, one pixel in fourteen has no disparity.
    assert 0.24 < (photo.target == 1).mean() < 0.30
    assert 0.05 < (photo.target == VOID).mean() < 0.10
    # The seat and the engine stand near, the wall and the floor do not count.
    assert (photo.target[60:90, 70:100] == 1).mean() > 0.8
    assert not (photo.target[:30, :70] == 1).any()
    assert (photo.target[-8:] == 1).mean() < 0.01


def test_features_are_standardised(photo):
    features = photo.features.reshape(-1, photo.features.shape[-1])
    assert len(photo.feature_names) == features.shape[1]
    assert photo.feature_names[-1] == "constant"
    np.testing.assert_array_equal(features[:, -1], 1)
    np.testing.assert_allclose(features[:, :-1].mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(features[:, :-1].std(axis=0), 1, rtol=1e-9)
    assert np.linalg.matrix_rank(features) == features.shape[1]


def test_flat_images_have_finite_features():
    features, _ = datasets.pixel_features(np.full((12, 15, 3), 0.4))
    assert np.isfinite(features).all()


def test_larger_thresholds_leave_less_foreground(photo):
    nearer = datasets.motorcycle(scale=4, nearer_than=45.0)
    both = photo.valid & nearer.valid
    assert ((nearer.target == 1) & both <= (photo.target == 1) & both).all()
    assert (nearer.target == 1).sum() < (photo.target == 1).sum()


def test_tiles_hold_both_classes_and_do_not_overlap(photo):
    train, test = datasets.tiles(photo, size=20, seed=3)
    assert len(train.features) - len(test.features) in (0, 1)
    assert len(train.features) >= 5
    cover = np.zeros(photo.target.shape, int)
    for part in (train, test):
        for X, y, (top, bottom, left, right) in zip(part.features, part.targets, part.boxes, strict=True):
            cover[top:bottom, left:right] += 1
            np.testing.assert_array_equal(y, photo.target[top:bottom, left:right].ravel())
            np.testing.assert_array_equal(X, photo.features[top:bottom, left:right].reshape(len(y), -1))
            assert 0.03 <= (y == 1).sum() / (y != VOID).sum() <= 0.97
    assert cover.max() == 1


def test_tiles_are_dealt_by_the_seed(photo):
    first, again, other = (datasets.tiles(photo, 20, seed) for seed in (0, 0, 1))
    assert first[0].boxes == again[0].boxes
    assert first[0].boxes != other[0].boxes
    assert sorted(first[0].boxes + first[1].boxes) == sorted(other[0].boxes + other[1].boxes)


def test_scores_tell_the_classes_apart(photo):
    scores = datasets.score_map(photo, datasets.tiles(photo, 20)[0])
    assert scores.shape == photo.target.shape
    assert scores[photo.target == 1].mean() > 0.3 > scores[photo.target == 0].mean() + 0.5


def test_shapes():
    data, again = datasets.shapes(n=3, size=20, seed=5), datasets.shapes(n=3, size=20, seed=5)
    for X, y, X_again in zip(data.features, data.targets, again.features, strict=True):
        np.testing.assert_array_equal(X, X_again)
        assert 0 < y.sum() < y.size
        assert X[y == 1, 0].mean() > X[y == 0, 0].mean() + 1
    assert not np.array_equal(data.features[0], datasets.shapes(n=3, size=20, seed=6).features[0])


def test_arguments_out_of_range(photo):
    with pytest.raises(ValueError, match="scale is inf; it must be a whole number"):
        datasets.motorcycle(scale=np.inf)
    with pytest.raises(ValueError, match="scale is 0; it must be a whole number"):
        datasets.motorcycle(scale=0)
    with pytest.raises(ValueError, match=r"nearer_than is 1000\.0, which leaves one class empty"):
        datasets.motorcycle(scale=8, nearer_than=1000.0)
    with pytest.raises(TypeError, match="nearer_than must be a number"):
        datasets.motorcycle(scale=8, nearer_than=np.zeros(3))
    with pytest.raises(ValueError, match="size is 1000: 1 tiles hold both classes, two are needed"):
        datasets.tiles(photo, 1000)


def test_a_missing_extra_is_named(monkeypatch):
    def refuse(name, *arguments, original=builtins.__import__):
        if name.startswith("skimage"):
            raise ImportError(name)
        return original(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(datasets.MissingExtra, match=r"pip install 'lovasz-opt\[study\]'"):
        datasets.motorcycle()


def write_voc(path, n=3, **changes):
    """A little archive in the layout of the real one; image 1 has no cat and the last pixels are void."""
    rng = np.random.default_rng(0)
    masks = np.zeros((n, 129, 129), np.uint8)
    masks[::2, 40:90, 30:80] = datasets.VOC_CLASSES.index("cat")
    masks[1, :60] = datasets.VOC_CLASSES.index("dog")
    masks[:, 120:] = VOID
    arrays = {
        "features": rng.integers(0, 200, (n, 33, 33, 256), dtype=np.uint8),
        "scale": np.float32(0.5),
        "zero": np.int32(3),
        "masks129": masks,
        "ids": np.array([f"image{i}" for i in range(n)]),
    }
    np.savez(path, **{name: value for name, value in (arrays | changes).items() if value is not None})
    return arrays


def test_voc_layout(tmp_path):
    arrays = write_voc(tmp_path / "deeplab_train.npz")
    data = datasets.voc(tmp_path, "cat")
    assert data.ids == ("image0", "image2")
    assert data.features[0].shape == (1089, 257)
    assert data.features[0].dtype == np.float32
    np.testing.assert_array_equal(data.features[1][:, -1], 1)
    np.testing.assert_allclose(
        data.features[1][:, :-1], (arrays["features"][2].reshape(-1, 256).astype(float) - 3) * 0.5
    )
    grid = arrays["masks129"][2, ::4, ::4].ravel()
    np.testing.assert_array_equal(data.targets[1] == 1, grid == 8)
    np.testing.assert_array_equal(data.targets[1] == VOID, grid == VOID)
    assert len(datasets.voc(tmp_path, "cat", limit=1, seed=2).features) == 1
    folder = tmp_path / "root" / "voc_animals"
    folder.mkdir(parents=True)
    for file in tmp_path.glob("*.npz"):
        shutil.copy(file, folder)
    assert datasets.voc(tmp_path / "root", "cat").ids == data.ids


def test_wrong_voc_data_are_refused_by_file_name(tmp_path):
    path = tmp_path / "deeplab_train.npz"
    with pytest.raises(DataError, match="nowhere: no such directory"):
        datasets.voc(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"deeplab_train\.npz: no such file"):
        datasets.voc(tmp_path)
    write_voc(path, features=None)
    with pytest.raises(DataError, match=r"deeplab_train\.npz: holds no array 'features'; found scale"):
        datasets.voc(tmp_path)
    write_voc(path, features=np.zeros((3, 33, 33, 7), np.uint8))
    with pytest.raises(DataError, match=r"deeplab_train\.npz: features has shape \(3, 33, 33, 7\)"):
        datasets.voc(tmp_path)
    write_voc(path, masks129=np.zeros((3, 64, 64), np.uint8))
    with pytest.raises(DataError, match=r"deeplab_train\.npz: masks129 has shape \(3, 64, 64\)"):
        datasets.voc(tmp_path)
    write_voc(path)
    with pytest.raises(DataError, match=r"deeplab_train\.npz: no image shows the class 'sheep'"):
        datasets.voc(tmp_path, "sheep")
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"not an archive"):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"deeplab_train\.npz: damaged or not an \.npz file"):
            datasets.voc(tmp_path)
    # One flipped byte inside the features: the archive's checksum finds it.
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("junk.npy", b"junk")
    with pytest.raises(DataError, match=r"deeplab_train\.npz: holds no array 'masks129'"):
        datasets.voc(tmp_path)
    flipped = bytearray(whole)
    flipped[whole.index(b"features.npy") + 5000] ^= 0xFF
    path.write_bytes(bytes(flipped))
    with pytest.raises(DataError, match=r"deeplab_train\.npz: damaged"):
        datasets.voc(tmp_path)


def test_unknown_classes_and_splits_are_refused(tmp_path):
    with pytest.raises(ValueError, match="cls is 'unicorn'; choose one of aeroplane"):
        datasets.voc(tmp_path, "unicorn")
    with pytest.raises(ValueError, match="split is 'test'; choose 'train' or 'val'"):
        datasets.voc(tmp_path, split="test")


@pytest.mark.data
def test_real_voc_data(data_directory):
    data = datasets.voc(data_directory, "cat", "val", limit=5)
    assert len(data.features) == 5
    assert all(
        (y == 1).any() and X.shape == (1089, 257) for X, y in zip(data.features, data.targets, strict=True)
    )


def test_fine_voc_targets_keep_the_codes(tmp_path):
    arrays = write_voc(tmp_path / "deeplab_train.npz")
    coarse, fine = (datasets.voc(tmp_path, "cat", fine=fine) for fine in (False, True))
    assert fine.upsample == "align_corners"
    assert fine.ids == coarse.ids
    np.testing.assert_allclose(fine.features[1].dense().reshape(-1, 257), coarse.features[1])
    np.testing.assert_array_equal(fine.targets[1] == 1, arrays["masks129"][2] == 8)
    np.testing.assert_array_equal(fine.targets[1] == VOID, arrays["masks129"][2] == VOID)
    # At the points of the coarse grid, interpolated scores are the scores themselves.
    v = np.random.default_rng(1).standard_normal(257)
    scores = fine.risk(0.1).apply(v), coarse.risk(0.1).apply(v)
    known = [target != VOID for target in (fine.targets[0], coarse.targets[0])]
    picture = np.full((129, 129), np.nan)
    picture[known[0]] = scores[0][: known[0].sum()]
    np.testing.assert_allclose(picture[::4, ::4].ravel()[known[1]], scores[1][: known[1].sum()], rtol=1e-9)


def write_camvid(folder, n=3, **changes):
    """Photographs of noise with a red rectangle, which is the car; image 1 has none."""
    image_module = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    masks = np.zeros((n, 24, 32), np.uint8)
    masks[::2, 8:16, 10:20] = datasets.CAMVID_CLASSES.index("car")
    masks[:, -4:] = VOID
    (folder / "train").mkdir(parents=True, exist_ok=True)
    names = np.array([f"scene{i}" for i in range(n)])
    for name, mask in zip(names, masks, strict=True):
        pixels = rng.integers(0, 120, (24, 32, 3), dtype=np.uint8)
        pixels[mask == datasets.CAMVID_CLASSES.index("car"), 0] = 250
        image_module.fromarray(pixels).save(folder / "train" / f"{name}.jpg", quality=95)
    arrays = {"masks": masks, "names": names} | changes
    np.savez(folder / "train_masks.npz", **{key: value for key, value in arrays.items() if value is not None})
    return masks


def test_camvid_layout(tmp_path):
    masks = write_camvid(tmp_path / "camvid")
    whole = datasets.camvid(tmp_path, "car", stride=1)
    assert whole.ids == ("scene0", "scene2")
    assert whole.features[0].shape == (24 * 32, len(datasets.pixel_features(np.ones((4, 4, 3)))[1]))
    np.testing.assert_array_equal(whole.targets[1] == 1, masks[2].ravel() == 8)
    np.testing.assert_array_equal(whole.targets[1] == VOID, masks[2].ravel() == VOID)
    # The car is red.
    redness, car = whole.features[0][:, 1], whole.targets[0] == 1
    assert redness[car].mean() > redness[~car].mean() + 1
    picked = datasets.camvid(tmp_path / "camvid", "car", stride=3)
    grid = whole.features[0].reshape(24, 32, -1)[1::3, 1::3]
    np.testing.assert_array_equal(picked.features[0], grid.reshape(-1, grid.shape[-1]))
    np.testing.assert_array_equal(picked.targets[1] == 1, masks[2, 1::3, 1::3].ravel() == 8)
    assert len(datasets.camvid(tmp_path, limit=1).features) == 1


def test_wrong_camvid_data_are_refused_by_file_name(tmp_path):
    with pytest.raises(DataError, match=r"train_masks\.npz: no such file"):
        datasets.camvid(tmp_path)
    write_camvid(tmp_path, names=np.array(["one"]))
    with pytest.raises(DataError, match=r"train_masks\.npz: masks has shape"):
        datasets.camvid(tmp_path)
    write_camvid(tmp_path)
    with pytest.raises(DataError, match=r"train_masks\.npz: no image shows the class 'tree'"):
        datasets.camvid(tmp_path, "tree")
    (tmp_path / "train" / "scene0.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"scene0\.jpg: damaged"):
        datasets.camvid(tmp_path)
    (tmp_path / "train" / "scene0.jpg").unlink()
    with pytest.raises(DataError, match=r"scene0\.jpg: no such file"):
        datasets.camvid(tmp_path)
    write_camvid(tmp_path, masks=np.full((3, 9, 9), 8, np.uint8))
    with pytest.raises(DataError, match=r"scene0\.jpg: is \(24, 32\) pixels, its mask \(9, 9\)"):
        datasets.camvid(tmp_path)
    for bad, message in (
        ({"cls": "unicorn"}, "cls is 'unicorn'; choose one of sky"),
        ({"split": "all"}, "split is 'all'; choose one of train, val, test"),
        ({"stride": 0}, "stride is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            datasets.camvid(tmp_path, **bad)


@pytest.mark.data
def test_real_camvid_data(data_directory):
    data = datasets.camvid(data_directory, "car", "val", limit=3)
    assert len(data.features) == 3
    assert all((y == 1).any() and len(X) == 45 * 60 for X, y in zip(data.features, data.targets, strict=True))
    assert data.risk(1e-3).value(np.zeros(data.features[0].shape[1])) == pytest.approx(1.0)


@pytest.mark.data
def test_real_fine_voc_data(data_directory):
    data = datasets.voc(data_directory, "cow", "val", limit=2, fine=True)
    pb = data.risk(1e-3)
    assert pb.n_pixels > 2 * 129 * 129 / 2
    assert pb.value(np.zeros(257)) == pytest.approx(1.0)


def test_missing_files_are_found_early(tmp_path):
    with pytest.raises(DataError, match="nowhere: no such directory"):
        datasets.check_files(tmp_path / "nowhere")
    write_voc(tmp_path / "deeplab_train.npz")
    with pytest.raises(DataError, match=r"deeplab_val\.npz: no such file"):
        datasets.check_files(tmp_path)
    write_voc(tmp_path / "deeplab_val.npz")
    datasets.check_files(tmp_path)
    with pytest.raises(DataError, match=r"train_masks\.npz: no such file"):
        datasets.check_files(tmp_path, camvid=True)
