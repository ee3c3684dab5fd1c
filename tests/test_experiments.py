"""Ensembles, sweeps and manifests: the numbers are those of a plain loop, wherever they are computed."""

import csv
import os
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

import adaptfilt as af
from adaptfilt import experiments
from adaptfilt.experiments import ensembles, workers

TAPS, SAMPLES = 3, 300


def run(rng):
    h = af.signals.white(TAPS, rng)
    x = af.signals.white(SAMPLES, rng)
    return x, af.plants.fir(h)(x) + 0.1 * af.signals.white(SAMPLES, rng), h


def make(batch, mu=0.5):
    return af.NLMS(TAPS, mu, batch=batch, dtype=torch.float64, engine="reference")


def powers(output, h):
    return {"output": np.mean(output.y**2, -1)}


def dying(rng):
    x, d, h = run(rng)
    if os.environ.get("ADAPTFILT_TEST_DIES") == "1" and abs(d[-1] - LAST) < 1e-12:
        os._exit(3)
    return x, d, h


LAST = run(np.random.default_rng(np.random.SeedSequence(1).spawn(30)[25]))[1][-1]


@pytest.fixture
def chunks_of_eight(monkeypatch):
    monkeypatch.setattr(ensembles, "LARGEST_CHUNK", 8)


@pytest.fixture(scope="module")
def alone():
    """Every run by itself: errors, weights and plants."""
    errors, weights, plants = [], [], []
    for seed in np.random.SeedSequence(1).spawn(20):
        x, d, h = run(np.random.default_rng(seed))
        f = af.NLMS(TAPS, 0.5, dtype=torch.float64, engine="reference")
        _, e, w = f(x, d, record_every=50)
        errors.append(e), weights.append(w), plants.append(h)
    return np.array(errors), np.array(weights), np.array(plants)


def same(a, b):
    for field in ("mean", "std", "quantiles"):
        assert getattr(a, field).keys() == getattr(b, field).keys()
        for name, value in getattr(a, field).items():
            assert_array_equal(value, getattr(b, field)[name])
    assert a.runs == b.runs


def test_an_ensemble_is_the_runs_alone(alone, chunks_of_eight):
    errors, weights, plants = alone
    found = experiments.ensemble(make, run, 20, seed=1, record_every=50, levels=[0.25, 0.5])
    apart = np.sum((weights - plants[:, None]) ** 2, -1) / np.sum(plants**2, -1)[:, None]
    for name, values in {"mse": errors**2, "misalignment": apart}.items():
        assert_allclose(found.mean[name], values.mean(0), rtol=1e-10)
        assert_allclose(found.std[name], values.std(0, ddof=1), rtol=1e-8)
        assert_allclose(found.quantiles[name], np.quantile(values, [0.25, 0.5], axis=0), rtol=1e-5, atol=1e-12)
    assert_array_equal(found.time("misalignment"), 50 * np.arange(1, 7) - 1)
    last = experiments.ensemble(make, run, 20, seed=1).mean["misalignment"]
    assert_allclose(last, apart[:, -1].mean(), rtol=1e-10)


def test_what_fills_the_line_is_not_measured(alone):
    found = experiments.ensemble(make, run, 3, seed=1, fill=100).mean["mse"]
    expected = []
    for seed in np.random.SeedSequence(1).spawn(3):
        x, d, _ = run(np.random.default_rng(seed))
        f = make(())
        f.filter(x[:100])
        expected.append(f(x[100:], d[100:]).e ** 2)
    assert_allclose(found, np.mean(expected, 0), rtol=1e-10)


def test_long_curves_have_quantiles_in_windows(alone, chunks_of_eight, monkeypatch):
    monkeypatch.setattr(ensembles, "POINTS", 40)
    found = experiments.ensemble(make, run, 20, seed=1)
    assert found.window["mse"] == 8
    windows = np.stack([(alone[0] ** 2)[:, k : k + 8].mean(1) for k in range(0, SAMPLES, 8)], -1)  # the last has 4
    assert_allclose(found.quantiles["mse"], np.quantile(windows, [0.1, 0.5, 0.9], axis=0), rtol=1e-5)
    assert found.time("mse", windows=True)[:2].tolist() == [3.5, 11.5]


