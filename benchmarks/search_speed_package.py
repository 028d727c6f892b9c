"""The loop that the perforatedai package prescribes, timed: run by search_speed.py with the package's own Python.

    PYTHON benchmarks/search_speed_package.py FEATURES.npz --epochs 10 --batch 32

Only what its public documentation says is used: convert the net, hand the tracker the optimiser and the scheduler,
give it the validation score after every epoch, set the optimiser up again when it has changed the net. Its open mode
trains dendrites by gradients; half way through one dendrite is added to every layer.
"""

import argparse
import json
import sys
import time

import numpy as np
import torch
from perforatedai import globals_perforatedai as GPA
from perforatedai import utils_perforatedai as UPA
from search_speed_nets import PaperNet, TimedSplit
from torch.utils.data import DataLoader, TensorDataset


def main() -> None:
    """Train once; the last line on standard output is a JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("features")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with np.load(options.features) as data:
        x, y, held, labels = (torch.from_numpy(data[name]) for name in ("x", "y", "validation", "validation_labels"))
    GPA.pc.set_testing_dendrite_capacity(False)
    GPA.pc.set_configuration_confirmed(True)  # it asks questions at a terminal otherwise
    GPA.pc.set_unwrapped_modules_confirmed(True)
    GPA.pc.set_verbose(False)
    GPA.pc.set_switch_mode(GPA.pc.DOING_FIXED_SWITCH)
    GPA.pc.set_fixed_switch_num(options.epochs // 2)
    GPA.pc.set_first_fixed_switch_num(options.epochs // 2)
    GPA.pc.set_max_dendrites(1)

    whole, training, tracking = TimedSplit(), TimedSplit(), TimedSplit()
    with whole:
        model = UPA.perforate_model(PaperNet(x.shape[1], x.shape[2], int(labels.max()) + 1))
        tracker = GPA.pai_tracker
        tracker.set_optimizer(torch.optim.Adam)
        tracker.set_scheduler(torch.optim.lr_scheduler.ReduceLROnPlateau)

        def set_up() -> torch.optim.Optimizer:
            settings = {"params": model.parameters(), "lr": 0.01}
            return tracker.setup_optimizer(model, settings, {"mode": "max", "patience": 5})[0]

        optimizer = set_up()
        loader = DataLoader(TensorDataset(x, y), options.batch, shuffle=True, drop_last=True)
        epochs = restructured = 0
        while epochs < options.epochs:
            with training:
                model.train()
                for features, targets in loader:
                    loss = torch.nn.functional.cross_entropy(model(features), targets)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                model.eval()
                with torch.no_grad():
                    score = (model(held).argmax(1) == labels).float().mean().item()
            epochs += 1
            with tracking:
                model, changed, complete = tracker.add_validation_score(score, model)
            restructured += bool(changed)
            if complete:
                break
            if changed:
                optimizer = set_up()
    figures = {"epochs": epochs, "restructured": restructured, "torch": torch.__version__}
    for name, split in (("whole", whole), ("training", training), ("tracking", tracking)):
        figures[name] = {"wall": split.wall, "cpu": split.cpu}
    sys.stdout.flush()
    print("\n" + json.dumps(figures | {"finished": time.time()}))


if __name__ == "__main__":
    main()
