"""Recipes that run on many files: on one machine or a cluster, resumed after a stop, never overwriting."""

from napari_biofm.batch.recipe import Recipe
from napari_biofm.batch.result import BatchResult
from napari_biofm.batch.run import run_recipe

__all__ = ["BatchResult", "Recipe", "run_recipe"]
