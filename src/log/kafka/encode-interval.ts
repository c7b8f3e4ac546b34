/**
 * Intervals as JSON: microseconds as Debezium counts them, or ISO 8601 text.
 * Invariant: what PostgreSQL keeps apart (months, days, time) is only mixed where Debezium does.
 */
import type { Copier } from './encode-types.ts'

const INTERVAL =
  /^(?:(-?\d+) years? ?)?(?:(-?\d+) mons? ?)?(?:([+-]?\d+) days? ?)?(?:([+-])?(\d+):(\d+):(\d+)(?:\.(\d+))?)?$/

interface Interval {
  readonly months: number
  readonly days: number
  /** Signed, exact. */
  readonly micros: bigint
}

function readInterval(text: string): Interval {
  const [, years = '0', months = '0', days = '0', sign = '', hours = '0', minutes = '0', seconds = '0', fraction = ''] =
    INTERVAL.exec(text) ?? []
  const micros =
    (BigInt(hours) * 3600n + BigInt(minutes) * 60n + BigInt(seconds)) * 1_000_000n + BigInt(fraction.padEnd(6, '0'))
  return {
    months: Number(years) * 12 + Number(months),
    days: Number(days),
    micros: sign === '-' ? -micros : micros,
  }
}

const DAY_MICROS = 86_400_000_000
/** Debezium's average month. */
const DAYS_PER_MONTH = 365.25 / 12

export const copyInterval: Copier = (out, source, from, to) => {
  const { months, days, micros } = readInterval(source.toString('latin1', from, to))
  out.ascii(String(BigInt(Math.round((months * DAYS_PER_MONTH + days) * DAY_MICROS)) + micros))
}

export const copyIntervalIso: Copier = (out, source, from, to) => {
  const { months, days, micros } = readInterval(source.toString('latin1', from, to))
  const seconds = micros / 1_000_000n
  const rest = micros % 1_000_000n
  const fraction =
    rest === 0n
      ? ''
      : `.${String(rest < 0n ? -rest : rest)
          .padStart(6, '0')
          .replace(/0+$/, '')}`
  const sign = seconds === 0n && rest < 0n ? '-' : ''
  out.ascii(
    `"P${Math.trunc(months / 12)}Y${months % 12}M${days}DT${seconds / 3600n}H${(seconds / 60n) % 60n}M${sign}${seconds % 60n}${fraction}S"`,
  )
}
