"""Writes the artifact, the manifest and the parity file of the smallest model the tests score with.

    python -m venv /tmp/venv && /tmp/venv/bin/pip install onnx==1.23.2
    /tmp/venv/bin/python test/support/models/pair/make.py

Logistic regression by hand: p = sigmoid(0.75 * amount + 0.5 * visits - 1.5 * is_partner - 1). A missing amount counts
as 2. The parity rows are computed here in float32 with numpy, without the runtime that is checked against them.
"""
import hashlib
import itertools
import json
import os

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))
WEIGHTS = np.array([[0.75], [0.5], [-1.5]], np.float32)
BIAS = np.array([-1.0], np.float32)
MISSING_AMOUNT = np.float32(2)


def constant(name, value):
    return numpy_helper.from_array(np.asarray(value), name)


def graph():
    nodes = [
        helper.make_node('IsNaN', ['features'], ['is_missing']),
        helper.make_node('Where', ['is_missing', 'filler', 'features'], ['filled']),
        helper.make_node('Gemm', ['filled', 'weights', 'bias'], ['logit']),
        helper.make_node('Sigmoid', ['logit'], ['busy']),
        helper.make_node('Sub', ['one', 'busy'], ['quiet']),
        helper.make_node('Concat', ['quiet', 'busy'], ['probabilities'], axis=1),
    ]
    return helper.make_graph(
        nodes,
        'pair',
        [helper.make_tensor_value_info('features', TensorProto.FLOAT, [None, 3])],
        [helper.make_tensor_value_info('probabilities', TensorProto.FLOAT, [None, 2])],
        [
            constant('weights', WEIGHTS),
            constant('bias', BIAS),
            constant('filler', np.array([[MISSING_AMOUNT, 0, 0]], np.float32)),
            constant('one', np.float32(1)),
        ],
    )


def probabilities(amount, visits, is_partner):
    row = np.array([MISSING_AMOUNT if amount is None else amount, visits, is_partner], np.float32)
    busy = np.float32(1) / (np.float32(1) + np.exp(-(row @ WEIGHTS + BIAS)))
    return [float(1 - busy[0]), float(busy[0])]


def write(name, data):
    with open(os.path.join(HERE, name), 'w') as out:
        json.dump(data, out, indent=1)
        out.write('\n')


model = helper.make_model(graph(), opset_imports=[helper.make_opsetid('', 18)], ir_version=10, producer_name='make.py')
checker.check_model(model)
data = model.SerializeToString()
with open(os.path.join(HERE, 'model.onnx'), 'wb') as out:
    out.write(data)

cases = itertools.product([None, -1.5, 0, 0.1, 2.25], [0, 1, 3], [False, True])
write('parity.json', dict(rows=[
    dict(inputs=dict(amount=a, visits=v, is_partner=p), probabilities=probabilities(a, v, p)) for a, v, p in cases]))
write('manifest.json', dict(
    name='pair', version='1', artifact='model.onnx', sha256=hashlib.sha256(data).hexdigest(),
    inputs=[dict(feature='amount', type='number', missing='nan'), dict(feature='visits', type='number', missing=0),
            dict(feature='is_partner', type='boolean', missing=0)],
    input_name='features', probabilities_output='probabilities', classes=['quiet', 'busy'], positive='busy',
    threshold=0.5, postprocess='none', parity='parity.json'))