def test_a_plant_that_moves_is_compared_row_by_row():
    def moving(rng):
        plant = af.plants.random_walk([0.5, -0.3], 0.01, 100, rng)
        x = af.signals.white(100, rng)
        return x, plant(x), plant.h

    def f(batch):
        return af.NLMS(2, 0.5, batch=batch, dtype=torch.float64, engine="reference")

    found = experiments.ensemble(f, moving, 3, seed=0, record_every=10).mean["misalignment"]
    expected = []
    for seed in np.random.SeedSequence(0).spawn(3):
        x, d, h = moving(np.random.default_rng(seed))
        w = af.NLMS(2, 0.5, dtype=torch.float64, engine="reference")(x, d, record_every=10).w
        expected.append(np.sum((w - h[9::10]) ** 2, -1) / np.sum(h[9::10] ** 2, -1))
    assert_allclose(found, np.mean(expected, 0), rtol=1e-10)
    assert_allclose(experiments.ensemble(f, moving, 3, seed=0).mean["misalignment"], found[-1], rtol=1e-10)


@pytest.fixture(scope="module")
def pool():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        yield executor


def test_numbers_do_not_depend_on_the_workers(pool, chunks_of_eight):
    here = experiments.ensemble(make, run, 20, seed=1)
    same(here, experiments.ensemble(make, run, 20, seed=1, executor=pool))
    with ThreadPoolExecutor(2) as threads:
        same(here, experiments.ensemble(make, run, 20, seed=1, executor=threads, progress=True))


def test_a_dask_cluster_gives_the_same_numbers(chunks_of_eight):
    distributed = pytest.importorskip("distributed", reason="dask is not installed (extra cluster)")
    here = experiments.ensemble(make, run, 20, seed=1)
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "host": "127.0.0.1"}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        same(here, experiments.ensemble(make, run, 20, seed=1, executor=client))


def test_a_worker_that_dies_is_said_and_the_rest_goes_on_later(tmp_path, chunks_of_eight, monkeypatch):
    monkeypatch.setenv("ADAPTFILT_TEST_DIES", "1")
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as mortal,
        pytest.raises(RuntimeError, match=r"a worker process died .*folder="),
    ):
        experiments.ensemble(make, dying, 30, seed=1, executor=mortal, folder=tmp_path)
    monkeypatch.delenv("ADAPTFILT_TEST_DIES")
    assert len(list(tmp_path.glob("runs_*.npz"))) == 3
    same(experiments.ensemble(make, dying, 30, seed=1, folder=tmp_path), experiments.ensemble(make, run, 30, seed=1))


def test_functions_that_cannot_be_sent_are_said_before_the_start(pool):
    calls = []

    def counted(rng):
        calls.append(rng)
        return run(rng)

    with pytest.raises(TypeError, match="counted cannot be sent to other processes"):
        experiments.ensemble(make, counted, 20, seed=1, executor=pool)
    assert len(calls) == 1  # to know the length


def test_a_folder_resumes_and_refuses_another_run(tmp_path, chunks_of_eight, monkeypatch):
    folder = tmp_path / "kept"
    whole = experiments.ensemble(make, run, 20, seed=1)
    experiments.ensemble(make, run, 16, seed=1, folder=folder)
    done = []
    chunk = ensembles._chunk
    monkeypatch.setattr(ensembles, "_chunk", lambda *a: done.append(a[4:6]) or chunk(*a))
    same(whole, experiments.ensemble(make, run, 20, seed=1, folder=folder))
    assert done == [(16, 20)]
    for change, says in [
        ({"seed": 2}, "another seed: 1 there, 2 here"),
        ({"record_every": 10}, "another record_every"),
        ({"measure": powers}, "another measure"),
        ({"make": lambda batch: make(batch, 0.4)}, "another filter"),
        ({"run": lambda rng: tuple(2 * a for a in run(rng))}, "another signals of the first run"),
    ]:
        with pytest.raises(ValueError, match=says):
            experiments.ensemble(**{"make": make, "run": run, "runs": 20, "seed": 1, "folder": folder} | change)
    (folder / "runs_00000000_00000008.npz").write_bytes(b"half")
    with pytest.raises(ValueError, match="damaged; remove it"):
        experiments.ensemble(make, run, 20, seed=1, folder=folder)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(ValueError, match="folder must be empty"):
        experiments.ensemble(make, run, 20, seed=1, folder=tmp_path / "other")


