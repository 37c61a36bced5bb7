"""The compact image model shipped with the package: masks, clicks and cell vectors without a download.

Importing this package is cheap; torch is loaded when a model is built.
"""
