"""A Dockerfile, taken apart; and the learning block's folder put together around a wheel that holds nothing."""

import json
import re
import runpy
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = ROOT / "export" / "edge_impulse" / "block"


@dataclass(frozen=True)
class Step:
    """One instruction: its name in capitals, and the rest of it on one line."""

    name: str
    text: str

    @property
    def commands(self):
        """A RUN's commands, one by one."""
        return [part.strip() for part in self.text.split("&&")]

    @property
    def words(self):
        """The exec form's words; None for the shell form."""
        return json.loads(self.text) if self.text.startswith("[") else None


def steps(path):
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [Step(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def assemble(folder, wheel=None):
    runpy.run_path(str(BLOCK / "assemble.py"))["assemble"](folder, wheel)
    return folder
