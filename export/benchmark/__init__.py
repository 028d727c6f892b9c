"""What an artefact costs to run: on this machine, on Cortex-M in an emulator, and on a board that reports by serial."""
