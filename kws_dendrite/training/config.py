"""Settings of training, checked when made. The defaults are the recipe's own."""

import math
from dataclasses import dataclass

from kws_dendrite.errors import ConfigError


@dataclass(frozen=True)
class TrainConfig:
    """Attributes:
    epochs: of one cosine cycle.
    batch_size: clips a member a step.
    learning_rate: of AdamW at the top of the cycle.
    weight_decay: on weights alone, not on biases, BatchNorm or anything of a dendrite.
    label_smoothing: share of the target spread over all classes.
    warmup_epochs: linear rise from 0.
    patience: end a cycle when no member's validation loss has improved on the cycle's lowest for so many epochs; 0
        never does.
    clean_share: how often a clip is drawn as recorded and not from an augmented copy.
    shift_frames: features are shifted by up to so many frames either way, edges repeated.
    time_mask, frequency_mask: longest mask in frames and in coefficients, one each a clip; 0 is off.
    stretch: clips are played faster or slower in frames by up to this share, about their middle; 0 is off.
    colouring: deviation, in the features' unit, of a random smooth curve over the coefficients, one a clip, as another
        microphone or room adds it to log energies; 0 is off.
    word_balance: a clip is drawn in proportion to the -word_balance-th power of the number of clips of its word (of its
        class, where the bank names no words): 0 draws each clip once an epoch, 1 every word equally often.
    mixup: each clip is mixed with another one of its batch, with shares drawn from Beta(mixup, mixup); 0 is off.
    distillation: share of the teacher in the loss; needs a bank with a teacher's logits; 0 is off.
    temperature: of the teacher's and the net's probabilities in that share.
    average: weights and statistics that are validated and kept are exponential averages over the steps, of this
        decay; 0 is off.
    """

    epochs: int = 100
    batch_size: int = 128
    learning_rate: float = 0.03
    weight_decay: float = 1e-3
    label_smoothing: float = 0.05
    warmup_epochs: float = 1.0
    patience: int = 0
    clean_share: float = 0.1
    shift_frames: int = 2
    time_mask: int = 0
    frequency_mask: int = 0
    stretch: float = 0.0
    colouring: float = 0.0
    word_balance: float = 0.0
    mixup: float = 0.0
    distillation: float = 0.0
    temperature: float = 1.0
    average: float = 0.0

    @property
    def softened(self) -> bool:
        """Whether targets are more than labels."""
        return self.mixup > 0 or self.distillation > 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2 or self.patience < 0:
            raise ConfigError(
                "epochs is at least 1, batch_size at least 2 (BatchNorm needs two), patience at least 0; "
                f"got {self.epochs}, {self.batch_size} and {self.patience}"
            )
        rates = (self.learning_rate, self.weight_decay, self.warmup_epochs)
        if not all(math.isfinite(rate) and rate >= 0 for rate in rates) or self.learning_rate == 0:
            raise ConfigError(
                "learning_rate is above 0, weight_decay and warmup_epochs at least 0, and all three finite; "
                f"got {self.learning_rate}, {self.weight_decay} and {self.warmup_epochs}"
            )
        if not 0 <= self.label_smoothing < 1 or not 0 <= self.clean_share <= 1:
            raise ConfigError(
                "label_smoothing is in [0, 1) and clean_share in [0, 1]; "
                f"got {self.label_smoothing} and {self.clean_share}"
            )
        if min(self.shift_frames, self.time_mask, self.frequency_mask) < 0:
            raise ConfigError(
                "shift_frames, time_mask and frequency_mask are at least 0; "
                f"got {self.shift_frames}, {self.time_mask} and {self.frequency_mask}"
            )
        if not all(math.isfinite(value) and value >= 0 for value in (self.colouring, self.mixup)):
            raise ConfigError(f"colouring and mixup are finite and at least 0; got {self.colouring} and {self.mixup}")
        if not 0 <= self.stretch < 1 or not 0 <= self.average < 1:
            raise ConfigError(f"stretch and average are in [0, 1); got {self.stretch} and {self.average}")
        if not 0 <= self.word_balance <= 1 or not 0 <= self.distillation <= 1:
            raise ConfigError(
                f"word_balance and distillation are in [0, 1]; got {self.word_balance} and {self.distillation}"
            )
        if not 0 < self.temperature <= 100:
            raise ConfigError(f"temperature is above 0 and at most 100; got {self.temperature}")
