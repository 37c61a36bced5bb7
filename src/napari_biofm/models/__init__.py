"""Which model: what is known of it, where its weights lie, and what device runs it."""

from napari_biofm.engine.threads import wait_asleep

wait_asleep()  # before torch is imported: threads that spin make everything slow beside another busy program
