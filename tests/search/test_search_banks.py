from dataclasses import replace

import numpy as np
import pytest
from test_search_study import bank

from kws_dendrite.data.augment import AugmentConfig
from kws_dendrite.errors import ConfigError
from kws_dendrite.frontend import LogMelConfig, MfccConfig
from kws_dendrite.search.banks import LEAST_ROOM, MOST_ROOM, Banks, default_room, halved

FRONTENDS = [LogMelConfig(num_filters=bands) for bands in (16, 24, 32)]
SIZE = 12 * 4 * 24 * 2 + 12 * 4 * 24 * 4 + 2 * 24 * 8  # half precision in training, single in validation, labels


def loader():
    calls = []

    def load(frontend, augment):
        calls.append((frontend, augment))
        return replace(bank(), frontend={"bands": getattr(frontend, "num_filters", 0)})

    return load, calls


def test_each_bank_is_made_once():
    load, calls = loader()
    banks = Banks(load)
    first = banks.get(FRONTENDS[0], AugmentConfig())
    assert banks.get(FRONTENDS[0], AugmentConfig()) is first and first.frontend == {"bands": 16}
    banks.get(FRONTENDS[0], AugmentConfig(copies=2))
    banks.get(MfccConfig(), AugmentConfig())
    assert calls == [
        (FRONTENDS[0], AugmentConfig()), (FRONTENDS[0], AugmentConfig(copies=2)), (MfccConfig(), AugmentConfig())
    ]  # fmt: skip
    assert (banks.held.banks, banks.held.bytes, banks.held.loads) == (3, 3 * SIZE, 3)


def test_the_least_recently_used_is_given_up_first():
    load, calls = loader()
    banks, augment = Banks(load, 2 * SIZE), AugmentConfig()
    for k in (0, 1, 0, 2):  # 1 has to go for 2
        banks.get(FRONTENDS[k], augment)
    assert banks.held.banks == 2 and banks.held.bytes <= 2 * SIZE
    banks.get(FRONTENDS[0], augment)
    assert len(calls) == 3
    banks.get(FRONTENDS[1], augment)
    assert len(calls) == 4


def test_the_one_in_use_stays_whatever_it_takes():
    load, calls = loader()
    banks = Banks(load, 1)
    for _ in range(3):
        assert banks.get(FRONTENDS[0], AugmentConfig()).train.any()
    assert len(calls) == 1 and banks.held.banks == 1


def test_a_bank_that_is_there_is_not_made_again():
    load, calls = loader()
    banks = Banks(load, first=((FRONTENDS[0], AugmentConfig()), bank()))
    banks.get(FRONTENDS[0], AugmentConfig())
    assert not calls


def test_training_features_are_kept_at_half_precision_where_that_holds_them():
    own = bank()
    kept = halved(own)
    assert kept.train.dtype == np.float16 and kept.validation.dtype == np.float32
    np.testing.assert_allclose(kept.train, own.train, atol=2e-3)
    assert halved(kept) is kept
    large = replace(own, train=own.train + 1e6)
    assert halved(large) is large


def test_room():
    assert LEAST_ROOM <= default_room() <= MOST_ROOM
    with pytest.raises(ConfigError, match="at least a byte"):
        Banks(loader()[0], 0)
