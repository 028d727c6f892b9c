"""What an artefact costs to run: on the host now; on Cortex-M in an emulator and on boards later."""
