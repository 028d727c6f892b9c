import json

import numpy as np
from clip_folders import class_folder, write

from kws_dendrite.data import TaskConfig, load_dataset, outline, summarise


def test_counts_clipped_and_silent(tmp_path):
    class_folder(tmp_path, {"on": 9, "off": 6})
    write(tmp_path / "on" / "s0-0.wav", np.full(16000, 32767, np.int16))
    write(tmp_path / "on" / "s1-1.wav", np.zeros(16000, np.int16))
    dataset = load_dataset(tmp_path, TaskConfig(speaker_pattern=r"/(?P<speaker>s\d)-"))
    seen = []
    summary = summarise(dataset, lambda done, total: seen.append((done, total)))
    off, on = summary.classes
    assert (on.label, sum(on.clips.values()), on.speakers, on.seconds) == ("on", 9, 6, 9.0)
    assert (on.clipped, on.silent, off.clipped, off.silent) == (1, 1, 0, 0)
    assert seen[-1] == (15, 15)
    values = json.loads(json.dumps(summary.to_json(), allow_nan=False))
    assert values["classes"][1]["clipped"] == 1 and values["clips"]["train"] == outline(dataset)["clips"]["train"]


def test_the_digest_follows_names_and_sizes_not_the_place(tmp_path):
    first = class_folder(tmp_path / "a", {"on": 6, "off": 6})
    second = class_folder(tmp_path / "b", {"on": 6, "off": 6})
    digests = {outline(load_dataset(folder))["digest"] for folder in (first, second)}
    assert len(digests) == 1
    write(second / "on" / "s0-0.wav", np.ones(15000, np.int16))
    assert outline(load_dataset(second))["digest"] not in digests
