"""A Genesys Cloud to run the demo, drills and tests against.

Written from the documentation of Genesys Cloud and importing nothing of the
other packages, so that a mistake of theirs cannot hide here.

Every duration in a scenario, an event, a fault or a setting is in *simulated*
seconds; the clock is the real one. A time factor of 10 divides every duration
by ten and multiplies every rate by ten, so that a day passes in 2.4 hours.
"""
