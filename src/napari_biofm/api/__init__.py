"""The functions that scripts, the command line and the docks call: one module a subject.

`import napari_biofm as biofm` offers them all as `biofm.segment`, `biofm.read_recording` and so on, imported when
they are used first. Every function returns its result; long ones take `progress`, a callable that hears each step.
"""
