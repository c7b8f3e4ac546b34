"""Trains models/risk: does an active company become inactive within twelve months?"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'training'))
import fit  # noqa: E402
import frame  # noqa: E402

# Only the profile: a year before the test period the history is at most 75 days long, so activity learnt then misleads.
INPUTS = fit.PROFILE
SPEC = dict(name='risk', version='1', classes=['stable', 'at_risk'], train_until='2023-04-13',
            test_from='2024-04-13', test_until='2024-05-31')

if __name__ == '__main__':
    fit.fit(HERE, SPEC, INPUTS, frame.becomes_inactive, 366)
