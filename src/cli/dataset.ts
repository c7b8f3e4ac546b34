/** `rescore dataset …`: lists of entities and times, joined to what was known then; made, listed, compared, checked. */
import type { Command } from 'commander'
import { loadProject } from '../config.ts'
import { createDataset } from '../dataset/create.ts'
import { type DatasetDiff, diffDatasets } from '../dataset/diff.ts'
import type { S3Settings } from '../dataset/place.ts'
import { isS3 } from '../dataset/places.ts'
import { type DatasetEntry, listDatasets, readDataset } from '../dataset/registry.ts'
import { verifyDataset } from '../dataset/verify.ts'
import { compileGraph } from '../graph/compile.ts'
import { resolveTarget } from './backfill-target.ts'
import { type Common, command, usage } from './command.ts'
import { withConnection } from './connection.ts'
import { EXIT } from './exit.ts'
import { bytes, note, print, printJson, table } from './output.ts'

interface CreateOptions extends Common {
  readonly features: string
  readonly entities: string
  readonly at: string
  readonly to: string
  readonly key?: string
  readonly s3Endpoint?: string
  readonly s3Region?: string
  readonly s3VirtualHost?: boolean
}

const NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/

function renderEntry({ name, entity, manifest, sha256, folder, s3, createdAt, request }: DatasetEntry): string {
  const { rows, features, files, newest } = manifest
  return [
    `${name}: ${rows.served} rows of ${entity}, made ${createdAt}`,
    `folder    ${folder}${s3?.endpoint ? ` at ${s3.endpoint}` : ''}`,
    `sha256    ${sha256}`,
    `list      ${request.file} (${manifest.request.entities.rows} rows; key ${request.key}, time ${request.at})`,
    `rows      ${rows.served} served, ${rows.rejected} rejected, ${rows.unknown} not known yet, ${rows.deleted} deleted by then, ${rows.cut} with a history cut short, ${rows.otherType} values of another type`,
    `newest    ${newest === null ? 'nothing was known of any' : `recorded ${newest.recordedAt}, position ${newest.snapLsn}`}`,
    `features  ${features.map((feature) => `${feature.name} v${feature.version}`).join(', ')}`,
    ...files.map((file) => `file      ${file.name}  ${bytes(file.bytes)}  ${file.sha256}`),
  ].join('\n')
}

export function renderDiff(nameA: string, nameB: string, diff: DatasetDiff): string {
  if (diff.isSame) return `${nameA} and ${nameB} are the same, byte by byte`
  const lines = Object.entries(diff.request).map(([name, { a, b }]) => `${name}: ${a} → ${b}`)
  if (diff.added.length > 0) lines.push(`added: ${diff.added.join(', ')}`)
  if (diff.removed.length > 0) lines.push(`removed: ${diff.removed.join(', ')}`)
  for (const { feature, a, b } of diff.changed) lines.push(`feature ${feature}: ${a} → ${b}`)
  const { rows } = diff
  if (rows === null) return [...lines, 'rows were not compared: the lists differ'].join('\n')
  lines.push(`${rows.differing} of ${rows.compared} rows differ`)
  for (const [column, count] of Object.entries(rows.byColumn)) lines.push(`  ${column} in ${count}`)
  for (const { row, column, a, b } of rows.examples) lines.push(`  row ${row}: ${column} ${a} → ${b}`)
  return lines.join('\n')
}

