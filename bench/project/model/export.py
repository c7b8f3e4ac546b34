"""Exports the batch recipe's model (make_batch_model.py writes it to $MODEL) to ONNX with manifest and parity file.

Only for when the recipe's model changes: the artifacts are committed, so that the bench runs without Python. Run it in
the recipe's environment, with the folder of feat.py on PYTHONPATH. In every run that has Python the bench holds the two
models' probabilities against each other.
"""
import hashlib
import json
import os

import joblib
import numpy as np
import onnxruntime
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType

from feat import CAT, NUM

FOLDER = os.path.dirname(os.path.abspath(__file__))
BOOLEAN = {'is_hiring', 'nonprofit', 'growth', 'no_site'}
NEVER_NULL = {'desc_len', 'one_len', 'n_tags', 'n_regions', 'n_contacts', 'n_senior', 'contacts_180d', 'n_deals', 'n_open',
              'sum_amount', 'won_amount', 'open_weighted', *BOOLEAN, *CAT}
ROWS = 60


def write(name, content):
    with open(os.path.join(FOLDER, name), 'w', encoding='utf-8') as out:
        json.dump(content, out, indent=2, allow_nan=False)
        out.write('\n')


def sample(names):
    random = np.random.default_rng(7)
    rows = random.lognormal(2, 1.5, (ROWS, len(names))).astype(np.float32)
    for column, name in enumerate(names):
        if name in BOOLEAN:
            rows[:, column] = random.integers(0, 2, ROWS)
        elif name in CAT:
            rows[:, column] = random.integers(-1, 9, ROWS)
        elif name not in NEVER_NULL:
            rows[random.random(ROWS) < 0.2, column] = np.nan
    return rows


bundle = joblib.load(os.environ['MODEL'])
names = NUM + CAT
graph = convert_sklearn(bundle['model'], 'batch', initial_types=[('features', FloatTensorType([None, len(names)]))],
                        target_opset=18, options={id(bundle['model']): {'zipmap': False}})
data = graph.SerializeToString()
with open(os.path.join(FOLDER, 'model.onnx'), 'wb') as out:
    out.write(data)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
rows = sample(names)
found = onnxruntime.InferenceSession(data, options).run(['probabilities'], {'features': rows})[0]
difference = float(np.abs(found - bundle['model'].predict_proba(rows)).max())
if difference > 1e-6:
    raise SystemExit(f'ONNX and scikit-learn differ by {difference}')


def plain(name, value):
    return None if np.isnan(value) else bool(value) if name in BOOLEAN else float(value)


write('parity.json', dict(rows=[dict(inputs={name: plain(name, value) for name, value in zip(names, row)},
                                     probabilities=[float(p) for p in probabilities])
                                for row, probabilities in zip(rows, found)]))
write('manifest.json', dict(
    name='batch', version='1', artifact='model.onnx', sha256=hashlib.sha256(data).hexdigest(),
    inputs=[dict(feature=name, type='boolean' if name in BOOLEAN else 'number', missing='nan') for name in names],
    input_name='features', probabilities_output='probabilities', classes=['steady', 'growing'], positive='growing',
    threshold=bundle['thr'], postprocess='none', parity='parity.json'))
print(json.dumps(dict(categories=bundle['cats'], difference=difference, bytes=len(data))))
