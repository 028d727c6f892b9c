"""The device's side of the front end: Edge Impulse's configuration struct, filled, and the call that takes it.

Fields are set by name. Edge Impulse's page fills the struct by position, and projects of later SDKs have two more
fields (`named_axes`, `named_axes_size`) before the first setting. Source: Edge Impulse, "Bring your own model"; the
SDK's `ei_run_dsp.h` (extract_mfcc_features, extract_mfe_features).
"""

from kws_dendrite.export.edge_impulse.model import BundleModel
from kws_dendrite.frontend import FrontEndConfig, LogMelConfig, MfccConfig

HEADER = "kws_features.h"
_FIELDS = {  # in the struct's order
    "mfcc": (
        "num_cepstral", "frame_length", "frame_stride", "num_filters", "fft_length", "win_size", "low_frequency",
        "high_frequency", "pre_cof", "pre_shift",
    ),
    "mfe": (
        "frame_length", "frame_stride", "num_filters", "fft_length", "low_frequency", "high_frequency", "win_size",
        "noise_floor_db",
    ),
}  # fmt: skip


def features_header(model: BundleModel) -> str:
    """`kws_features.h`: `kws_extract_features(audio, features)` for the model's front end.

    MFCC and MFE call Edge Impulse's SDK; log-mel calls this project's C front end, whose sources have to be beside it.
    """
    assert model.frontend is not None and model.shape is not None
    config, (frames, width) = model.frontend, model.shape
    own = isinstance(config, LogMelConfig)
    body = _own(config) if own else _sdk(config)
    include = '\n#include "kws_frontend.h"' if own else ""
    return f"""/* SPDX-License-Identifier: Apache-2.0 */
/* Sound to the features that the model was trained on. C++, as Edge Impulse's SDK is. Written by kws_dendrite.
 *
 * audio: one whole window of KWS_SAMPLES int16 samples as float, NOT scaled to +-1 (ei::numpy::int16_to_float).
 * features: a matrix of KWS_FRAMES x KWS_COEFFICIENTS; comes back flat, frame after frame, as the model reads them.
 */
#ifndef KWS_FEATURES_H
#define KWS_FEATURES_H

#include "edge-impulse-sdk/classifier/ei_run_classifier.h"{include}

#define KWS_FREQUENCY {_number(float(config.sampling_freq))} /* Hz */
#define KWS_SAMPLES {model.samples}
#define KWS_FRAMES {frames}
#define KWS_COEFFICIENTS {width}

{body}
#endif
"""


def _sdk(config: FrontEndConfig) -> str:
    block = "mfcc" if isinstance(config, MfccConfig) else "mfe"
    values = {"block_id": 1, "implementation_version": config.implementation_version, "axes": 1}
    values |= {name: getattr(config, name) for name in _FIELDS[block]}
    lines = "\n".join(f"    config.{name} = {_number(value)};" for name, value in values.items())
    struct = f"ei_dsp_config_{block}_t"
    return f"""/* By name: the struct has more fields in some projects, and these are then zero. */
static inline {struct} kws_features_config(void) {{
    {struct} config = {{}};
{lines}
    return config;
}}

/* EIDSP_OK, or the SDK's error. */
static inline int kws_extract_features(ei::signal_t *audio, ei::matrix_t *features) {{
    {struct} config = kws_features_config();
    return extract_{block}_features(audio, features, &config, KWS_FREQUENCY);
}}
"""


def _own(config: LogMelConfig) -> str:
    return f"""/* log-mel of {config.num_filters} bands, which no block of Edge Impulse computes: this calls
 * kws_dendrite's own front end. Add kws_frontend*.c and kws_frontend*.h to the firmware. */
static inline int kws_extract_features(ei::signal_t *audio, ei::matrix_t *features) {{
    static kws_frontend frontend; /* its size is known: no allocation */
    float piece[KWS_FRONTEND_FRAME_STRIDE];
    int16_t samples[KWS_FRONTEND_FRAME_STRIDE];

    if (audio->total_length < KWS_SAMPLES || features->rows * features->cols < KWS_FRAMES * KWS_COEFFICIENTS) {{
        return EIDSP_MATRIX_SIZE_MISMATCH;
    }}
    kws_frontend_reset(&frontend, 0);
    for (size_t at = 0; at < KWS_SAMPLES; at += KWS_FRONTEND_FRAME_STRIDE) {{
        size_t count = KWS_SAMPLES - at;
        if (count > KWS_FRONTEND_FRAME_STRIDE) {{
            count = KWS_FRONTEND_FRAME_STRIDE;
        }}
        int result = audio->get_data(at, count, piece);
        if (result != EIDSP_OK) {{
            return result;
        }}
        for (size_t i = 0; i < count; i++) {{
            samples[i] = (int16_t)piece[i];
        }}
        kws_frontend_push(&frontend, samples, count);
    }}
    kws_frontend_features(&frontend, features->buffer);
    features->rows = 1;
    features->cols = KWS_FRAMES * KWS_COEFFICIENTS;
    return EIDSP_OK;
}}
"""


def _number(value: float) -> str:
    """A C literal: float with its suffix, integers as they are."""
    if isinstance(value, int):
        return str(value)
    text = repr(float(value))
    return f"{text}f" if "e" in text or "." in text else f"{text}.0f"
