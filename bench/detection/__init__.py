"""How often the rules are wrong and how late they are right, over simulated publishes: `python -m bench.detection`."""
