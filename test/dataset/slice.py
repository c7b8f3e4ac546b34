"""A slice of the real directory for training.pg.test.ts: python slice.py COMPANIES UNTIL OUT.json

Writes, date by date, what changes in the CRM (columns, property history, deletions) and which rows training would ask for, with
their labels; and `direct`, the folder in which the model trained without any of Rescore is to be written.
"""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', '..', 'models', 'training'))
sys.path.insert(0, os.path.join(HERE, '..', '..', 'models', 'growth'))
import fit  # noqa: E402
import frame  # noqa: E402
import pandas as pd  # noqa: E402
import train  # noqa: E402


def chosen(rows, count):
    """Companies that are rows of both periods, spread over their ids."""
    periods = [{row['id'] for row in rows if row['date'] <= train.SPEC['train_until']},
               {row['id'] for row in rows if train.SPEC['test_from'] <= row['date'] <= train.SPEC['test_until']}]
    both = sorted(periods[0] & periods[1])
    return set(both[::max(1, len(both) // count)][:count])


def steps(ids, until):
    epoch, written, state = frame.ordinal('1970-01-01'), {}, {}
    for date, _, directory in frame.replay():
        if date > until:
            return
        step = dict(date=date, companies=[], history=[], deleted=[i for i in state if i not in directory.state])
        for i in sorted(ids & directory.state.keys()):
            # When it was launched is a number here and a time in the CRM; no feature reads it.
            columns = {name: value for name, value in frame.crm_columns(directory.state[i]).items() if name != 'yc_launched_at'}
            if state.get(i) != columns:
                step['companies'].append(dict(columns, id=i))
                state[i] = columns
            rows = directory.history[i].rows
            for day, prop, value, source in rows[written.get(i, 0):]:
                text = value if value is None else str(value).lower() if isinstance(value, bool) else str(value)
                step['history'].append(dict(company_id=i, property=prop, value=text, source_type=source,
                                            changed_at=(day - epoch) * 86_400_000))
            written[i] = len(rows)
        for i in step['deleted']:
            del state[i]
        yield step


def main(count, until, out):
    rows = frame.build(frame.grows, 181)
    ids = chosen(rows, count)
    rows = [row for row in rows if row['id'] in ids and row['date'] <= until]
    asked = [dict(id=row['id'], date=row['date'], label=row['label']) for row in rows]
    with open(out, 'w', encoding='utf-8') as file:
        json.dump(dict(steps=list(steps(ids, until)), asked=asked), file)
    folder = os.path.join(os.path.dirname(out), 'direct')
    os.makedirs(folder)
    fit.train(folder, train.SPEC, train.INPUTS, 181, pd.DataFrame(rows))


if __name__ == '__main__':
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
