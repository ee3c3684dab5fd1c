"""The examples, and every Python block of the README, of the pages and of the notebooks, run as they stand."""

import importlib.util
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot
from PIL import Image

import adaptfilt as af
from benchmarks import families

ROOT = Path(__file__).resolve().parents[1]
ABSENT = Path("no such folder")
PAGES = [
    "README.md",
    *(
        f"docs/{name}.md"
        for name in (
            "index",
            "getting_started",
            "choose",
            "cheat_sheet",
            "inside_a_model",
            "streaming",
            "numerics",
            "notation",
            "equalise",
            "echo",
            "noise_control",
            "experiments",
            "tutorials/regression",
            "tutorials/nine_forms",
            "tutorials/streams",
            "tutorials/tracking",
            "tutorials/room",
            "tutorials/differentiate",
        )
    ),
]


def example(name):
    """The module of an example, its main function ready to call."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def picture(tmp_path):
    """Where an example draws; checked afterwards."""
    path = tmp_path / "picture.png"
    yield path
    assert path.read_bytes().startswith(b"\x89PNG")


def test_system_identification(picture, capsys):
    w = example("system_identification").main(picture)
    assert np.abs(w - [0.1, 0.2, 0.3]).max() < 0.006  # three deviations of LMS in that noise
    difference = re.search(r"textbook loop (\S+)", capsys.readouterr().out)
    assert float(difference[1]) < 1e-12


def test_convergence(picture):
    ends = example("convergence").main(picture, every=12)
    assert ends["RLS"] < ends["LMS"] < -40  # the noise is that far down
    assert ends["NLMS"] < -40
    with Image.open(picture.with_suffix(".gif")) as animation:
        assert animation.n_frames > 4
        first, last = (np.asarray(animation.seek(k) or animation.convert("L")) for k in (0, animation.n_frames - 1))
    assert (first != last).mean() > 0.01


def test_measured_room(picture, data_folder):
    pytest.importorskip("soundfile", reason="reading the recordings needs the extra 'audio'")
    found = example("measured_room").main(picture, data_folder, repeats=1)
    assert found["pre-emphasis"] < -14
    assert found["pre-emphasis"] < found["speech as it is"] - 8


def test_measured_room_synthetic(picture, capsys):
    found = example("measured_room").main(picture, ABSENT, repeats=1, taps=2000)
    assert found["pre-emphasis"] < found["speech as it is"] - 5
    assert "is absent" in capsys.readouterr().out


def test_ecg_hum(picture, data_folder):
    assert example("ecg_hum").main(picture, data_folder) > 29


def test_ecg_hum_synthetic(picture, capsys):
    assert example("ecg_hum").main(picture, ABSENT) > 29
    assert "is absent" in capsys.readouterr().out


def test_noise_cancelling(picture, data_folder):
    pytest.importorskip("soundfile", reason="reading the recordings needs the extra 'audio'")
    assert example("noise_cancelling").main(picture, data_folder) > 15


def test_noise_cancelling_synthetic(picture, capsys):
    assert example("noise_cancelling").main(picture, ABSENT) > 15
    assert "is absent" in capsys.readouterr().out


def test_line_enhancer(picture):
    measured, theory = example("line_enhancer").main(picture)
    assert abs(measured - theory) < 0.3


def test_ecg_predictor_finds_the_beats(picture, data_folder):
    assert abs(example("ecg_predictor").main(picture, data_folder) - 2273) <= 3  # of the database's directory


def test_ecg_predictor_synthetic(picture, capsys):
    assert example("ecg_predictor").main(picture, ABSENT) == 100
    assert "is absent" in capsys.readouterr().out


def test_saturating_plant(picture):
    last = example("saturating_plant").main(picture, samples=4000)
    assert last["MLP"] < last["NLMS"] - 10


def test_loudspeaker(picture):
    last = example("loudspeaker").main(picture, samples=20_000)
    assert last["Volterra NLMS"] < last["NLMS"] - 5
    assert last["MLP"] < last["NLMS"] - 5


def test_qam_receiver(picture):
    assert example("qam_receiver").main(picture) < 2.2  # dB above theory's best, which has no phase noise


def test_stereo_echo(picture):
    found = example("stereo_echo").main(picture, scale=0.4)
    assert found["with half waves, alpha = 0.5"] < min(-20, found["one voice"] - 10)


def test_subband(picture):
    """Half a window's hop ends at its floor, 40 dB above that of a quarter's."""
    found = example("subband").main(picture, scale=0.5)
    reached, most = found[128]
    assert most - 2 < reached < most
    assert found[64][0] > reached + 20
    assert found[64][1] > most + 30


def test_polarisations(picture):
    assert example("polarisations").main(picture) == 0


def test_ensemble(picture):
    found = example("ensemble").main(picture, runs=20)
    rows = {name: rows[-1] for name, rows in found.items()}
    assert rows["RLS"]["samples"] < found["NLMS"][-1]["samples"]
    assert found["RLS"][-1]["misadjustment"] < found["NLMS"][1]["misadjustment"]
    for name in ("NLMS", "affine projection"):
        assert [row["samples"] for row in found[name]] == sorted((row["samples"] for row in found[name]), reverse=True)


def test_decision_feedback(picture):
    lost = example("decision_feedback").main(picture)
    assert max(lost.values()) < 0.25


def test_echo(data_folder, picture, tmp_path):
    soundfile = pytest.importorskip("soundfile", reason="reading the recordings needs the extra 'audio'")
    found = example("echo").main(picture, data_folder, scale=0.6, sound=tmp_path)
    heard, left = (soundfile.read(tmp_path / f"echo_{name}.mp3")[0] for name in ("microphone", "cancelled"))
    assert heard.size == left.size >= 6 * 16_000
    assert np.sum(left**2) < 0.5 * np.sum(heard**2)
    assert found["canceller, without suppression"] > max(found["NLMS"], found["FDAF"]) + 5
    assert found["canceller"] > 5


def test_echo_synthetic(picture, capsys):
    found = example("echo").main(picture, ABSENT, scale=0.3)
    assert found["canceller, without suppression"] > max(found["NLMS"], found["FDAF"]) + 3
    assert "is absent" in capsys.readouterr().out


def test_duct_noise(picture):
    gained = example("duct_noise").main(picture)
    assert gained["FxNLMS"] > 12
    assert gained["modified, RLS"] > 35


def test_quiet_zone(picture):
    ends = example("quiet_zone").main(picture)
    assert ends["FxNLMS"] < ends["without control"] - 8
    assert ends["the best there is"] - 0.1 < ends["FxNLMS"] < ends["the best there is"] + 1.5


def test_beam_pattern(picture):
    towards = example("beam_pattern").main(picture)
    assert towards["sum of the microphones"] > -12
    assert towards["Frost"] < -24
    assert towards["sidelobe canceller"] < -24


def test_callback(picture):
    assert set(example("callback").main(picture, seconds=0.2)) == {64, 128, 256, 480}
    card = example("callback")
    f, played = card.af.NLMS(8, 0.5), card.np.ones((64, 2), "float32")
    callback = card.Callback(f, 64)
    frames = card.recording(0.01).astype("float32")[:128].reshape(2, 64, 2)
    callback(frames[0], played, 64, None, None)
    assert card.np.array_equal(played[:, 0], card.af.NLMS(8, 0.5)(frames[0, :, 1], frames[0, :, 0]).e)
    frames[1, 5] = card.np.nan
    callback(frames[1], played, 64, None, None)
    assert callback.lost == 1
    assert not played.any()


def test_the_picture_of_a_family(tmp_path):
    """Of a sparse response IPNLMS is faster than NLMS."""
    task = families.sparse(2)
    two = {name: f for name, f in task.filters.items() if "NLMS" in name}
    task = task._replace(x=task.x[:, :600], d=task.d[:, :600], filters=two)
    found = families.measure(task)
    way = {name: af.metrics.misalignment_db(w, task.plant).mean(0)[-1] for name, w in found.items()}
    assert way["IPNLMS, mu = 0.4"] < way["NLMS, mu = 0.4"] - 10
    labels = [line.get_label() for line in families.draw(task, found).axes[0].get_lines()]
    assert labels == list(two)


def test_every_family_has_its_picture():
    for name in families.FAMILIES:
        assert (ROOT / "docs" / "pictures" / f"family_{name}.png").is_file()
        assert f"family_{name}.png" in (ROOT / "docs" / "filters.md").read_text()


def test_every_example_has_a_test_and_a_picture():
    tests = "".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    for path in (ROOT / "examples").glob("*.py"):
        assert path.stem in tests
        assert (ROOT / "docs" / "pictures" / f"{path.stem}.png").is_file()


@pytest.mark.parametrize("page", PAGES)
def test_python_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for data in (ROOT / page).parent.glob("*.npz"):
        shutil.copy(data, tmp_path)
    names = {}
    blocks = re.findall(r"```(?:python|\{code-cell\} ipython3)\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        peers = re.findall(r"import (padasip|pyroomacoustics|pydaptivefiltering)", block)
        if all(importlib.util.find_spec(peer) for peer in peers):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore" if peers else "error")
                exec(compile(block, page, "exec"), names)
    pyplot.close("all")


def test_links_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_docs_list_only_filters_there_are():
    listed = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "filters.md").read_text(), re.MULTILINE)
    assert len(listed) > 5
    assert set(listed) <= set(af.__all__)


def test_the_flow_chart_leads_to_filters_there_are():
    chart = (ROOT / "docs" / "choose.md").read_text().split("```")[1]
    named = set(re.findall(r"[A-Z]\w*[A-Z]\w*|Notch|Kalman|Frost|Equalizer", chart))
    assert len(named) > 20
    assert named <= set(af.__all__)


def test_every_filter_is_on_a_page_of_the_site():
    text = "".join(page.read_text() for page in (ROOT / "docs" / "api").glob("*.rst"))
    missing = [name for name in af.__all__ if isinstance(getattr(af, name), type) and f"adaptfilt.{name}\n" not in text]
    assert not missing
