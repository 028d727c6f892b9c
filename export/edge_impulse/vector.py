"""The test vector: clips, and the scores that Studio, the device and any other runtime have to give for them."""

import json

import numpy as np

from kws_dendrite.export.edge_impulse.model import BundleModel, Vector

HEADER = "kws_test_vector.h"
EXAMPLE = "example.cpp"
STEP = 1 / 256  # of an int8 score


def vector_json(model: BundleModel, vector: Vector) -> str:
    """Everything, for any language."""
    value = {
        "labels": list(model.labels),
        "input": _quantization(model.int8.input),
        "output": _quantization(model.int8.output),
        "audio": None if vector.audio is None else vector.audio.tolist(),
        "clips": [
            {
                "label": model.labels[int(label)],
                "features": [float(str(value)) for value in features],  # float32's shortest decimals
                "scores": scores.tolist(),
                "int8_input": quantized.tolist(),
                "int8_output": out.tolist(),
            }
            for features, label, scores, quantized, out in zip(
                vector.features, vector.labels, vector.scores, vector.int8_input, vector.int8_output, strict=True
            )
        ],
    }
    return json.dumps(value) + "\n"


def studio_line(vector: Vector) -> str:
    """The first clip's features with commas between, as Studio takes pasted features."""
    return ", ".join(str(value) for value in vector.features[0]) + "\n"


def vector_header(model: BundleModel, vector: Vector) -> str:
    """`kws_test_vector.h`: the clips as C arrays."""
    rows, width = vector.features.shape
    audio = ""
    if vector.audio is not None:
        audio = f"""
#define KWS_TEST_AUDIO {len(vector.audio)}
/* The first clip's sound; its features are the first row. */
static const int16_t kws_test_audio[KWS_TEST_AUDIO] = {{
{_wrapped(vector.audio)}
}};
"""
    names = ", ".join(json.dumps(label) for label in model.labels)
    return f"""/* SPDX-License-Identifier: Apache-2.0 */
/* Clips, and what the int8 model says of them. Written by kws_dendrite. */
#ifndef KWS_TEST_VECTOR_H
#define KWS_TEST_VECTOR_H

#include <stdint.h>

#define KWS_TEST_CLIPS {rows}
#define KWS_TEST_FEATURES {width}
#define KWS_TEST_LABELS {len(model.labels)}
{audio}
static const char *const kws_test_labels[KWS_TEST_LABELS] = {{{names}}};

static const float kws_test_features[KWS_TEST_CLIPS][KWS_TEST_FEATURES] = {{
{_table(vector.features)}
}};

/* Probabilities, in the labels' order; int8 has steps of 1/256. */
static const float kws_test_scores[KWS_TEST_CLIPS][KWS_TEST_LABELS] = {{
{_table(vector.scores)}
}};

#endif
"""


def example_source(vector: Vector) -> str:
    """`example.cpp`: the check on the device, as a main() to take pieces from. Needs the deployed C++ library."""
    sound = vector.audio is not None
    audio = """
static int audio_get_data(size_t offset, size_t length, float *out) {
    return ei::numpy::int16_to_float(kws_test_audio + offset, out, length);
}

/* The front end on the device against the features that the model was trained on. */
static void check_features(void) {
    ei::signal_t audio;
    ei::matrix_t features(KWS_FRAMES, KWS_COEFFICIENTS);
    float worst = 0.0f;

    audio.total_length = KWS_TEST_AUDIO;
    audio.get_data = &audio_get_data;
    int result = kws_extract_features(&audio, &features);
    if (result != EIDSP_OK) {
        printf("features: the SDK says %d\\n", result);
        return;
    }
    for (size_t i = 0; i < KWS_TEST_FEATURES; i++) {
        float difference = fabsf(features.buffer[i] - kws_test_features[0][i]);
        worst = difference > worst ? difference : worst;
    }
    printf("features: worst difference %f\\n", (double)worst);
}
"""
    first = "    check_features(); /* below 0.01 */\n" if sound else ""
    include = '#include "kws_features.h"\n' if sound else '#include "edge-impulse-sdk/classifier/ei_run_classifier.h"\n'
    return f"""/* SPDX-License-Identifier: Apache-2.0 */
/* Is the deployed model the one that was trained? Compile with the C++ library that Studio built. By kws_dendrite. */
#include <math.h>
#include <stdio.h>
#include <string.h>

{include}#include "kws_test_vector.h"
{audio if sound else ""}
/* The classifier on the device against the int8 file at the desk. */
static void check_scores(void) {{
    float worst = 0.0f;

    for (size_t clip = 0; clip < KWS_TEST_CLIPS; clip++) {{
        ei::signal_t features;
        ei_impulse_result_t result = {{}};

        ei::numpy::signal_from_buffer(kws_test_features[clip], KWS_TEST_FEATURES, &features);
        EI_IMPULSE_ERROR error = run_classifier(&features, &result, false);
        if (error != EI_IMPULSE_OK) {{
            printf("scores: the classifier says %d\\n", (int)error);
            return;
        }}
        for (size_t label = 0; label < KWS_TEST_LABELS; label++) {{
            if (strcmp(result.classification[label].label, kws_test_labels[label]) != 0) {{
                printf("scores: label %d is %s, expected %s: type the labels again, in order\\n", (int)label,
                       result.classification[label].label, kws_test_labels[label]);
                return;
            }}
            float difference = fabsf(result.classification[label].value - kws_test_scores[clip][label]);
            worst = difference > worst ? difference : worst;
        }}
    }}
    printf("scores: worst difference %f over %d clips\\n", (double)worst, KWS_TEST_CLIPS);
}}

int main(void) {{
{first}    check_scores(); /* int8 deployed: two steps of 1/256 at the most */
    return 0;
}}
"""


def _quantization(detail: dict) -> dict[str, float]:
    scale, zero_point = detail["quantization"]
    return {"scale": float(scale), "zero_point": int(zero_point)}


def _table(values: np.ndarray) -> str:
    return ",\n".join("{\n" + _wrapped(row) + "\n}" for row in values)


def _wrapped(values: np.ndarray) -> str:
    """C literals, twelve a line; float32 in its shortest decimals."""
    texts = [_literal(value) for value in values]
    return ",\n".join("    " + ", ".join(texts[at : at + 12]) for at in range(0, len(texts), 12))


def _literal(value: np.generic) -> str:
    if isinstance(value, np.integer):
        return str(value)
    text = str(np.float32(value))
    return f"{text}f" if any(mark in text for mark in ".e") else f"{text}.0f"