def test_results_are_one_file(tmp_path):
    found = experiments.ensemble(make, run, 5, seed=1, record_every=100)
    found.save(tmp_path / "found.npz")
    back = experiments.load(tmp_path / "found.npz")
    same(found, back)
    assert (back.window, back.every) == (found.window, found.every)
    with pytest.raises(ValueError, match="path must end in"):
        found.save(tmp_path / "found.txt")
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    with pytest.raises(ValueError, match="holds no ensemble"):
        experiments.load(tmp_path / "other.npz")


def test_results_as_xarray_say_what_they_need(monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)  # as if it were not installed
    found = experiments.Ensemble({}, {}, {}, {}, np.array([0.5]), 1, {})
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'adaptfilt-torch\[cluster\]'"):
        found.to_xarray()


def test_results_as_xarray():
    pytest.importorskip("xarray", reason="xarray is not installed (extra cluster)")
    found = experiments.ensemble(make, run, 5, seed=1, record_every=100)
    data = found.to_xarray()
    assert_array_equal(data["mse"], found.mean["mse"])
    assert_array_equal(data["misalignment_time"], [99, 199, 299])
    assert data["mse_quantiles"].sel(quantile=0.5).shape == (SAMPLES,)


def test_a_measure_of_ones_own_and_blind_filters():
    found = experiments.ensemble(make, run, 5, seed=1, measure=powers)
    assert found.mean["output"].shape == ()

    def blind(batch):
        return af.CMA(3, 0.01, batch=batch, dtype=torch.float64, engine="reference")

    assert experiments.ensemble(blind, lambda rng: run(rng)[0], 5, seed=1).mean["mse"].shape == (SAMPLES,)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"runs": 0}, ValueError, "runs must be"),
        ({"levels": [2]}, ValueError, "levels must be numbers from 0 to 1"),
        ({"record_every": 0}, ValueError, "record_every must be"),
        ({"fill": -1}, ValueError, "fill must be"),
        ({"fill": 300}, ValueError, "fill must be less than the 300 samples"),
        ({"executor": 2}, TypeError, "executor must be a concurrent.futures.Executor"),
        ({"run": lambda rng: (1, 2, 3, 4)}, TypeError, "run must return x, d or x, d, h, got 4"),
        ({"run": lambda rng: 1.0}, ValueError, "run must return signals of at least one sample"),
        ({"run": lambda rng: 2 * [np.ones(rng.integers(9, 99))]}, ValueError, "run must return signals of one length"),
        ({"measure": lambda out, h: {"a": np.ones(2)}}, ValueError, "measure must return real arrays"),
    ],
)
def test_an_ensemble_names_what_is_wrong(change, error, says):
    with pytest.raises(error, match=says):
        experiments.ensemble(**{"make": make, "run": run, "runs": 5, "seed": 1} | change)


def test_divergence_says_in_which_runs():
    def wild(batch):
        return af.LMS(TAPS, 50.0, batch=batch, dtype=torch.float64, engine="reference")

    with pytest.raises(af.DivergenceError) as caught, np.errstate(all="ignore"):
        experiments.ensemble(wild, lambda rng: tuple(np.tile(a, 10) for a in run(rng)[:2]), 5, seed=1)
    assert "in the runs 0 to 4" in caught.value.__notes__


def test_a_sweep_compares_on_the_same_signals(tmp_path):
    found = experiments.sweep(make, run, 10, {"mu": [0.05, 0.5]}, seed=1, folder=tmp_path)
    same(found.results[1], experiments.ensemble(make, run, 10, seed=1))
    rows = found.rows(noise_power=0.01)
    assert [row["mu"] for row in rows] == [0.05, 0.5]
    assert rows[0]["samples"] > rows[1]["samples"]
    assert_allclose(rows[1]["mse"], found.results[1].mean["mse"][-30:].mean())
    assert_allclose(rows[1]["misadjustment"], rows[1]["mse"] / 0.01 - 1)
    table = found.table().splitlines()
    assert table[0] == "| mu | mse (dB) | samples |"
    assert len(table) == 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mu=0.05", "mu=0.5"]
    with pytest.raises(ValueError, match="values must hold something"):
        experiments.sweep(make, run, 10, {}, seed=1)


