/** Backfills as lines, and one of them as it goes on. */
import { ENDED } from '../backfill/job.ts'
import { type Progress, readProgressOf } from '../backfill/progress.ts'
import { sleep } from '../db/backoff.ts'
import type { Pool } from '../db/pool.ts'
import { note, paint, table } from './output.ts'

const WATCH_EVERY_MS = 500

const COLOURS = { done: 'green', failed: 'red', paused: 'yellow', planned: 'yellow' } as const

function stateText({ state }: Progress): string {
  return state === 'running' || state === 'cancelled' ? state : paint(state, COLOURS[state])
}

function duration(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`
  return seconds < 5_400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3_600).toFixed(1)} h`
}

const or = (value: number | null, text: (value: number) => string) => (value === null ? '-' : text(value))

function whatOf({ entity, features, policy, condition, priority, rate, isSilent }: Progress): string {
  const parts = [
    features.length === 0 ? entity : features.map((name) => `${entity}.${name}`).join(' '),
    `--${policy}`,
    condition === null ? '' : `--where "${condition}"`,
    priority === null ? '' : `--order "${priority}"`,
    rate === null ? '' : `--rate ${rate}`,
    isSilent ? '--silent' : '',
  ]
  const text = parts.filter((part) => part !== '').join(' ')
  return text.length > 70 ? `${text.slice(0, 69)}…` : text
}

export function renderBackfills(backfills: readonly Progress[]): string {
  if (backfills.length === 0) return 'no backfills yet'
  const header = [
    'id',
    'state',
    'done',
    'rate/s',
    'left',
    'changed',
    'unchanged',
    'fresh',
    'failed',
    'gone',
    'live lag',
    'what',
  ]
  const rows = backfills.map((one) => [
    String(one.id),
    stateText(one),
    `${one.done} / ${one.isTotalExact ? '' : '~'}${one.total}`,
    or(one.ratePerSecond, (rate) => rate.toFixed(0)),
    or(one.leftSeconds, duration),
    ...[one.changed, one.unchanged, one.fresh, one.failed, one.gone].map(String),
    or(one.liveLagSeconds, (seconds) => `${seconds.toFixed(2)} s`),
    whatOf(one),
  ])
  const shares = backfills.flatMap(({ id, state, workers }) => {
    if (state === 'done' || state === 'cancelled' || workers.length < 2) return []
    return [`${id} is shared: ${workers.map(({ worker, entities }) => `${worker} has done ${entities}`).join(', ')}`]
  })
  const failures = backfills.flatMap(({ id, failure }) => (failure === null ? [] : [`${id} failed: ${failure}`]))
  return [table(header, rows), ...shares, ...failures, ...unattended(backfills)].join('\n')
}

/** No stage has said anything of late: nobody is there to do it. */
function unattended(backfills: readonly Progress[]): readonly string[] {
  const isWaiting = backfills.some(({ state, liveLagSeconds }) => state === 'running' && liveLagSeconds === null)
  return isWaiting ? ['no worker is at it: what runs goes on once the service does (rescore start)'] : []
}

function line(now: Progress): string {
  const of = `${now.done} / ${now.isTotalExact ? '' : '~'}${now.total}`
  const counts = `${now.changed} changed, ${now.unchanged} unchanged, ${now.failed} failed`
  const lag = or(now.liveLagSeconds, (seconds) => `${seconds.toFixed(2)} s`)
  return `backfill ${now.id} ${now.state}: ${of}, ${or(now.leftSeconds, duration)} left; ${counts}; live lag ${lag}`
}

/** Until it runs no more, or the signal aborts: the backfill itself goes on. Lines go to stderr. */
export async function watchBackfill(pool: Pool, id: bigint, signal: AbortSignal): Promise<Progress | null> {
  let said = ''
  for (;;) {
    const now = await readProgressOf(pool, id)
    if (now === null) return null
    const text = line(now)
    if (text !== said) [text, ...unattended([now])].forEach(note)
    said = text
    if ([...ENDED, 'failed', 'planned', 'paused'].includes(now.state)) return now
    await sleep(WATCH_EVERY_MS, signal)
  }
}
