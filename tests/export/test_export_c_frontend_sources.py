"""What the C front end's generator writes and refuses, and that cores and compilers take it."""

import shutil
import subprocess
from itertools import product

import pytest
from compiled_frontend import STRICT, Library, has_compiler, write_sources

from kws_dendrite.errors import ExportError
from kws_dendrite.export.c.frontend import emit_frontend
from kws_dendrite.frontend import LogMelConfig, MfccConfig, MfeConfig

GCC = "arm-none-eabi-gcc"
needs_arm = pytest.mark.skipif(shutil.which(GCC) is None, reason=f"needs {GCC} (package gcc-arm-none-eabi)")
needs_cc = pytest.mark.skipif(not has_compiler(), reason="needs a C compiler named cc (package gcc)")
CORES = {
    "m0plus": ["-mcpu=cortex-m0plus"],
    "m3": ["-mcpu=cortex-m3"],
    "m4": ["-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"],
    "m33": ["-mcpu=cortex-m33", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"],
    "m55": ["-mcpu=cortex-m55", "-mfloat-abi=hard"],
}
CONFIGS = {
    "mfcc": (MfccConfig(), 50),
    "mfcc-short-window": (MfccConfig(win_size=11, fft_length=64, num_filters=8, num_cepstral=1), 7),
    "mfcc-overlapping": (MfccConfig(frame_stride=0.01, win_size=0, pre_cof=0.0, fft_length=512), 99),
    "mfe": (MfeConfig(), 99),
    "logmel": (LogMelConfig(), 49),
}


@needs_arm
@pytest.mark.parametrize("name,core", [*product(CONFIGS, ["m0plus", "m4"]), *product(["mfcc"], ["m3", "m33", "m55"])])
def test_compiles_for_the_cores(name, core, tmp_path):
    sources = write_sources(tmp_path, *CONFIGS[name])
    command = [GCC, *CORES[core], "-mthumb", *STRICT, "-O2", "-c", *(source.name for source in sources)]
    subprocess.run(command, cwd=tmp_path, check=True)
    calls = subprocess.run(
        ["arm-none-eabi-nm", "-u", "--format=just-symbols", *(source.with_suffix(".o").name for source in sources)],
        cwd=tmp_path, check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    outside = {call for call in calls if not call.startswith(("kws_", "__")) and not call.endswith(".o:")}
    assert outside <= {"memcpy", "memmove", "memset"}  # no libm, no allocation
    if core in ("m0plus", "m3"):
        assert not {call for call in calls if call.startswith("__aeabi_d")}  # integers: no doubles
        floats = {call for call in calls if call.startswith("__aeabi_f") or call == "__aeabi_i2f"}
        assert floats <= {"__aeabi_fmul", "__aeabi_i2f"}  # kws_frontend_features() alone


@needs_cc
@pytest.mark.parametrize("fixed", [0, 1])
@pytest.mark.parametrize("name", CONFIGS)
def test_compiles_for_the_host(name, fixed, tmp_path):
    sources = write_sources(tmp_path, *CONFIGS[name])
    command = ["cc", *STRICT, "-pedantic", "-O3", f"-DKWS_FRONTEND_FIXED={fixed}", "-c"]
    subprocess.run([*command, *(source.name for source in sources)], cwd=tmp_path, check=True)


@needs_arm
def test_flash_and_ram_of_the_default(tmp_path):
    sources = write_sources(tmp_path, MfccConfig(), 50)
    subprocess.run(
        [GCC, *CORES["m4"], "-mthumb", *STRICT, "-O2", "-c", *(source.name for source in sources)],
        cwd=tmp_path,
        check=True,
    )
    objects = [source.with_suffix(".o").name for source in sources]
    rows = subprocess.run(
        ["arm-none-eabi-size", *objects], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    sizes = [list(map(int, row.split()[:3])) for row in rows.splitlines()[1:]]
    text, data, bss = map(sum, zip(*sizes, strict=True))
    assert text <= 7.5 * 1024
    assert data == bss == 0


@needs_cc
@pytest.mark.parametrize("fixed", [False, True])
def test_ram_of_the_default(fixed, tmp_path):
    assert Library(tmp_path, MfccConfig(), 50, fixed).bytes <= 4.5 * 1024


def test_header_states_the_sizes():
    header = emit_frontend(MfccConfig(frame_length=0.05, frame_stride=0.025, fft_length=512), 39)["kws_frontend.h"]
    for line in (
        "#define KWS_FRONTEND_SAMPLE_RATE 16000",
        "#define KWS_FRONTEND_FRAME_STRIDE 400 ",
        "#define KWS_FRONTEND_FRAME_LENGTH 512 ",
        "#define KWS_FRONTEND_FRAMES 39 ",
        "#define KWS_FRONTEND_COEFFICIENTS 13 ",
        "#define KWS_FRONTEND_WINDOW_SAMPLES 16000 ",
    ):
        assert line in header
    assert "$" not in header


@pytest.mark.parametrize("config", [MfccConfig(), MfeConfig(), LogMelConfig()], ids=lambda config: config.block)
def test_sources_are_the_same_each_time(config):
    first, second = emit_frontend(config, 50), emit_frontend(config, 50)
    assert first == second
    assert all("np." not in text and "nan" not in text and "inff" not in text for text in first.values())


@pytest.mark.parametrize(
    "config,frames,message",
    [
        (MfccConfig(pre_shift=2), 50, "pre_shift is 2"),
        (MfccConfig(fft_length=8192), 50, "fft_length is 8192"),
        (MfccConfig(fft_length=16, num_filters=2, num_cepstral=2), 50, "fft_length is 16"),
        (MfccConfig(), 0, "1 to 1000 frames, got 0"),
        (MfccConfig(), 1001, "got 1001"),
        (MfccConfig(), 2.5, "got 2.5"),
        (MfccConfig(), True, "got True"),
        (LogMelConfig(log_offset=2.0), 50, "log_offset is 2.0"),
        (LogMelConfig(log_offset=1e-13), 50, "log_offset is 1e-13"),
        ("mfcc", 50, "got str"),
    ],
)
def test_refuses_what_it_cannot_do(config, frames, message):
    with pytest.raises(ExportError, match=message):
        emit_frontend(config, frames)


def test_refuses_other_versions():
    config = MfccConfig()
    object.__setattr__(config, "implementation_version", 2)  # the settings themselves refuse it
    with pytest.raises(ExportError, match="implementation_version is 2"):
        emit_frontend(config, 50)


def test_pre_shift_does_not_matter_without_pre_emphasis():
    assert emit_frontend(MfccConfig(pre_shift=2, pre_cof=0.0), 50)["kws_frontend_tables.c"]
