"""Writes the artifact, the manifest and the parity file of model `size`: yours comes out of a training instead.

    python3 -m venv .venv && .venv/bin/pip install onnx==1.23.2
    .venv/bin/python models/size/make.py

Logistic regression with weights chosen by hand: p = sigmoid(2 * log_team_size + 0.3 * n_contacts - 6.5), so that a
team of some twenty is where a company begins to be an established one. An unknown size counts as nobody. The parity
rows are computed here in float32 with numpy: Rescore holds the runtime it loads the artifact into against them.
"""
import hashlib
import itertools
import json
import os

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))
# One column per class: the first class is the base the second is held against.
WEIGHTS = np.array([[0, 2], [0, 0.3]], np.float32)
BIAS = np.array([0, -6.5], np.float32)
INPUTS = [dict(feature='log_team_size', type='number', missing=0), dict(feature='n_contacts', type='number', missing=0)]


def artifact():
    graph = helper.make_graph(
        [
            helper.make_node('Gemm', ['features', 'weights', 'bias'], ['logits']),
            helper.make_node('Softmax', ['logits'], ['probabilities'], axis=1),
        ],
        'size',
        [helper.make_tensor_value_info('features', TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info('probabilities', TensorProto.FLOAT, [None, 2])],
        [numpy_helper.from_array(WEIGHTS, 'weights'), numpy_helper.from_array(BIAS, 'bias')],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=10, producer_name='make.py')
    checker.check_model(model)
    return model.SerializeToString()


def parity(log_team_size, n_contacts):
    row = np.array([0 if log_team_size is None else log_team_size, n_contacts], np.float32)
    weights = np.exp(row @ WEIGHTS + BIAS)
    probabilities = [float(p) for p in weights / weights.sum()]
    return dict(inputs=dict(log_team_size=log_team_size, n_contacts=n_contacts), probabilities=probabilities)


def write(name, content):
    with open(os.path.join(HERE, name), 'w', encoding='utf-8') as out:
        json.dump(content, out, indent=1)
        out.write('\n')


data = artifact()
with open(os.path.join(HERE, 'model.onnx'), 'wb') as out:
    out.write(data)
sizes = [None] + [float(np.log1p(n)) for n in (0, 1, 5, 20, 100, 5000)]
write('parity.json', dict(rows=[parity(*case) for case in itertools.product(sizes, [0, 1, 3, 12])]))
write('manifest.json', dict(
    name='size', version='1', artifact='model.onnx', sha256=hashlib.sha256(data).hexdigest(), inputs=INPUTS,
    input_name='features', probabilities_output='probabilities', classes=['small', 'established'],
    positive='established', threshold=0.5, postprocess='none', parity='parity.json'))
