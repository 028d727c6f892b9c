"""STEPS.md: what to type on Edge Impulse's pages, and what has to be on the device, for one model."""

from collections.abc import Mapping

import numpy as np

from kws_dendrite import __version__
from kws_dendrite.export.edge_impulse import c_struct, vector
from kws_dendrite.export.edge_impulse.model import FLOAT, INT8, ONNX, BundleModel, Vector
from kws_dendrite.frontend import LogMelConfig, MfccConfig, to_json

REPRESENTATIVE = "representative_features.npy"
STUDIO_LINE = "test_features.txt"
_SHOWN = 4  # clips whose scores are in the table


def steps_text(model: BundleModel, chosen: Vector, *, rows: int, from_data: bool, sizes: Mapping[str, int]) -> str:
    """The page as Markdown.

    Args:
        model: the bundle.
        chosen: the test vector.
        rows: clips among the representative features.
        from_data: they are training clips; else no more than the bundle's test vector.
        sizes: file name -> bytes, of what the page names.
    """
    parts = [
        f"# {len(model.labels)} words in Edge Impulse",
        f"Model of {model.features:,} features to {len(model.labels)} labels, int8 in and out. Every value below is to "
        "be typed as it stands.",
        _files(sizes, rows, from_data, chosen),
        "## 1. Upload",
        _upload(),
        "## 2. Process",
        _process(model),
        "## 3. Check in Studio",
        _check(model, chosen),
        "## 4. Deploy",
        "*Deployment*: *C++ library*; model optimisations: *Quantized (int8)*; TensorFlow Lite or EON Compiler, both "
        "run this model. *Build*, and unpack the zip.",
        "## 5. Features on the device",
        _front_end(model, chosen),
        "## The same from the command line",
        "    export EI_API_KEY=...      # a project key with the role Admin\n"
        "    kws-dendrite edge-impulse profile BUNDLE --device cortex-m4f-80mhz\n"
        "    kws-dendrite edge-impulse deploy BUNDLE --device cortex-m4f-80mhz --out library.zip",
        f"Written by kws-dendrite {__version__}.",
    ]
    return "\n\n".join(parts) + "\n"


def _files(sizes: Mapping[str, int], rows: int, from_data: bool, chosen: Vector) -> str:
    clips = (
        f"{rows} training clips" if from_data else f"the bundle's {rows} test clips alone (`pack --data` takes more)"
    )
    what = {
        INT8: "the model, int8: upload this one",
        FLOAT: "the same in float32",
        ONNX: "the same in float32, for a project that is to quantise it itself",
        REPRESENTATIVE: f"float32 (N, T*F), {clips}: for the ONNX file only",
        "labels.txt": "labels, one a line, in order",
        "frontend.json": "the front end's settings",
        c_struct.HEADER: "sound to features on the device",
        vector.HEADER: "test vector as C arrays",
        vector.EXAMPLE: "a main() that checks the device against it",
        "test_vector.json": "the same for any language",
        STUDIO_LINE: "the first clip's features, to paste in Studio",
        "test_audio.wav": "the first clip's sound",
    }
    lines = ["| file | bytes | what |", "|---|---:|---|"]
    return "\n".join(
        lines + [f"| `{name}` | {sizes[name]:,} | {text} |" for name, text in what.items() if name in sizes]
    )


def _upload() -> str:
    return f"""In a project of its own (an upload replaces the project's model): *Dashboard*, *Upload your model*.

| field | value |
|---|---|
| Upload your trained model | `{INT8}` |
| Model performance | *Yes*, and your device; *Cortex-M4F 80MHz* if in doubt |
| Upload representative features | leave empty: Edge Impulse quantises no TFLite file, and this one is int8 already |

If you would rather have Edge Impulse quantise: upload `{ONNX}` with `{REPRESENTATIVE}`. Its int8 file is then not the
one that was measured here; compare with the scores below."""