def test_speed_of_a_curve_that_is_known():
    n = np.arange(10_000)
    for tau in (300.0, 800.0):
        curve = 1e-3 + np.exp(-n / tau)
        expected = tau * np.log(1e3)  # where the exponential is the end
        assert abs(experiments.sweeps._speed(curve)[1] - expected) <= 100
    assert experiments.sweeps._speed(np.ones(1000))[1] == 0


def unit():
    return af.NLMS(4, 0.5, engine="reference")


@pytest.fixture
def manifest(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(500).astype(np.float32)
    np.save(tmp_path / "far.npy", x)
    np.save(tmp_path / "good.npy", af.plants.fir([0.5, 0.2])(x))
    np.save(tmp_path / "short.npy", af.plants.fir([0.5, 0.2])(x)[:100])
    np.save(tmp_path / "nan.npy", np.full(500, np.nan))
    (tmp_path / "bad.npy").write_text("no samples")
    path = tmp_path / "list.csv"
    path.write_text("x,d\n" + "".join(f"far.npy,{name}.npy\n" for name in ("good", "lost", "bad", "nan", "short")))
    return path


def test_files_are_done_and_failures_listed(manifest, pool):
    out = manifest.parent / "out"
    found = experiments.files(manifest, unit, out)
    x, d = (np.load(manifest.parent / f"{name}.npy") for name in ("far", "good"))
    e = unit()(x, d).e
    assert_array_equal(np.load(out / "good.npy"), e)
    assert_allclose(found[0].erle_db, af.metrics.erle_db(d, e))
    assert [bool(row.failure) for row in found] == [False, True, True, True, False]
    assert found[1].failure.endswith("lost.npy: no such file")
    assert "d must be finite" in found[3].failure
    assert found[4].samples == 100
    assert sorted(p.name for p in out.iterdir()) == ["good.npy", "short.npy", "table.csv"]
    with (out / "table.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["name"] for line in lines] == ["good", "lost", "bad", "nan", "short"]
    assert float(lines[0]["mse_db"]) == found[0].mse_db
    there = experiments.files(manifest, unit, manifest.parent / "there", executor=pool)
    assert [(row.name, row.erle_db, row.failure) for row in there[::4]] == [
        (row.name, row.erle_db, row.failure) for row in found[::4]
    ]


def test_sounds_keep_their_rate(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    x = 0.1 * np.random.default_rng(0).standard_normal(400)
    for name in ("far", "mic"):
        soundfile.write(tmp_path / f"{name}.wav", x, 8000)
    (found,) = experiments.files([(tmp_path / "far.wav", tmp_path / "mic.wav")], unit, tmp_path / "out")
    assert not found.failure
    assert soundfile.info(tmp_path / "out" / "mic.wav").samplerate == 8000


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2\n", "columns x and d"),
        ("x,d\n", "at least one pair"),
        ("x,d\na.npy,d.npy\nb.npy,d.npy\n", "'d'. twice"),
    ],
)
def test_a_manifest_that_is_wrong_is_refused(tmp_path, text, says):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(ValueError, match=says):
        experiments.files(tmp_path / "list.csv", unit, tmp_path / "out")
    with pytest.raises(ValueError, match="no such file"):
        experiments.files(tmp_path / "lost.csv", unit, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_outputs_stay_out_of_the_recordings_folder(manifest):
    with pytest.raises(ValueError, match="out must not be the folder of the recordings"):
        experiments.files(manifest, unit, manifest.parent)


def test_work_comes_back_in_order_however_much_there_is():
    work = [workers.Work(abs, (-k,)) for k in range(200)]
    with ThreadPoolExecutor(3) as threads:
        assert list(workers.in_order(work, threads, (), None, False, [1] * 200)) == list(range(200))
