"""Fits one model, exports it to ONNX with manifest and parity file, and writes the figures its card is made from.

Invariants: no label window of the training rows reaches into the test period; values are rounded to float32 before the
fit, because that is what the model gets when served; probabilities in the parity file come from the ONNX file.
"""
import argparse
import hashlib
import json
import os

import numpy as np
import onnxruntime
import pandas as pd
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import card
import dataset
import frame

PROFILE = [('log_team_size', 'number'), ('is_hiring', 'boolean'), ('top_company', 'boolean'), ('nonprofit', 'boolean'),
           ('no_website', 'boolean'), ('growth_stage', 'boolean'), ('batch_year', 'number'),
           ('description_length', 'number'), ('one_liner_length', 'number'), ('n_tags', 'number'),
           ('tag_ai', 'boolean'), ('tag_saas', 'boolean'), ('tag_developer_tools', 'boolean'),
           ('tag_marketplace', 'boolean'), ('n_regions', 'number'), ('fully_remote', 'boolean')]


def matrix(rows, inputs):
    """As the model is served: what is missing of a number is NaN, of a boolean 0; rounded to float32."""
    columns = rows[[name for name, _ in inputs]].astype(float)
    flags = [name for name, kind in inputs if kind == 'boolean']
    return columns.fillna({name: 0.0 for name in flags}).to_numpy().astype(np.float32)


def pipeline():
    return make_pipeline(SimpleImputer(strategy='median'), StandardScaler(), LogisticRegression(C=0.1, max_iter=5000))


def skill(label, p):
    return 1 - np.mean((p - label) ** 2) / np.mean((label.mean() - label) ** 2)


def interval(rows, p, score, rounds=500):
    """95 % interval by resampling companies, because the rows of one company are not independent."""
    random, label = np.random.default_rng(1), rows.label.to_numpy()
    groups = list(rows.reset_index(drop=True).groupby('id').indices.values())
    drawn = []
    for _ in range(rounds):
        index = np.concatenate([groups[k] for k in random.integers(0, len(groups), len(groups))])
        if 0 < label[index].sum() < len(index):
            drawn.append(score(label[index], p[index]))
    return [round(float(v), 4) for v in np.percentile(drawn, [2.5, 97.5])]


def calibration(label, p, parts=10):
    return [dict(rows=len(k), predicted=round(float(p[k].mean()), 4), observed=round(float(label[k].mean()), 4))
            for k in np.array_split(np.argsort(p, kind='stable'), parts)]


def figures_of(train, test, p, threshold, split_at_random):
    label, unseen = test.label.to_numpy(), (~test.id.isin(train.id)).to_numpy()
    flagged = p >= threshold
    return dict(
        train=dict(rows=len(train), companies=train.id.nunique(), first=train.date.min(), last=train.date.max(),
                   base_rate=round(train.label.mean(), 4)),
        test=dict(rows=len(test), companies=test.id.nunique(), first=test.date.min(), last=test.date.max(),
                  base_rate=round(label.mean(), 4), positives=int(label.sum()),
                  positive_companies=int(test.id[label == 1].nunique())),
        auc=round(roc_auc_score(label, p), 4), auc_interval=interval(test, p, roc_auc_score),
        unseen=dict(rows=int(unseen.sum()), companies=int(test.id[unseen].nunique()),
                    **(dict(auc=round(roc_auc_score(label[unseen], p[unseen]), 4),
                            auc_interval=interval(test[unseen], p[unseen], roc_auc_score))
                       if 0 < label[unseen].sum() < unseen.sum() else dict(auc=None, auc_interval=None))),
        pr_auc=round(average_precision_score(label, p), 4), brier_skill=round(float(skill(label, p)), 4),
        brier_skill_interval=interval(test, p, skill), calibration=calibration(label, p), threshold=threshold,
        flagged=dict(share=round(float(flagged.mean()), 4), precision=round(float(label[flagged].mean()), 4),
                     recall=round(float(label[flagged].sum() / label.sum()), 4)),
        auc_if_split_at_random=split_at_random)


def random_split_auc(rows, inputs):
    """What a careless evaluation would have claimed: rows of one company on both sides, windows overlapping."""
    a, b = train_test_split(rows, test_size=0.25, random_state=1)
    return round(roc_auc_score(b.label, pipeline().fit(matrix(a, inputs), a.label).predict_proba(matrix(b, inputs))[:, 1]), 4)


def plain(value):
    return None if value is None or value != value else value.item() if hasattr(value, 'item') else value


def write(path, content):
    with open(path, 'w', encoding='utf-8') as out:
        json.dump(content, out, indent=1, ensure_ascii=False, allow_nan=False)
        out.write('\n')


