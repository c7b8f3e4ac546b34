"""Rows of a data set that `rescore dataset create` made, in a local folder or under s3://bucket/prefix/name.

Invariants: the bytes that are read are those that were hashed, and their hash is the one the manifest was sealed with; a
feature of another type or version than the script asks for stops it; values come as they were stored, and are rounded to
float32 only where the model reads them (fit.matrix).
"""
import hashlib
import json
import os

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

# What a manifest says of a feature, by what a model's input may be.
TYPES = {'number': {'number', 'integer'}, 'boolean': {'boolean'}}


def place(address):
    """@returns (file system, path); S3 by AWS's own variables: AWS_ENDPOINT_URL_S3, AWS_REGION, credentials"""
    if not address.startswith('s3://'):
        return pyarrow.fs.LocalFileSystem(), os.path.abspath(address)
    endpoint = os.environ.get('AWS_ENDPOINT_URL_S3') or os.environ.get('AWS_ENDPOINT_URL')
    options = dict(region=os.environ['AWS_REGION']) if 'AWS_REGION' in os.environ else {}
    if endpoint:
        scheme, _, host = endpoint.partition('://')
        options.update(endpoint_override=host, scheme=scheme)
    return pyarrow.fs.S3FileSystem(**options), address[len('s3://'):].rstrip('/')


def read(files, path):
    try:
        with files.open_input_stream(path) as stream:
            return stream.read()
    except FileNotFoundError:
        raise SystemExit(f'{path} is not there: give the folder of one data set, where its manifest.json is.') from None


def manifest_of(files, path):
    manifest = json.loads(read(files, f'{path}/manifest.json'))
    if manifest.get('format') != 1:
        raise SystemExit(f'{path}/manifest.json is of format {manifest.get("format")}; this script reads format 1.')
    content = {name: value for name, value in manifest.items() if name != 'sha256'}
    text = json.dumps(content, ensure_ascii=False, separators=(',', ':'))
    if hashlib.sha256(text.encode()).hexdigest() != manifest['sha256']:
        raise SystemExit(f'{path}/manifest.json has other content than its hash says: rescore dataset verify.')
    return manifest


def check(manifest, inputs, versions):
    """@param versions by feature; those that are not named are 1"""
    have = {feature['name']: feature for feature in manifest['features']}
    wrong = [f'{name} is not in it' for name, _ in inputs if name not in have]
    for name, kind in inputs:
        feature = have.get(name)
        if feature and feature['type'] not in TYPES[kind]:
            wrong.append(f"{name} is {feature['type']}, not {kind}")
        if feature and feature['version'] != versions.get(name, 1):
            wrong.append(f"{name} is of version {feature['version']}, not {versions.get(name, 1)}")
    if wrong:
        raise SystemExit('The data set does not fit this script: ' + '; '.join(wrong) + '.')
    return [dict(feature=name, version=have[name]['version'], hash=have[name]['hash']) for name, _ in inputs]


def load(address, inputs, versions):
    """@returns (rows as a data frame in the order of the list, manifest, what the model's manifest says of it)"""
    files, path = place(address)
    manifest = manifest_of(files, path)
    definitions = check(manifest, inputs, versions)
    entry = next(file for file in manifest['files'] if file['name'].endswith('.parquet'))
    data = read(files, f"{path}/{entry['name']}")
    if hashlib.sha256(data).hexdigest() != entry['sha256']:
        raise SystemExit(f"{path}/{entry['name']} has other content than it was made with: rescore dataset verify.")
    rows = pq.read_table(pa.BufferReader(data)).to_pandas()
    known = rows['_recorded_at'].notna()
    print(f'{len(rows)} rows, {int((~known).sum())} of them not known yet and left out')
    trained_on = dict(dataset=path.rsplit('/', 1)[-1], sha256=manifest['sha256'], definitions=definitions)
    return rows[known], manifest, trained_on
