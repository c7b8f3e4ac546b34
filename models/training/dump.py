"""Writes CRM columns, property history and features at two dates, for check-parity.ts: python dump.py OUT.json"""
import json
import sys

import frame

DATES = ('2023-10-13', '2025-05-13')


def main(path):
    epoch, cases = frame.ordinal('1970-01-01'), []
    for date, _, directory in frame.replay():
        if date in DATES:
            for i in directory.state:
                text = lambda v: v if v is None else str(v).lower() if isinstance(v, bool) else str(v)
                rows = [dict(property=p, value=text(v), source_type=s, changed_at=(d - epoch) * 86_400_000)
                        for d, p, v, s in directory.history[i].rows]
                cases.append(dict(id=i, date=date, columns=frame.crm_columns(directory.state[i]), history=rows,
                                  features=frame.features_of(directory, i)))
    with open(path, 'w', encoding='utf-8') as out:
        json.dump(cases, out)
    print(f'{len(cases)} companies at {", ".join(DATES)}')


if __name__ == '__main__':
    main(sys.argv[1])
