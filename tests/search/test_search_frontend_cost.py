import shutil
import sys
from pathlib import Path

import pytest

from kws_dendrite.errors import ConfigError
from kws_dendrite.frontend import LogMelConfig, MfccConfig, MfeConfig, feature_shape
from kws_dendrite.plain.device import CORES
from kws_dendrite.search.frontend_cost import frontend_costs, load_table, ram_bytes

SECOND = 16000
# docs/c_frontend.md: instructions of a frame and of a window in bytes, flash, RAM; counted by benchmarks/c_frontend.py.
COUNTED = {
    ("cortex-m4", MfccConfig()): (11_543, 45_391, 5_312, 3_644),
    ("cortex-m33", MfccConfig()): (11_376, 45_365, 5_328, 3_644),
    ("cortex-m55", MfccConfig()): (11_448, 42_843, 5_508, 3_644),
    ("cortex-m3", MfccConfig()): (19_594, 126_960, 5_504, 3_644),
    ("cortex-m4", MfeConfig()): (12_605, 76_953, 4_196, 6_012),
    ("cortex-m3", MfeConfig()): (19_135, 79_932, 4_628, 6_012),
    ("cortex-m4", LogMelConfig()): (25_033, 48_871, 6_356, 5_380),
    ("cortex-m3", LogMelConfig()): (41_652, 54_305, 5_216, 5_380),
}


@pytest.mark.parametrize(("core", "config"), COUNTED)
def test_the_counts_of_the_page_are_met(core, config):
    frame, window, flash, ram = COUNTED[core, config]
    T, _ = feature_shape(config, SECOND)
    predicted = frontend_costs(config, T, core)
    assert predicted.instructions == pytest.approx(T * frame + window, rel=0.06)
    assert predicted.flash_bytes == pytest.approx(flash, rel=0.08)
    assert predicted.ram_bytes == ram
    assert (predicted.cycles is not None) == (core == "cortex-m4")


def test_every_core_that_has_costs_of_nets_has_them_of_front_ends():
    assert set(load_table()["cores"]) == set(CORES)
    for core in CORES:
        entry = load_table()["cores"][core]
        assert entry["worst"] < 0.05 and entry["worst flash"] < 0.08 and entry.get("worst cycles", 0) < 0.05
        for config in (MfccConfig(), MfccConfig(win_size=0), MfeConfig(), LogMelConfig()):
            cost = frontend_costs(config, feature_shape(config, SECOND)[0], core)
            assert cost.instructions > 0 and cost.flash_bytes > 0 and cost.ram_bytes > 0


def test_more_of_anything_costs_more():
    usual = frontend_costs(LogMelConfig(), 49, "cortex-m4")
    for dearer, frames in (
        (LogMelConfig(num_filters=40), 49),
        (LogMelConfig(fft_length=1024), 49),
        (LogMelConfig(frame_stride=0.01), 98),
    ):
        cost = frontend_costs(dearer, frames, "cortex-m4")
        assert cost.instructions > usual.instructions and cost.ram_bytes > usual.ram_bytes
    few = frontend_costs(MfccConfig(num_cepstral=10), 50, "cortex-m4")
    many = frontend_costs(MfccConfig(num_cepstral=26), 50, "cortex-m4")
    assert few.instructions < many.instructions and few.ram_bytes < many.ram_bytes


def test_an_fft_that_was_not_measured_is_one_line():
    with pytest.raises(ConfigError, match="no costs are known of a front end with an FFT of 4096 points"):
        frontend_costs(LogMelConfig(fft_length=4096), 49, "cortex-m4")


def test_ram_is_that_of_the_c_structure():
    """sizeof(kws_frontend), counted by the compiler for this machine."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    import subprocess
    import tempfile

    from kws_dendrite.export.c.frontend import emit_frontend

    main = '#include <stdio.h>\n#include "kws_frontend.h"\nint main(void) { printf("%zu", sizeof(kws_frontend)); }\n'
    for config in (
        MfccConfig(num_cepstral=11, frame_length=0.016), MfeConfig(num_filters=33, fft_length=512, frame_stride=0.02),
        LogMelConfig(num_filters=23, frame_stride=0.03), LogMelConfig(frame_stride=0.011),
    ):  # fmt: skip
        T, _ = feature_shape(config, SECOND)
        with tempfile.TemporaryDirectory() as name:
            for file, text in emit_frontend(config, T).items():
                (Path(name) / file).write_text(text, encoding="utf-8")
            (Path(name) / "size.c").write_text(main, encoding="utf-8")
            subprocess.run(["cc", "-std=c99", "-o", "size", "size.c"], cwd=name, check=True)
            size = int(subprocess.run([str(Path(name) / "size")], capture_output=True, check=True, text=True).stdout)
        assert size == ram_bytes(config, T)


@pytest.mark.slow
@pytest.mark.skipif(
    not (shutil.which("arm-none-eabi-gcc") and shutil.which("qemu-system-arm")), reason="no cross compiler or emulator"
)
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m3"])
def test_front_ends_that_the_table_was_not_made_from(core, tmp_path):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
    from measure_frontend_costs import sample

    from kws_dendrite.export.benchmark.targets import TARGETS

    for number, config in enumerate(
        (
            MfccConfig(num_cepstral=15, num_filters=28, frame_length=0.024, frame_stride=0.018, fft_length=512),
            LogMelConfig(frame_length=0.02, frame_stride=0.015, fft_length=512, num_filters=28),
            MfeConfig(frame_length=0.012, frame_stride=0.012, fft_length=256, num_filters=18),
        )
    ):
        found = sample(config, TARGETS[core], tmp_path / str(number))
        predicted = frontend_costs(config, found.frames, core)
        counted = found.frames * sum(n for part, n in found.instructions.items() if part != "window")
        assert predicted.instructions == pytest.approx(counted + found.instructions["window"], rel=0.06)
        assert predicted.flash_bytes == pytest.approx(found.flash, rel=0.08)