def export(folder, model, test, inputs, spec, threshold, trained_on):
    graph = convert_sklearn(model, spec['name'], initial_types=[('features', FloatTensorType([None, len(inputs)]))], target_opset=18,
                            options={id(model): {'zipmap': False}})
    data = graph.SerializeToString()
    with open(os.path.join(folder, 'model.onnx'), 'wb') as out:
        out.write(data)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options)
    run = lambda rows: session.run(['probabilities'], {'features': matrix(rows, inputs)})[0]
    difference = float(np.abs(run(test)[:, 1] - model.predict_proba(matrix(test, inputs))[:, 1]).max())
    if difference > 1e-6:
        raise SystemExit(f'ONNX and scikit-learn differ by {difference}')
    sample = test.sample(min(200, len(test)), random_state=1)
    names = [name for name, _ in inputs]
    write(os.path.join(folder, 'parity.json'), dict(rows=[
        dict(inputs={name: plain(row[name]) for name in names}, probabilities=[float(v) for v in p])
        for (_, row), p in zip(sample.iterrows(), run(sample))]))
    write(os.path.join(folder, 'manifest.json'), dict(
        name=spec['name'], version=spec['version'], artifact='model.onnx', sha256=hashlib.sha256(data).hexdigest(),
        inputs=[dict(feature=name, type=kind, missing='nan' if kind == 'number' else 0) for name, kind in inputs],
        input_name='features', probabilities_output='probabilities', classes=spec['classes'],
        positive=spec['classes'][1], threshold=threshold, postprocess='none', parity='parity.json',
        **(dict(trained_on=trained_on) if trained_on else {})))
    return difference


def of_dataset(address, spec, inputs, asked):
    """Rows {id, date, label, ...features} of a data set, as frame.build gives them; rows without a label are left out."""
    rows, manifest, trained_on = dataset.load(address, inputs, spec.get('versions', {}))
    request = manifest['request']
    date = rows[asked.date or request['at']]
    label = rows[asked.label].replace({'': None, spec['classes'][0]: '0', spec['classes'][1]: '1'})
    rows = rows.assign(id=rows[request['key']], label=pd.to_numeric(label),
                       date=date if asked.date else date.dt.strftime('%Y-%m-%d'))
    print(f'{int(rows.label.isna().sum())} rows without a label left out')
    return rows[rows.label.notna()], trained_on


def arguments(spec):
    parser = argparse.ArgumentParser(description='Trains the model; without --dataset from the directory in YC_DATA.')
    parser.add_argument('--dataset', help='folder of a data set, or s3://bucket/prefix/name')
    parser.add_argument('--out', help='folder for what is written (default: that of the model)')
    parser.add_argument('--label', default='label', help='column of the list: 0 or 1, or the names of the classes')
    parser.add_argument('--date', help='column of the list by which rows are split (default: the time)')
    for name in ('version', 'train_until', 'test_from', 'test_until'):
        parser.add_argument('--' + name.replace('_', '-'), default=spec[name])
    return parser.parse_args()


def train(folder, spec, inputs, days, rows, trained_on=None):
    """Writes model.onnx, manifest.json, parity.json and figures.json into `folder`."""
    train = rows[rows.date <= spec['train_until']]
    test = rows[(rows.date >= spec['test_from']) & (rows.date <= spec['test_until'])]
    for name, part in (('training', train), ('test', test)):
        if part.label.nunique() < 2:
            raise SystemExit(f'The {name} period has {len(part)} rows and not both classes: see --train-until, --test-from.')
    if frame.ordinal(train.date.max()) + days > frame.ordinal(test.date.min()):
        raise SystemExit(f'Label windows of {days} days reach from the training into the test period.')
    model = pipeline().fit(matrix(train, inputs), train.label)
    threshold = round(float(np.quantile(model.predict_proba(matrix(train, inputs))[:, 1], 0.9)), 4)
    p = model.predict_proba(matrix(test, inputs))[:, 1]
    figures = figures_of(train, test, p, threshold, random_split_auc(rows, inputs))
    figures['onnx_difference'] = export(folder, model, test, inputs, spec, threshold, trained_on)
    figures['weights'] = {n: round(float(w), 3) for (n, _), w in zip(inputs, model[-1].coef_[0])}
    if trained_on:
        figures['trained_on'] = trained_on
    write(os.path.join(folder, 'figures.json'), figures)
    print(json.dumps({k: v for k, v in figures.items() if k not in ('calibration', 'weights', 'trained_on')}, indent=1))


def fit(folder, spec, inputs, label, days):
    asked = arguments(spec)
    spec = {**spec, **{name: getattr(asked, name) for name in ('version', 'train_until', 'test_from', 'test_until')}}
    folder = asked.out or folder
    os.makedirs(folder, exist_ok=True)
    if asked.dataset is None:
        train(folder, spec, inputs, days, pd.DataFrame(frame.build(label, days)))
        return
    rows, trained_on = of_dataset(asked.dataset, spec, inputs, asked)
    train(folder, spec, inputs, days, rows, trained_on)
    with open(os.path.join(folder, 'figures.json'), encoding='utf-8') as figures:
        text = card.of_dataset(spec, json.load(figures))
    with open(os.path.join(folder, 'MODEL_CARD.md'), 'w', encoding='utf-8') as out:
        out.write(text)
