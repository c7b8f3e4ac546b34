"""Trains models/growth: does the team grow by a fifth and by two people within six months?"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'training'))
import fit  # noqa: E402
import frame  # noqa: E402

# Counts that only grow with the time a company has been watched are left out: their range moves away from the training's.
INPUTS = fit.PROFILE + [('team_size_edits', 'number'), ('hiring_changes', 'number'), ('team_trend', 'number'),
                        ('edits_per_year', 'number')]
SPEC = dict(name='growth', version='1', classes=['steady', 'growing'], train_until='2024-02-13',
            test_from='2024-08-13', test_until='2025-01-15')

if __name__ == '__main__':
    fit.fit(HERE, SPEC, INPUTS, frame.grows, 181)
