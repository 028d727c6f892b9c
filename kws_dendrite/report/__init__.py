"""Plots, terminal tables and the self-contained HTML report; it reads results and makes none.

    from kws_dendrite.report.page import write_report          a run folder -> report.html
    from kws_dendrite.report.pareto import plot_front          trials -> PNG, SVG
    from kws_dendrite.report.terminal import front_table, artefact_table

Nothing is imported here: a terminal table should not have to wait for matplotlib.
"""