def _process(model: BundleModel) -> str:
    return f"""| field | value |
|---|---|
| Model input | *Other* (the audio input takes raw sound, and no processing block can be put before it) |
| Model output | *Classification* |
| Output labels | `{", ".join(model.labels)}` |

The order counts: it is the order of the outputs. The model's input shape has to show as (1, {model.features}), its
output shape as (1, {len(model.labels)}). Then *Save model*."""


def _check(model: BundleModel, chosen: Vector) -> str:
    order = list(range(min(_SHOWN, len(chosen.features))))
    head = "| clip | it is | " + " | ".join(model.labels) + " |"
    rule = "|---|---|" + "---:|" * len(model.labels)
    rows = [
        f"| {row + 1} | {model.labels[int(chosen.labels[row])]} | "
        + " | ".join(f"{score:.4f}" for score in chosen.scores[row])
        + " |"
        for row in order
    ]
    wrong = [row for row in order if int(np.argmax(chosen.scores[row])) != int(chosen.labels[row])]
    note = "\n\nThe model is wrong about some of these clips: what is checked is that the numbers are these." * bool(
        wrong
    )
    return (
        f"*Check model behavior*: paste the line of `{STUDIO_LINE}`. The scores have to be those of clip 1, to 0.008 "
        f"(two steps of int8).\n\n" + "\n".join([head, rule, *rows]) + note
    )


def _front_end(model: BundleModel, chosen: Vector) -> str:
    if model.frontend is None:
        return (
            "**The front end is not known here**: the model was trained on features that a processing block had made. "
            "An uploaded model has none, so the device must compute them: take the parameters from that project's "
            "processing block page, fill `ei_dsp_config_mfcc_t` (or `_mfe_t`) with them, call `extract_mfcc_features` "
            f"and give its {model.features:,} values to `run_classifier`. If the model is to live behind that block, "
            "train it with the custom learning block instead."
        )
    config = model.frontend
    values = "\n".join(f"| `{name}` | {value} |" for name, value in to_json(config).items() if name != "block")
    table = f"| setting | value |\n|---|---:|\n{values}"
    if isinstance(config, LogMelConfig):
        return f"""**The features are log-mel, which no block of Edge Impulse computes.** Neither the MFCC nor the
MFE block gives the same numbers, and the model is wrong on theirs. One of:

1. Take this project's C front end into the firmware: `kws_frontend*.c` and `kws_frontend*.h` are here, and
   `{c_struct.HEADER}` calls them. It costs what `kws-dendrite benchmark` says.
2. Use no Edge Impulse at run time: the bundle's `c/` has model, front end and detector.
3. In a Studio project with data: put the front end into a custom processing block of your own, or upload these features
   in place of sound behind a *Raw data* block. Nothing of that kind is packed here.
4. Train again with `--frontend mfcc` or `--frontend mfe`: then Edge Impulse's own device code computes the features.

{table}

{_use(chosen)}"""
    block = "MFCC" if isinstance(config, MfccConfig) else "MFE"
    struct, call = f"ei_dsp_config_{block.lower()}_t", f"extract_{block.lower()}_features"
    return f"""An uploaded model has no processing block: the firmware calls Edge Impulse's own {block} code, then the
classifier. `{c_struct.HEADER}` fills `{struct}` with these values and calls `{call}`:

{table}

{_use(chosen)}

* A whole window at a time, with `run_classifier`. `run_classifier_continuous` computes the features slice by slice, and
  they are slightly others.
* Samples are int16 as they come from the microphone, not scaled to +-1.
* Digital silence has no variance to normalise by, and single precision makes noise of it. Training adds dither to
  every clip; on the device, leave out windows that are all zero, or add a step of noise."""


def _use(chosen: Vector) -> str:
    sound = chosen.audio is not None
    check = (
        "It prints `features: worst difference` (below 0.01) and `scores: worst difference` (to 0.008)."
        if sound
        else "It prints `scores: worst difference` (to 0.008). Packed with `--data`, it checks the features too."
    )
    return f"Compile `{vector.EXAMPLE}` with the unpacked library, `{c_struct.HEADER}` and `{vector.HEADER}`. {check}"
