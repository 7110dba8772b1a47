"""Measurements of the product. It is imported by nothing of the product, and the wheel leaves it out."""
