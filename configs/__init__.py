"""The configs that come with ganjax; see default.py."""
