"""Faulty files as TensorFlow's own converter makes them; run in a child process: faulty_conversions.py FOLDER.

Each is a small Keras net as another project might convert it, with one thing done wrong.
"""

import os
import sys
from pathlib import Path

import numpy as np

FEATURES, CLASSES = 60, 3


def main(folder: Path) -> None:
    """Write them all."""
    import tensorflow as tf

    layers, builtins = tf.keras.layers, tf.lite.OpsSet
    random = np.random.default_rng(0)

    def net(batch=1, last="softmax", hidden=0, extra=None):
        tf.keras.utils.set_random_seed(1)
        source = tf.keras.Input(batch_shape=(batch, FEATURES))
        here = layers.Reshape((12, 5))(source)
        here = layers.Conv1D(4, 3, padding="same", activation="relu")(here)
        here = extra(here) if extra else here
        here = layers.Flatten()(here)
        here = layers.Dense(hidden, activation="relu")(here) if hidden else here
        return tf.keras.Model(source, layers.Dense(CLASSES, activation=last)(here))

    def rows():
        for _ in range(10):
            yield [random.standard_normal((1, FEATURES)).astype(np.float32)]

    def write(name, model, ends=tf.int8, dense_per_channel=False, ops=builtins.TFLITE_BUILTINS_INT8, data=rows):
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if data is not None:
            converter.representative_dataset = data
            converter.target_spec.supported_ops = [ops]
            if ends is not None:
                converter.inference_input_type = converter.inference_output_type = ends
        converter._experimental_disable_per_channel_quantization_for_dense_layers = not dense_per_channel
        (folder / f"{name}.tflite").write_bytes(converter.convert())

    write("right", net())
    write("dense_per_channel", net(), dense_per_channel=True)
    write("uint8", net(), ends=tf.uint8)
    write("float_ends", net(), ends=None)
    write("open_batch", net(batch=None))
    write("no_softmax", net(last=None))
    write("dynamic_range", net(hidden=64), data=None)
    write("int16", net(), ends=tf.int16, ops=builtins.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8)
    converter = tf.lite.TFLiteConverter.from_keras_model(net(extra=lambda x: layers.Lambda(tf.math.erf)(x)))
    converter.target_spec.supported_ops = [builtins.TFLITE_BUILTINS, builtins.SELECT_TF_OPS]
    (folder / "flex.tflite").write_bytes(converter.convert())


if __name__ == "__main__":
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1", TF_ENABLE_ONEDNN_OPTS="0")
    main(Path(sys.argv[1]))
