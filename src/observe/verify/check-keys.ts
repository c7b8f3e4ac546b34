/**
 * Checks one piece of entities: everything stored about these keys against everything from scratch.
 * Invariant: whatever is known of a key is read here, in one snapshot, also for keys whose entity is gone.
 */
import { parseLsn } from '../../db/lsn.ts'
import type { Client } from '../../db/pool.ts'
import { columnOf, type Hop } from '../../define/index.ts'
import type { EntityNode } from '../../graph/graph.ts'
import { checkFeatures, checkQuarantine } from './check-features.ts'
import { checkFeatureHistory, FeatureFold } from './check-history.ts'
import { checkScore, checkScoreHistory, checkUnknownModels, ScoreFold } from './check-scores.ts'
import { checkTimers, type Timers, timedFeatures, trueAt, trueUntil } from './check-timers.ts'
import { computeEntity, type FeatureValues } from './compute.ts'
import type { Difference } from './difference.ts'
import { checkViolations } from './expect.ts'
import { probabilitiesOf, type VerifiedModel } from './model.ts'
import { type Reached, Walker } from './reach.ts'
import { featureRows, pieces, rowsWhere } from './rows.ts'
import type { Subject } from './subject.ts'
import { identity, type Row } from './values.ts'

export interface KeyCheck {
  readonly client: Client
  readonly node: EntityNode
  /** Of this entity. */
  readonly models: readonly VerifiedModel[]
  /** Names of all models ever deployed; a classification of another one is nobody's. */
  readonly knownModels: ReadonlySet<string>
  /** In which a feature of the entity last changed. */
  readonly epoch: number
  /** Whole milliseconds since 1970, of the database's clock. */
  readonly nowMs: number
  /** Rows from here to `epoch` wait for a backfill: known to be stale, so not compared. */
  readonly required: number
}

export interface KeysChecked {
  readonly found: readonly Difference[]
  readonly stale: number
  /** Computed by a silent backfill and not scored since by some model: its label is compared with nothing. */
  readonly silenced: number
}

const HISTORY_PIECE = 2_000
const NO_TIMERS: Timers = new Map()

async function readSubjects(check: KeyCheck, keys: readonly string[]): Promise<readonly Subject[]> {
  const { client, node, nowMs } = check
  const { table } = node.entity
  const { kind } = columnOf(table, node.key)
  const byKey = (rows: readonly Row[], column: string) =>
    new Map(rows.map((row) => [identity(kind, row[column]), row] as const))
  const own = byKey(await rowsWhere(client, table, node.key, keys), node.key)
  const stored = byKey(await featureRows(client, node.featureTable, kind, keys), 'key')
  const about = [node.entity.name, keys]
  const classified = await client.query<Row>(
    'select * from rescore.classification where entity = $1 and key = any($2)',
    about,
  )
  const classifications = Map.groupBy(classified.rows, (row) => String(row.key))
  const aside = await client.query<Row>('select * from rescore.quarantine where entity = $1 and key = any($2)', about)
  const quarantine = byKey(aside.rows, 'key')
  const broken = await client.query<Row>('select * from rescore.violation where entity = $1 and key = any($2)', about)
  const violations = Map.groupBy(broken.rows, (row) => String(row.key))
  const timers = await readTimers(check, keys)
  const isTimed = timedFeatures(node).size > 0
  const reached = await walkAll(client, node, [...own.keys()])
  return keys.map((key) => {
    const row = own.get(key)
    const features = stored.get(key) ?? null
    const theirs = new Map((violations.get(key) ?? []).map((each) => [String(each.feature), each]))
    const rowsAt = (path: readonly Hop[]) => reached.get(path)?.get(key) ?? []
    const due = timers.get(key) ?? NO_TIMERS
    const outcomeAt = (instantOf: typeof trueAt, given: FeatureValues | null) => {
      if (row === undefined) return null
      const known = { key, own: row, stored: features, reached: rowsAt, given, violations: theirs }
      return computeEntity(node, { ...known, instantOf: (feature) => instantOf(due, feature, nowMs) })
    }
    const outcome = outcomeAt(trueAt, null)
    return {
      node,
      key,
      outcome,
      // Other features are as they are now: who reads one is woken by it.
      later: isTimed && outcome?.kind === 'computed' ? outcomeAt(trueUntil, outcome.vouched) : null,
      timers: due,
      features,
      classifications: new Map((classifications.get(key) ?? []).map((each) => [String(each.model), each])),
      quarantine: quarantine.get(key) ?? null,
      violations: theirs,
    }
  })
}

