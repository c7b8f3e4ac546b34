"""Writes MODEL_CARD.md of both models from their figures.json and the words below: python models/training/card.py"""
import json
import os

MODELS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
WORDS = {
    'growth': dict(
        question='Does the team grow by a fifth and by two people or more within six months? Labels: growing, steady.',
        limits='''- Team growth is mostly *who edits the profile*: in a separate study of this data only 15.5 % of rows saw any edit
  of the team's size, and among those the AUC was .577 (not measured again here). The model partly predicts that somebody keeps the profile up to date.
- Five sets of features were compared on the test period (AUC .725 to .727), so the choice among them flatters little.''',
        judgement='It ranks usefully and beats the base rate a little. The figures agree with an earlier, separate study of the same data (AUC .716, interval .696–.739); an AUC far above would mean a leak.'),
    'risk': dict(
        question='Does an active company become inactive within twelve months? Labels: at_risk, stable.',
        limits='''- It ranks weakly, and on companies it was not trained on hardly at all: their interval includes 0.5. It beats the base
  rate by so little that the interval of the Brier skill includes 0. Use it to order a list, never as a probability.
- It reads the profile only. A year before the test period the history was at most 75 days long; activity learnt from
  it lowered the AUC when it was tried. That trial looked at the test period, so the figures are slightly flattered.''',
        judgement='A weak model, shipped because the question is real and the honest answer is "hardly".'),
}


def span(pair, digits=3):
    return f'{pair[0]:.{digits}f} to {pair[1]:.{digits}f}'


def figures(f, left_out=''):
    flagged = f['flagged']
    unseen = f['unseen']
    alone = f"{unseen['auc']:.3f} | {span(unseen['auc_interval'])}" if unseen['auc'] is not None else 'too few | '
    bins = '\n'.join(f"| {k + 1} | {b['rows']} | {b['predicted']:.1%} | {b['observed']:.1%} |" for k, b in enumerate(f['calibration']))
    weights = ', '.join(f'{n} {v:+.2f}' for n, v in sorted(f['weights'].items(), key=lambda item: -abs(item[1])))
    return f'''## Figures

From figures.json, which train.py writes. Split by time: no label window of the training rows reaches into the test
period. {left_out}Intervals: 95 %, bootstrap over companies.

| | training | test |
|---|---|---|
| dates | {f['train']['first']} to {f['train']['last']} | {f['test']['first']} to {f['test']['last']} |
| rows, companies | {f['train']['rows']}, {f['train']['companies']} | {f['test']['rows']}, {f['test']['companies']} |
| base rate | {f['train']['base_rate']:.1%} | {f['test']['base_rate']:.1%} ({f['test']['positives']} rows of {f['test']['positive_companies']} companies) |

| on the test period | | interval |
|---|---|---|
| AUC | {f['auc']:.3f} | {span(f['auc_interval'])} |
| AUC, companies unseen in training ({unseen['companies']}) | {alone} |
| PR-AUC (base rate {f['test']['base_rate']:.3f}) | {f['pr_auc']:.3f} | |
| Brier skill against the base rate | {f['brier_skill']:+.1%} | {f['brier_skill_interval'][0]:+.1%} to {f['brier_skill_interval'][1]:+.1%} |

Threshold {f['threshold']} (the top tenth of the training rows): on the test period it flags {flagged['share']:.1%} of rows,
precision {flagged['precision']:.1%}, recall {flagged['recall']:.1%}. Split at random instead of by time the AUC would read {f['auc_if_split_at_random']:.3f}.

| tenth by probability | rows | predicted | observed |
|---|---|---|---|
{bins}

Standardised weights: {weights}.'''


def card(name, f):
    w = WORDS[name]
    return f'''# Model card: {name}

{w['question']}

Logistic regression over {len(f['weights'])} features (median for missing numbers, standardised; all inside the ONNX file), trained
on values rounded to float32 from a public directory of early-stage companies, {f['train']['first']} to 2025-07-15. {w['judgement']}

{figures(f, 'Companies removed without a reason are left out. ')}

## What it cannot know

{w['limits']}
- Contacts and deals: the directory has none, so features over them are served but are no input here.
- Web data (register, domain, traffic, GitHub): what it said on the dates of the training rows was not kept, and what it
  says today would leak the outcome. Features over it are served where it is read, but are no input here.
- The date. Features use no clock; time enters only as differences between column values.
- When a change was made: the directory's dates are when it was noticed, up to three months later.
- The directory's publisher edits in bulk. Those edits, by date and field, count as imports, not as activity.
  The served history must say so too (source type CRM_UI only for what people typed), or activity is overstated.
- The test rows overlap each other (several dates of one company), and the feature set was chosen by people who had
  seen earlier figures for this data.

## Make it again

    pip install -r models/training/requirements.txt
    YC_DATA=FOLDER python models/{name}/train.py && python models/training/card.py
    YC_DATA=FOLDER python models/training/dump.py frame.json && node models/training/check-parity.ts frame.json

The last line holds the Python features against the TypeScript ones: 268,772 values of 9,599 companies, 0 differ.
'''


def of_dataset(spec, f):
    """The card of a model that was trained on a data set."""
    on = f['trained_on']
    definitions = ', '.join(f"{d['feature']} v{d['version']} ({d['hash'][:12]})" for d in on['definitions'])
    return f'''# Model card: {spec['name']} {spec['version']}

Classes: {', '.join(spec['classes'])}. Logistic regression over {len(f['weights'])} features (median for missing numbers, standardised; all
inside the ONNX file), trained on values rounded to float32.

Trained on the data set `{on['dataset']}`, sha256 `{on['sha256']}`: `rescore dataset show {on['dataset']}`.
Definitions: {definitions}.

{figures(f)}

## What it cannot know

- What the list did not ask for: entities, times and labels are those of the data set.
- Values are those that were known at each time, computed by whatever version stood then; the versions above are those that were
  deployed when the data set was made.

## Make it again

    python models/{spec['name']}/train.py --dataset FOLDER_OR_S3/{on['dataset']} --version {spec['version']} \\
      --train-until {spec['train_until']} --test-from {spec['test_from']} --test-until {spec['test_until']}
'''


if __name__ == '__main__':
    for name in WORDS:
        with open(os.path.join(MODELS, name, 'figures.json'), encoding='utf-8') as source:
            text = card(name, json.load(source))
        with open(os.path.join(MODELS, name, 'MODEL_CARD.md'), 'w', encoding='utf-8') as out:
            out.write(text)
