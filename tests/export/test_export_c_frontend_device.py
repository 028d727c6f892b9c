"""The C front end on emulated cores: the same bits as on the host, and no more instructions than promised."""

import sys
from pathlib import Path

import numpy as np
import pytest
from compiled_frontend import Library, quantise, write_sources
from small_model import on_device

from kws_dendrite.export.benchmark.count import count_source
from kws_dendrite.export.benchmark.emulator import run
from kws_dendrite.export.benchmark.firmware import BASE, compile_sources, link
from kws_dendrite.export.benchmark.targets import find_target
from kws_dendrite.frontend import LogMelConfig, MfccConfig, MfeConfig, compute_float64

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "frontend"))

from golden_vectors import load, noise

pytestmark = on_device
FRAMES = 9
CLIP = """
#include "kws_frontend.h"
#include "semihosting.h"
static kws_frontend frontend;
static int16_t samples[333];
static float floats[KWS_FRONTEND_FRAMES * KWS_FRONTEND_COEFFICIENTS];
static int8_t bytes[KWS_FRONTEND_FRAMES * KWS_FRONTEND_COEFFICIENTS];
int main(void)
{
    const int in = semihosting_open("samples.bin", SEMIHOSTING_READ_BINARY);
    const int out = semihosting_open("features.bin", SEMIHOSTING_WRITE_BINARY);
    size_t count;
    kws_frontend_reset(&frontend, PREVIOUS);
    while ((count = semihosting_read(in, samples, sizeof samples)) > 0) {
        kws_frontend_push(&frontend, samples, count / sizeof *samples);
    }
    kws_frontend_features(&frontend, floats);
    kws_frontend_quantized(&frontend, 0.0331f, 8, bytes);
    semihosting_write(out, floats, sizeof floats);
    semihosting_write(out, bytes, sizeof bytes);
    semihosting_close(out);
    return 0;
}
"""
FRAME = """
#include "bench.h"
#include "kws_frontend.h"
static kws_frontend frontend;
static int16_t samples[KWS_FRONTEND_FRAME_STRIDE];
int main(void)
{
    for (int i = 0; i < KWS_FRONTEND_FRAME_STRIDE; i++) {
        samples[i] = (int16_t)(i * i * 37);
    }
    kws_frontend_reset(&frontend, 0);
    kws_frontend_push(&frontend, samples, KWS_FRONTEND_FRAME_STRIDE);
    kws_bench_call((void (*)(void))kws_frontend_push, &frontend, samples, (void *)KWS_FRONTEND_FRAME_STRIDE);
    return 0;
}
"""
CONFIGS = {
    "mfcc": MfccConfig(),
    "mfcc-overlapping": MfccConfig(frame_length=0.025, frame_stride=0.01, fft_length=512, win_size=11),
    "mfe": MfeConfig(),
    "logmel": LogMelConfig(),
}


def on_core(core, config, frames, signal, previous, fixed, folder):
    """Floats and bytes that an emulated core makes of the samples."""
    sources = write_sources(folder / "sources", config, frames)
    flags = ("-O2", f"-DKWS_FRONTEND_FIXED={int(fixed)}")
    (folder / "main.c").write_text(CLIP.replace("PREVIOUS", str(previous)))
    objects = compile_sources(sources, find_target(core), folder, hooks=None, flags=flags)
    firmware = link(objects, folder, "clip", harness=(*BASE, folder / "main.c"))
    run(firmware, folder / "run", {"samples.bin": signal.astype("<i2").tobytes()})
    written = (folder / "run" / "features.bin").read_bytes()
    size = len(written) // 5
    shape = (frames, size // frames)
    return np.frombuffer(written[: 4 * size], "<f4").reshape(shape), np.frombuffer(
        written[4 * size :], np.int8
    ).reshape(shape)


@pytest.mark.parametrize("core,fixed", [("cortex-m3", True), ("cortex-m4", True), ("cortex-m4", False)])
@pytest.mark.parametrize("name", CONFIGS)
def test_emulated_core_computes_what_the_host_does(name, core, fixed, tmp_path):
    config = CONFIGS[name]
    host = Library(tmp_path / "host", config, FRAMES, fixed)
    signal = noise(host.window, 11)
    features, quantised = on_core(core, config, FRAMES, signal, -77, fixed, tmp_path)
    host.reset(-77)
    assert host.push(signal) == FRAMES
    if fixed:
        np.testing.assert_array_equal(features, host.features())
        np.testing.assert_array_equal(quantised, host.quantized(0.0331, 8))
        return
    np.testing.assert_array_equal(quantised, quantise(features, 0.0331, 8))
    # the core fuses products with sums, the host does not
    np.testing.assert_allclose(features, host.features(), rtol=0, atol={"mfe": 1 / 256, "logmel": 6e-4}.get(name, 1e-4))


@pytest.mark.parametrize("name", ["mfcc_v4_default_1s", "mfcc_v4_fl025_fs010_fft512_nf40_w301", "mfe_v4_default40_1s"])
def test_golden_vectors_on_an_emulated_core(name, tmp_path):
    golden = load(name)
    frames = len(golden.features)
    config = golden.config
    used = golden.signal[: (frames - 1) * config.stride_samples + min(config.frame_samples, config.fft_length)]
    features, _ = on_core("cortex-m4", config, frames, used, int(golden.signal[-1]), False, tmp_path)
    np.testing.assert_allclose(features, compute_float64(golden.signal, config), rtol=0, atol=1e-3)


def test_mfcc_frame_is_within_12000_instructions(tmp_path):
    sources = write_sources(tmp_path, MfccConfig(), 50)
    counts = count_source(sources, FRAME, "cortex-m4")["kws_frontend_push"]
    assert len(counts) == 1 and counts[0] <= 12_000