/** As AWS's own tools find it, unless it is said here. */
function s3Settings({ to, s3Endpoint, s3Region, s3VirtualHost }: CreateOptions): S3Settings | null {
  if (!isS3(to)) {
    if (/^[a-z0-9]+:\/\//i.test(to))
      throw usage(`--to ${to} is neither a folder nor s3://….`, 'Give one, such as ./out.')
    return null
  }
  const endpoint = s3Endpoint ?? process.env.AWS_ENDPOINT_URL_S3 ?? process.env.AWS_ENDPOINT_URL ?? null
  if (endpoint !== null && !(URL.canParse(endpoint) && /^https?:/.test(endpoint))) {
    throw usage(`'${endpoint}' is no endpoint of S3.`, 'Write it as https://host or http://host:port.')
  }
  return { endpoint, region: s3Region ?? null, pathStyle: endpoint !== null && s3VirtualHost !== true }
}

async function create(name: string, options: CreateOptions, signal: AbortSignal): Promise<void> {
  const { features, entities, at, to, json } = options
  if (!NAME.test(name)) throw usage(`'${name}' is no name for a data set.`, 'Use a-z, 0-9, dot, dash and underscore.')
  const s3 = s3Settings(options)
  const made = await withConnection(async ({ pool }) => {
    const targets = features.split(',').map((target) => target.trim())
    const target = resolveTarget(compileGraph(await loadProject(process.cwd())), targets)
    const { node } = target
    const nodes =
      target.features.length === 0
        ? node.features
        : target.features.flatMap((wanted) => node.features.filter(({ feature }) => feature.name === wanted))
    const request = { name, node, features: nodes, file: entities, key: options.key ?? node.key, at, to, s3 }
    return await createDataset(pool, request, { signal, say: note })
  })
  if (json === true) printJson(made)
  else print(renderEntry(made))
}

function createCommand(signal: AbortSignal): Command {
  return command('create', 'Join a list of entities and times to what was known of each then', [
    [
      'rescore dataset create growth-2024 --features employees_growth,size --entities labels.csv --at observed_at --to ./out',
      'out/growth-2024/data.parquet and manifest.json',
    ],
    [
      'rescore dataset create all --features company --entities labels.csv --key company_id --at day --to ./out',
      'every feature; the key stands in another column',
    ],
    [
      'rescore dataset create growth-2024 --features company --entities labels.csv --at day --to s3://models/data',
      's3://models/data/growth-2024/…; credentials as AWS tools find them',
    ],
  ])
    .argument('<name>')
    .requiredOption('--features <list>', 'features of one entity, separated by commas, or the entity for all')
    .requiredOption('--entities <file>', 'CSV with a header: keys, times, and columns kept as they are')
    .requiredOption('--at <column>', 'column of the time; without a zone it is UTC')
    .requiredOption('--to <folder>', 'local folder or s3://bucket/prefix; the data set gets a folder of its own in it')
    .option('--key <column>', "column of the entity's key (default: the name of the key column in its table)")
    .option('--s3-endpoint <url>', 'S3 other than that of AWS (default: AWS_ENDPOINT_URL_S3)')
    .option('--s3-region <region>', 'region of the bucket (default: AWS_REGION, or the profile)')
    .option('--s3-virtual-host', 'the endpoint wants the bucket in the name of the host')
    .action((name: string, options: CreateOptions) => create(name, options, signal))
}

function listCommand(): Command {
  return command('list', 'Data sets that were made', [
    ['rescore dataset list', 'rows, size, features, folder'],
    ['rescore dataset list --json', 'with their manifests'],
  ]).action(async ({ json }: Common) => {
    const entries = await withConnection(({ pool }) => listDatasets(pool))
    if (json === true) return printJson(entries)
    const header = ['name', 'entity', 'rows', 'features', 'size', 'sha256', 'made', 'folder']
    const rows = entries.map(({ name, entity, manifest, sha256, createdAt, folder }) => {
      const size = manifest.files.reduce((sum, file) => sum + file.bytes, 0)
      const counts = [String(manifest.rows.served), String(manifest.features.length), bytes(size)]
      return [name, entity, ...counts, sha256.slice(0, 12), createdAt, folder]
    })
    print(table(header, rows))
  })
}

function showCommand(): Command {
  return command('show', 'What a data set is made of', [
    ['rescore dataset show growth-2024', 'request, definitions, counts, files'],
    ['rescore dataset show growth-2024 --json', 'with its manifest'],
  ])
    .argument('<name>')
    .action(async (name: string, { json }: Common) => {
      const entry = await withConnection(({ pool }) => readDataset(pool, name))
      if (json === true) printJson(entry)
      else print(renderEntry(entry))
    })
}

function diffCommand(signal: AbortSignal): Command {
  return command('diff', 'What differs between two data sets: request, features, rows', [
    ['rescore dataset diff growth-2024 growth-2025', 'versions and values that moved; exit 3 when they differ'],
    ['rescore dataset diff a b --json', 'for a script'],
  ])
    .argument('<a>')
    .argument('<b>')
    .action(async (a: string, b: string, { json }: Common) => {
      const diff = await withConnection(({ pool }) => diffDatasets(pool, a, b, { signal, say: note }))
      if (!diff.isSame) process.exitCode = EXIT.problems
      if (json === true) printJson(diff)
      else print(renderDiff(a, b, diff))
    })
}

function verifyCommand(signal: AbortSignal): Command {
  return command('verify', 'Hash the files of a data set anew', [
    ['rescore dataset verify growth-2024', 'exit 3 and a line for each file that is not as it was made'],
    ['rescore dataset verify growth-2024 --json', 'for a script'],
  ])
    .argument('<name>')
    .action(async (name: string, { json }: Common) => {
      const verified = await withConnection(({ pool }) => verifyDataset(pool, name, { signal, say: note }))
      if (verified.problems.length > 0) process.exitCode = EXIT.problems
      if (json === true) printJson(verified)
      else if (verified.problems.length === 0) print(`${name}: every file is as it was made`)
      else print(verified.problems.map((problem) => `${name}: ${problem}`).join('\n'))
    })
}

export function datasetCommand(signal: AbortSignal): Command {
  const parent = command('dataset', 'Training data: lists of entities and times, joined to what was known then', [
    [
      'rescore dataset create growth-2024 --features company --entities labels.csv --at observed_at --to ./out',
      'Parquet with a manifest; nothing a microsecond later is in it',
    ],
    ['rescore dataset list', 'those that were made; show, diff and verify look into them'],
  ]).enablePositionalOptions()
  for (const child of [
    createCommand(signal),
    listCommand(),
    showCommand(),
    diffCommand(signal),
    verifyCommand(signal),
  ]) {
    child.exitOverride().showHelpAfterError('(see --help)')
    parent.addCommand(child)
  }
  return parent
}
