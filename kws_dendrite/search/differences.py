"""In what two searches differ, for a person who resumes one."""

import json
from collections.abc import Mapping
from typing import Any


def rule_option(before: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """What to give for the same rule of stopping, whose default follows from the arms."""
    stops, stops_here = (value.get("stopping", {}).get("hopeless") for value in (before, here))
    if stops is None or stops == stops_here:
        return ""
    return f" (--{'' if stops else 'no-'}stop-hopeless)"


def differences(before: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Names of what differs, with what it was and is where that is short; of a group of settings, the settings."""
    names = []
    for name in [*here, *(name for name in before if name not in here)]:
        old, new = before.get(name), here.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            differ = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
            names += [f"{name} {key}{_change(old.get(key), new.get(key))}" for key in differ]
        elif old != new:
            names.append(f"{name}{_change(old, new)}")
    return names


def _change(old: Any, new: Any) -> str:
    shown = [value if isinstance(value, str) else json.dumps(value) for value in (old, new)]
    known = not any(isinstance(value, dict) or value is None for value in (old, new))
    return f" ({shown[0]}, here {shown[1]})" if known and len("".join(shown)) <= 60 else ""