/** By key. */
async function readTimers({ client, node }: KeyCheck, keys: readonly string[]): Promise<ReadonlyMap<string, Timers>> {
  const { rows } = await client.query<{ key: string; feature: string; due: number }>(
    `select key, feature, (extract(epoch from due_at) * 1000)::float8 as due from rescore.timer
     where entity = $1 and key = any($2)`,
    [node.entity.name, keys],
  )
  const byKey = Map.groupBy(rows, ({ key }) => key)
  return new Map([...byKey].map(([key, timers]) => [key, new Map(timers.map(({ feature, due }) => [feature, due]))]))
}

async function walkAll(
  client: Client,
  node: EntityNode,
  keys: readonly string[],
): Promise<ReadonlyMap<readonly Hop[], Reached>> {
  const walker = new Walker(client, keys)
  const reached = new Map<readonly Hop[], Reached>()
  for (const { feature } of node.features) {
    for (const input of Object.values(feature.inputs)) {
      if (input.input === 'aggregate') reached.set(input.path, await walker.walk(input.path))
    }
  }
  return reached
}

/** Folds the history rows of these keys as they come; memory holds states, not rows. */
async function foldHistory<F extends { add(row: Row): void }>(
  { client, node }: KeyCheck,
  table: string,
  keys: readonly string[],
  nameOf: (row: Row) => string,
  create: () => F,
): Promise<(name: string) => F> {
  const folds = new Map<string, F>()
  const foldOf = (name: string) => {
    const fold = folds.get(name) ?? create()
    folds.set(name, fold)
    return fold
  }
  const text = `select * from ${table} where entity = $1 and key = any($2) order by key, id`
  for await (const rows of pieces(client, { text, values: [node.entity.name, keys] }, HISTORY_PIECE)) {
    for (const row of rows) foldOf(nameOf(row)).add(row)
  }
  return foldOf
}

/** Where nothing was scored from this feature row or a later one. */
function isSilenced({ features, classifications }: Subject, { model }: VerifiedModel): boolean {
  if (features === null || typeof features.silenced_by !== 'bigint') return false
  const madeFrom = classifications.get(model.name)?.features_lsn
  return typeof madeFrom !== 'string' || parseLsn(madeFrom) < parseLsn(String(features.snap_lsn))
}

async function checkModel(
  loaded: VerifiedModel,
  subjects: readonly Subject[],
  historyOf: (name: string) => ScoreFold,
): Promise<readonly Difference[]> {
  const values = new Map<string, FeatureValues>()
  for (const { key, outcome } of subjects) if (outcome?.kind === 'computed') values.set(key, outcome.vouched)
  const inferred = await probabilitiesOf(loaded, [...values.values()])
  const probabilities = new Map([...values.keys()].map((key, index) => [key, inferred[index] ?? null] as const))
  return subjects.flatMap((subject) => {
    const own = probabilities.get(subject.key) ?? null
    const fold = historyOf(scoreName(loaded.model.name, subject.key))
    const score = checkScore(subject, loaded, own, isSilenced(subject, loaded))
    return [...score, ...checkScoreHistory(subject, loaded, own, fold)]
  })
}

const scoreName = (model: string, key: string) => `${model}\0${key}`

function waitsForBackfill({ epoch, required }: KeyCheck, { features }: Subject): boolean {
  if (features === null) return false
  const stored = Number(features.epoch)
  return stored < epoch && stored >= required
}

export async function checkKeys(check: KeyCheck, keys: readonly string[]): Promise<KeysChecked> {
  const all = await readSubjects(check, keys)
  const subjects = all.filter((subject) => !waitsForBackfill(check, subject))
  const features = await foldHistory(
    check,
    'rescore.feature_past',
    keys,
    (row) => String(row.key),
    () => new FeatureFold(),
  )
  const scores = await foldHistory(
    check,
    'rescore.classification_past',
    keys,
    (row) => scoreName(String(row.model), String(row.key)),
    () => new ScoreFold(),
  )
  const found: Difference[] = subjects.flatMap((subject) => [
    ...checkQuarantine(subject),
    ...checkViolations(subject),
    ...checkFeatures(subject, check.epoch),
    ...checkFeatureHistory(subject, features(subject.key)),
    ...checkTimers(subject),
    ...checkUnknownModels(subject, check.knownModels),
  ])
  for (const loaded of check.models) found.push(...(await checkModel(loaded, subjects, scores)))
  const silenced = subjects.filter((subject) => check.models.some((loaded) => isSilenced(subject, loaded)))
  return { found, stale: all.length - subjects.length, silenced: silenced.length }
}
