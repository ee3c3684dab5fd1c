import subprocess
import sys

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.testing import assert_allclose, assert_array_equal
from scipy.signal import freqz

import adaptfilt as af
from adaptfilt import metrics, plots, signals

HISTORY = np.linspace([0.0, 0.0, 0.0], [0.1, 0.2, 0.3], 50)
TRUE = [0.1, 0.2, 0.3]


def lines(ax, label):
    return [line for line in ax.get_lines() if line.get_label() == label]


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def is_legible(ax, path):
    """Saved at its own size, every word lies inside the picture and none is smaller than 8 points."""
    canvas = FigureCanvasAgg(ax.figure)
    canvas.print_png(path)
    words = [ax.xaxis.label, ax.yaxis.label, *ax.get_legend().get_texts()]
    boxes = [word.get_window_extent(canvas.get_renderer()).get_points() for word in words]
    inside = ax.figure.bbox.count_contains(np.concatenate(boxes)) == 2 * len(words)
    return inside and all(word.get_text() and word.get_size() >= 8 for word in words)


PICTURES = {
    "coefficients": lambda ax: plots.coefficients(HISTORY, TRUE, ax=ax),
    "learning_curve": lambda ax: plots.learning_curve(np.ones(9), noise_floor_db=-3.0, label="NLMS", ax=ax),
    "misalignment": lambda ax: plots.misalignment(HISTORY, TRUE, label="LMS", ax=ax),
    "error_surface": lambda ax: plots.error_surface({"LMS": HISTORY[:, :2]}, TRUE[:2], ax=ax),
    "impulse_response": lambda ax: plots.impulse_response(TRUE, TRUE, ax=ax),
    "frequency_response": lambda ax: plots.frequency_response(TRUE, TRUE, fs=8000.0, ax=ax),
    "signals": lambda ax: plots.signals({"recorded": TRUE}, fs=360.0, unit="mV", ax=ax),
    "constellation": lambda ax: plots.constellation([0.9 + 0.1j, -1.1], [1.0, -1.0], ax=ax),
    "eye": lambda ax: plots.eye(np.exp(0.3j * np.arange(40)), 4, ax=ax),
    "symbol_errors": lambda ax: plots.symbol_errors(np.linspace(1, 0, 50), label="decided", ax=ax),
    "delays": lambda ax: plots.delays([1, 2, 3], TRUE, ax=ax),
    "combined_response": lambda ax: plots.combined_response(TRUE, TRUE, ax=ax),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_new_figure_is_legible(name, tmp_path):
    ax = PICTURES[name](None)
    assert tuple(ax.figure.get_size_inches()) == (8.0, 4.5)
    assert ax.figure.get_dpi() == 150
    assert is_legible(ax, tmp_path / "picture.png")


@pytest.mark.parametrize("name", PICTURES)
def test_given_axes_are_drawn_on_and_returned(name):
    mine = Figure().subplots()
    assert PICTURES[name](mine) is mine
    assert mine.get_lines()


def test_coefficients_over_samples_with_the_true_ones_behind():
    ax = plots.coefficients(torch.tensor(HISTORY), TRUE, every=10)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (samples)", "coefficient")
    found = [lines(ax, f"w[{k}]")[0] for k in range(3)]
    true = [line for line in ax.get_lines() if line not in found]
    for k in range(3):
        assert_array_equal(found[k].get_xdata(), np.arange(10, 501, 10))
        assert_array_equal(found[k].get_ydata(), HISTORY[:, k])
        assert_array_equal(true[k].get_ydata(), np.full(50, TRUE[k]))
        assert true[k].get_zorder() < found[k].get_zorder()
        assert true[k].get_linewidth() > 3 * found[k].get_linewidth()
    assert len({line.get_color() for line in found}) == 3
    assert legend(ax) == ["true", "w[0]", "w[1]", "w[2]"]


def test_many_coefficients_share_one_name():
    ax = plots.coefficients(np.ones((5, 40)), np.ones(40))
    assert len(lines(ax, "found")) == 40
    assert legend(ax) == ["true", "found"]


def test_complex_coefficients_and_a_true_history():
    history = HISTORY * (1 + 2j)
    ax = plots.coefficients(history, history)
    assert_array_equal(lines(ax, "w[1] imag")[0].get_ydata(), history[:, 1].imag)
    assert lines(ax, "w[1] imag")[0].get_linestyle() == "--"
    assert lines(ax, "w[1] imag")[0].get_color() == lines(ax, "w[1] real")[0].get_color()
    assert_array_equal(lines(ax, "true")[0].get_ydata(), history[:, 0].imag)


def test_coefficients_of_a_batch_are_refused():
    with pytest.raises(ValueError, match="history must have shape"):
        plots.coefficients(np.ones((2, 5, 3)))


def test_learning_curves_of_two_filters_on_one_axes():
    e = signals.white((4, 100), 0)
    ax = plots.learning_curve(e, window=5, label="LMS")
    plots.learning_curve(0.1 * e, window=5, label="NLMS", noise_floor_db=-20.0, ax=ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (samples)", "mean squared error (dB)")
    assert_array_equal(lines(ax, "LMS")[0].get_ydata(), metrics.learning_curve_db(e, 5))
    assert_allclose(lines(ax, "NLMS")[0].get_ydata(), metrics.learning_curve_db(e, 5) - 20, atol=1e-9)
    assert set(lines(ax, "noise floor")[0].get_ydata()) == {-20.0}
    assert legend(ax) == ["LMS", "NLMS", "noise floor"]


def test_learning_curve_starting_with_silence_is_drawn(tmp_path):
    ax = plots.learning_curve([0.0, 0.0, 1.0, 0.1])
    ax.figure.savefig(tmp_path / "picture.png")
    assert np.isfinite(ax.get_ylim()).all()
    assert ax.get_legend() is None


def test_impulse_response_as_stems_over_taps():
    ax = plots.impulse_response(torch.tensor([0.5, -0.2], requires_grad=True), [0.6, -0.3, 0.1])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("tap", "coefficient")
    found, true = lines(ax, "found")[0], lines(ax, "true")[0]
    assert_allclose(found.get_ydata(), [0.0, 0.5, np.nan, 0.0, -0.2, np.nan], rtol=1e-6)
    assert_array_equal(true.get_xdata()[1::3], [0, 1, 2])
    assert_array_equal(true.get_ydata()[1::3], [0.6, -0.3, 0.1])
    assert true.get_zorder() < found.get_zorder()
    assert all(tick == round(tick) for tick in ax.get_xticks())


def test_long_impulse_response_as_a_line_over_time():
    h = signals.white(100, 0, dtype=complex)
    ax = plots.impulse_response(h, fs=8000.0)
    assert ax.get_xlabel() == "time (ms)"
    assert_allclose(lines(ax, "found real")[0].get_xdata(), np.arange(100) / 8)
    assert_array_equal(lines(ax, "found imag")[0].get_ydata(), h.imag)


@pytest.mark.parametrize("taps", [3, 3000])
def test_frequency_response_in_db(taps):
    h = signals.white(taps, 0)
    ax = plots.frequency_response(2 * h, h, fs=8000.0)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("frequency (Hz)", "magnitude (dB)")
    frequency, response = freqz(h, worN=lines(ax, "true")[0].get_xdata(), fs=8000.0)
    assert 0 <= frequency.min() <= frequency.max() <= 4000.0
    assert frequency.size >= taps  # fine enough for its narrowest peaks
    assert_allclose(lines(ax, "true")[0].get_ydata(), 20 * np.log10(np.abs(response)), atol=1e-6)
    assert_allclose(lines(ax, "found")[0].get_ydata() - lines(ax, "true")[0].get_ydata(), 20 * np.log10(2))


def test_frequency_response_of_complex_coefficients_has_both_sides():
    h = 0.5 * np.exp(2j * np.pi * -0.25 * np.arange(8))  # a band around -1/4
    ax = plots.frequency_response(h)
    assert ax.get_xlabel() == "frequency (cycles/sample)"
    frequency, level = lines(ax, "found")[0].get_data()
    assert_array_equal(frequency, np.sort(frequency))
    assert frequency[np.argmax(level)] == -0.25
    assert_allclose(level.max(), 20 * np.log10(4.0))


def test_frequency_response_with_a_zero_on_the_circle(tmp_path):
    ax = plots.frequency_response(np.zeros(3), [1.0, -1.0])
    ax.figure.savefig(tmp_path / "picture.png")
    assert np.isfinite(ax.get_ylim()).all()


def test_signals_over_seconds_in_their_unit():
    ax = plots.signals({"recorded": [1, 2, 3], "cleaned": torch.ones(3)}, fs=2.0, unit="mV")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (s)", "amplitude (mV)")
    assert_array_equal(lines(ax, "recorded")[0].get_xdata(), [0.0, 0.5, 1.0])
    assert_array_equal(lines(ax, "cleaned")[0].get_ydata(), np.ones(3))
    assert plots.signals({"x": [1.0]}).get_xlabel() == "time (samples)"


def test_matplotlib_loads_on_first_use_and_pyplot_never():
    code = (
        "import sys, adaptfilt.plots as p; assert 'matplotlib' not in sys.modules;"
        "p.impulse_response([1.0]).figure.savefig('/dev/null', format='png');"
        "assert 'matplotlib' in sys.modules; assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_constellation_shows_every_symbol_and_the_points_at_one_scale():
    y = 2 * signals.white((2, 50), 0, dtype=complex)
    ax = plots.constellation(torch.from_numpy(y), [1.0, 1j], label="equalised")
    (found,), (points,) = lines(ax, "equalised"), lines(ax, "constellation")
    assert_array_equal(found.get_xdata() + 1j * found.get_ydata(), y.ravel())
    assert_array_equal(points.get_xdata() + 1j * points.get_ydata(), [1.0, 1j])
    assert ax.get_aspect() == 1
    assert ax.get_xlim() == ax.get_ylim() == (-ax.get_xlim()[1], ax.get_xlim()[1])
    assert ax.get_xlim()[1] > np.abs([y.real, y.imag]).max()


def test_constellation_of_many_symbols_is_a_histogram_the_right_way_up():
    y = np.repeat([0.5 + 1j, -1.0], [12_000, 4_000])
    ax = plots.constellation(y)
    (mesh,) = ax.collections
    assert mesh.get_array().sum() == y.size
    assert ax.get_lines() == []
    edges = mesh.get_coordinates()
    row, column = np.unravel_index(mesh.get_array().argmax(), (200, 200))
    assert edges[row, column, 0] <= 0.5 <= edges[row, column + 1, 0]
    assert edges[row, column, 1] <= 1.0 <= edges[row + 1, column, 1]


def test_constellation_refuses_what_it_cannot_show():
    for y in ([], [np.nan]):
        with pytest.raises(ValueError, match="y must be finite and not empty"):
            plots.constellation(y)


@pytest.mark.parametrize("offset", [0, 3, 6])
def test_an_eye_has_the_symbols_in_its_middle(offset):
    a = np.random.default_rng(0).choice([-1.0, 1.0], 50)
    y = np.convolve(signals.upsample(a, 4), [0.5, 1.0, 0.5])[: 4 * 50]  # symbols at 1, 5, ...
    y = np.append(np.zeros(offset), y)
    ax = plots.eye(1j * y, 4, offset=1 + offset, traces=30)
    (curve,) = lines(ax, "imag")
    middle = curve.get_ydata()[curve.get_xdata() == 0]
    assert middle.size == 30
    assert_array_equal(np.abs(middle), np.ones(30))
    assert np.all(lines(ax, "real")[0].get_ydata()[~np.isnan(curve.get_xdata())] == 0)


def test_an_eye_refuses_what_has_none():
    for y, sps in ((np.ones(50), 1), (np.ones((2, 50)), 4), (np.ones(8), 4)):
        with pytest.raises(ValueError, match="must"):
            plots.eye(y, sps)


def test_errors_over_symbols_with_their_mean():
    e = np.where(np.arange(20_000) < 10_000, 1.0, 0.1)
    ax = plots.symbol_errors(1j * e, window=100, label="cma")
    (mean,) = lines(ax, "cma")
    assert_allclose(mean.get_ydata()[[50, 9_999, 10_099, 19_999]], [0, 0, -20, -20], atol=1e-9)
    dots = next(line for line in ax.get_lines() if line is not mean)
    assert dots.get_xdata().size == 5_000
    assert dots.get_color() == mean.get_color()


def test_a_combined_response_is_in_db_of_its_largest():
    ax = plots.combined_response([1.0, 0.0, 0.1], [0.0, 0.0, 2.0], sps=2)
    (curve,) = ax.get_lines()
    assert_allclose(curve.get_ydata()[1::3], [-80, 0, -20], atol=1e-9)
    assert legend(ax) == ["found: interference -20.0 dB"]


def test_the_best_delay_is_marked():
    ax = plots.delays(np.arange(5, 8), [0.1, 0.01, 1.0])
    (curve,), (best,) = lines(ax, "tried"), lines(ax, "best: 6")
    assert_allclose(curve.get_ydata(), [-10, -20, 0], atol=1e-12)
    assert all(tick == round(tick) for tick in ax.get_xticks())
    assert (best.get_xdata()[0], best.get_ydata()[0]) == (6, pytest.approx(-20))


def test_an_ensemble_shows_mean_quantiles_theory_and_floor():
    def run(rng):
        x = rng.standard_normal(900)
        return x, x + 0.1 * rng.standard_normal(900)

    found = af.experiments.ensemble(lambda batch: af.LMS(1, 0.05, batch=batch, engine="reference"), run, 5, seed=0)
    ax = plots.ensemble(found, theory=np.full(900, 0.01), noise_floor_db=-20, label="LMS")
    curve, theory, floor = ax.lines
    windows = found.mean["mse"].reshape(-1, 2).mean(1)
    np.testing.assert_allclose(curve.get_ydata(), 10 * np.log10(windows))
    np.testing.assert_allclose(curve.get_xdata(), found.time("mse", windows=True))
    np.testing.assert_allclose(theory.get_ydata(), -20)
    assert floor.get_ydata()[0] == -20
    edges = ax.collections[0].get_paths()[0].vertices[:, 1]
    np.testing.assert_allclose(edges.max(), 10 * np.log10(found.quantiles["mse"][2].max()))
    with pytest.raises(ValueError, match="name must be that of a curve"):
        plots.ensemble(found, "misalignment")


def test_learning_curves_take_theory():
    ax = plots.learning_curve(np.ones(50), theory=np.full(50, 0.1))
    assert ax.lines[1].get_ydata()[0] == -10
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["theory"]


def test_tradeoff_writes_parameters_beside_points():
    rows = [{"mu": 0.1, "mse": 1.0, "samples": 900.0, "misadjustment": 0.05}]
    ax = plots.tradeoff(rows, label="NLMS")
    assert ax.lines[0].get_xydata().tolist() == [[900.0, 5.0]]
    assert [text.get_text() for text in ax.texts] == ["mu 0.1"]
    with pytest.raises(ValueError, match="rows must hold misadjustments"):
        plots.tradeoff([])


def legend_box(ax):
    canvas = FigureCanvasAgg(ax.figure)
    canvas.draw()
    return ax.get_legend().get_window_extent(canvas.get_renderer())


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("layout", [None, "constrained"])
def test_a_legend_on_axes_of_others_is_whole_and_covers_no_neighbour(name, layout):
    figure = Figure(figsize=(9, 4), layout=layout)
    left, right = figure.subplots(1, 2)
    for ax, other in ((left, right), (right, left)):
        PICTURES[name](ax)
        box = legend_box(ax)
        assert figure.bbox.count_contains(box.get_points()) == 2
        assert not box.overlaps(other.get_window_extent())
        assert box.overlaps(ax.get_window_extent()) == (layout is None)


def test_a_picture_leaves_the_neighbour_and_the_title_alone():
    figure = Figure()
    mine, other = figure.subplots(2, 1)
    mine.set_title("mine")
    before = (other.get_xlim(), other.get_ylim(), other.get_xlabel(), other.get_legend())
    plots.learning_curve(np.ones(9), label="NLMS", ax=mine)
    assert mine.get_title() == "mine"
    assert (other.get_xlim(), other.get_ylim(), other.get_xlabel(), other.get_legend()) == before


def test_time_is_in_seconds_where_the_rate_is_given():
    e, theory = np.ones(100), np.full(100, 0.5)
    ax = plots.learning_curve(e, fs=50.0, theory=theory, label="LMS")
    assert ax.get_xlabel() == "time (s)"
    for label in ("LMS", "theory"):
        assert_allclose(lines(ax, label)[0].get_xdata(), np.arange(100) / 50)
    ax = plots.coefficients(HISTORY, every=10, fs=50.0, theory=HISTORY)
    assert ax.get_xlabel() == "time (s)"
    assert_allclose(lines(ax, "w[0]")[0].get_xdata(), np.arange(1, 51) / 5)
    assert_allclose(lines(ax, "theory")[2].get_xdata(), np.arange(1, 51) / 50)
    assert_array_equal(lines(ax, "theory")[2].get_ydata(), HISTORY[:, 2])


def test_an_empty_start_does_not_pull_the_axis_down():
    """A plant that delays by 30: until then d is nothing but noise, 53 dB down; the error settles at -20."""
    e = np.concatenate([np.full(30, 10 ** (-53 / 20)), np.ones(200), np.full(770, 0.1)])
    ax = plots.learning_curve(e, label="NLMS")
    (curve,) = lines(ax, "NLMS")
    assert_array_equal(curve.get_xdata(), np.arange(30, 1000))
    assert -22 < ax.get_ylim()[0] < -20
    (whole,) = plots.learning_curve(e[::-1]).get_lines()  # an end is no start
    assert whole.get_xdata().size == 1000
    (short,) = plots.learning_curve(np.append(np.full(5, 1e-2), 0.99 ** np.arange(995))).get_lines()
    assert_array_equal(short.get_xdata(), np.arange(5, 1000))  # a flank, though the end is lower
    changed = np.concatenate([np.full(50, 1e-2), 0.99 ** np.arange(950)])  # a filter that knew its plant, which changes
    for e in (changed, 1.01 ** np.arange(1000)):
        (whole,) = plots.learning_curve(e).get_lines()
        assert whole.get_xdata().size == 1000


def test_misalignment_over_time_beside_theory():
    other = np.array([0.1, 0.2, 0.0])
    runs = np.stack([HISTORY, np.broadcast_to(other, HISTORY.shape)])
    ax = plots.misalignment(runs, TRUE, every=4, fs=2.0, theory=[0.14, 0.014], label="LMS")
    (curve,), (theory,) = lines(ax, "LMS"), lines(ax, "theory")
    powers = np.sum((runs - TRUE) ** 2, -1).mean(0) / 0.14
    assert_allclose(curve.get_ydata(), 10 * np.log10(powers), rtol=1e-12)
    assert_allclose(curve.get_xdata(), 2 * np.arange(1, 51))
    assert_allclose(theory.get_ydata(), [0, -10], atol=1e-12)
    assert_allclose(theory.get_xdata(), [0.5, 1.0])
    with pytest.raises(ValueError, match="history must have shape"):
        plots.misalignment(TRUE, TRUE)
    with pytest.raises(ValueError, match="theory goes with a plant of shape"):
        plots.misalignment(HISTORY, HISTORY, theory=np.ones(50))


def test_theory_lies_on_the_mean_of_many_runs():
    rows = signals.white((1000, 200, 3), 0)  # independent regressors, for which theory is exact
    d = rows @ TRUE + 0.1 * signals.white((1000, 200), 1)
    f = af.LMS(3, 0.05, batch=1000, dtype=torch.float64, engine="reference")
    found = f(rows, d, record_every=1, regressors=True)
    expected = af.theory.predict(af.LMS(3, 0.05), TRUE, 1.0, noise=0.01, samples=200).learning
    ax = plots.misalignment(found.w, TRUE, theory=expected.msd, label="LMS")
    curve, theory = (lines(ax, label)[0].get_ydata() for label in ("LMS", "theory"))
    assert_allclose(curve[:10], theory[:10], atol=0.1)  # from sample to sample it falls by 0.4
    assert_allclose(curve, theory, atol=0.5)  # four deviations of a mean of 1000 runs


@pytest.mark.parametrize("r", [[2.0, 1.2], [1.0]])
def test_an_error_surface_has_the_errors_of_its_contours(r):
    path = HISTORY[:, :2]
    ax = plots.error_surface({"LMS": path, "RLS": path / 2}, TRUE[:2], r)
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_aspect()) == ("w[0]", "w[1]", 1)
    assert legend(ax) == ["true", "LMS", "RLS"]
    assert_array_equal(lines(ax, "LMS")[0].get_xydata(), np.concatenate([np.zeros((1, 2)), path]))
    (contours,) = ax.collections
    beside = r[1] if len(r) > 1 else 0.0
    R = np.array([[r[0], beside], [beside, r[0]]])
    levels = np.asarray(contours.levels)
    assert_allclose(levels[1:] / levels[:-1], 2)
    for level, shape in zip(contours.levels, contours.get_paths(), strict=True):
        v = shape.vertices - TRUE[:2]
        middle = np.abs(v).max(-1) > 0.02  # of cells that are small beside the ellipse
        assert_allclose(np.einsum("nk,kl,nl->n", v, R, v)[middle], level, rtol=0.02)
    for given in (lines(ax, "LMS")[0].get_xydata(), np.atleast_2d(TRUE[:2])):
        assert np.all((given > [ax.get_xlim()[0], ax.get_ylim()[0]]) & (given < [ax.get_xlim()[1], ax.get_ylim()[1]]))


def test_an_error_surface_is_of_two_real_coefficients():
    for paths, true in (({"LMS": HISTORY}, TRUE[:2]), ({}, TRUE), ({"LMS": 1j * HISTORY[:, :2]}, TRUE[:2])):
        with pytest.raises(ValueError, match="must be of two real coefficients"):
            plots.error_surface(paths, true)
    for r in ([1.0, 1.0], [-1.0], [0.0]):
        with pytest.raises(ValueError, match="input must be a power"):
            plots.error_surface({}, TRUE[:2], r)


def test_a_logarithmic_axis_of_three_decades():
    ax = plots.frequency_response([0.5, 0.5], TRUE, fs=8000.0, log=True)
    assert (ax.get_xscale(), ax.get_xlim()) == ("log", (4.0, 4000.0))
    assert [ax.xaxis.get_major_formatter()(f) for f in (10, 1000)] == ["10", "1k"]
    frequency, level = lines(ax, "found")[0].get_data()
    assert 0 < frequency[0] < 4
    assert_allclose(level, 20 * np.log10(np.cos(np.pi * frequency / 8000)), atol=1e-9)
    with pytest.raises(ValueError, match="log must be False for complex coefficients"):
        plots.frequency_response([1j], log=True)


@pytest.mark.parametrize(("fs", "labels"), [(8000.0, ("time (s)", "frequency (Hz)")), (None, None)])
def test_a_spectrogram_has_a_sine_where_it_is_and_as_loud_as_it_is(fs, labels):
    n = np.arange(8000)
    x = np.where(n < 4000, 0.1 * np.sin(2 * np.pi * 0.125 * n), np.sin(2 * np.pi * 0.25 * n))
    mine = Figure().subplots()
    ax = plots.spectrogram(torch.from_numpy(x), fs, window=256, range_db=60.0, ax=mine)
    assert ax is mine
    assert (ax.get_xlabel(), ax.get_ylabel()) == (labels or ("time (samples)", "frequency (cycles/sample)"))
    (mesh,) = ax.collections
    edges, level, unit = mesh.get_coordinates(), mesh.get_array(), fs or 1.0
    for at, frequency, loud in ((2000, 0.125, -20.0), (6000, 0.25, 0.0)):
        column = np.searchsorted(edges[0, :, 0], at / unit) - 1
        row = level[:, column].argmax()
        assert edges[row, 0, 1] < frequency * unit < edges[row + 1, 0, 1]
        assert_allclose(level[row, column], loud, atol=1e-6)
    assert_allclose(mesh.get_clim(), (-60, 0), atol=1e-6)
    assert ax.figure.axes[1].get_ylabel() == "level (dB)"
    assert plots.spectrogram(x, fs, top_db=6.0).collections[0].get_clim() == (-74, 6)


def test_a_spectrogram_refuses_what_it_cannot_show():
    for x, window in ((np.ones(100), 101), (np.ones((2, 600)), 512), (1j * np.ones(600), 512), (np.ones(600), 1)):
        with pytest.raises(ValueError, match="x must be real, of shape"):
            plots.spectrogram(x, window=window)
