/**
 * Dates and times as JSON: whole numbers as Debezium's adaptive mode, or ISO 8601 text.
 *
 * Invariants: microseconds are kept exactly at any date (seconds and fraction are written one behind the other, never
 * multiplied); the walsender prints in UTC and ISO (src/capture/plugin.ts), so nothing here depends on a locale. BC years
 * are astronomical in ISO (44 BC is -0043), years above 9999 carry a plus. Infinity has Debezium's numbers.
 */
import type { ByteWriter } from './encode-bytes.ts'
import type { Copier } from './encode-types.ts'

/** Cursor and fields of the value read last: one for all, because a value is read and written in one go. */
const read = { at: 0, year: 0, month: 0, day: 0, second: 0, micros: 0, hasFraction: false }

function number(source: Buffer): number {
  let value = 0
  for (let byte = source[read.at] ?? 0; byte >= 0x30 && byte <= 0x39; byte = source[read.at] ?? 0) {
    value = value * 10 + byte - 0x30
    read.at += 1
  }
  return value
}

function readDate(source: Buffer, from: number, to: number): void {
  read.at = from
  read.year = number(source)
  read.at += 1
  read.month = number(source)
  read.at += 1
  read.day = number(source)
  // ` BC` ends the whole text, behind the time too.
  if (source[to - 1] === 0x43) read.year = 1 - read.year
}

function readTime(source: Buffer, to: number): void {
  const hour = number(source)
  read.at += 1
  const minute = number(source)
  read.at += 1
  read.second = hour * 3600 + minute * 60 + number(source)
  read.micros = 0
  if (read.at < to && source[read.at] === 0x2e) {
    const start = read.at + 1
    read.at = start
    const fraction = number(source)
    read.micros = fraction * 10 ** (6 - (read.at - start))
  }
}

/** Days since 1970-01-01 of the proleptic Gregorian calendar (Howard Hinnant's days_from_civil). */
function epochDay(): number {
  const year = read.month <= 2 ? read.year - 1 : read.year
  const era = Math.floor(year / 400)
  const yearOfEra = year - era * 400
  const dayOfYear = Math.floor((153 * (read.month + (read.month > 2 ? -3 : 9)) + 2) / 5) + read.day - 1
  return era * 146_097 + yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear - 719_468
}

/** 1: infinity, -1: -infinity, 0: a date. */
function infinity(source: Buffer, from: number): number {
  const first = source[from]
  if (first === 0x69) return 1
  return first === 0x2d ? -1 : 0
}

/** seconds × 10^digits + fraction, exactly. */
function writeScaled(out: ByteWriter, seconds: number, fraction: number, digits: number): void {
  let [whole, rest] = [seconds, fraction]
  if (whole < 0) {
    out.byte(0x2d)
    whole = -whole
    if (rest > 0) {
      whole -= 1
      rest = 10 ** digits - rest
    }
  }
  if (whole === 0) {
    out.integer(rest)
    return
  }
  out.integer(whole)
  out.padded(rest, digits)
}

export const copyDate: Copier = (out, source, from, to) => {
  const infinite = infinity(source, from)
  if (infinite !== 0) {
    out.integer(infinite > 0 ? 2_146_033_979 : -2_147_472_691)
    return
  }
  readDate(source, from, to)
  out.integer(epochDay())
}

export function copyTimestamp(inMillis: boolean): Copier {
  const [most, least] = inMillis
    ? ['9223372036854775', '-9223372036854775']
    : ['9223372036854775807', '-9223372036854775808']
  return (out, source, from, to) => {
    const infinite = infinity(source, from)
    if (infinite !== 0) {
      out.ascii(infinite > 0 ? most : least)
      return
    }
    readDate(source, from, to)
    read.at += 1
    readTime(source, to)
    const seconds = epochDay() * 86_400 + read.second
    if (inMillis) writeScaled(out, seconds, Math.floor(read.micros / 1000), 3)
    else writeScaled(out, seconds, read.micros, 6)
  }
}

export function copyTime(inMillis: boolean): Copier {
  return (out, source, from, to) => {
    read.at = from
    readTime(source, to)
    if (inMillis) writeScaled(out, read.second, Math.floor(read.micros / 1000), 3)
    else writeScaled(out, read.second, read.micros, 6)
  }
}

function writeIsoDate(out: ByteWriter): void {
  if (read.year < 0) out.byte(0x2d)
  else if (read.year > 9999) out.byte(0x2b)
  const year = Math.abs(read.year)
  if (year > 9999) out.integer(year)
  else out.padded(year, 4)
  out.byte(0x2d)
  out.padded(read.month, 2)
  out.byte(0x2d)
  out.padded(read.day, 2)
}

/** @param width digits of the fraction; -1: as few as there are */
function writeIsoTime(out: ByteWriter, width: number): void {
  out.padded(Math.floor(read.second / 3600), 2)
  out.byte(0x3a)
  out.padded(Math.floor(read.second / 60) % 60, 2)
  out.byte(0x3a)
  out.padded(read.second % 60, 2)
  if (width === 0 || (width < 0 && read.micros === 0)) return
  out.byte(0x2e)
  if (width > 0) {
    out.padded(Math.floor(read.micros / 10 ** (6 - width)), width)
    return
  }
  let [fraction, digits] = [read.micros, 6]
  while (fraction % 10 === 0) {
    fraction /= 10
    digits -= 1
  }
  out.padded(fraction, digits)
}

const END_IN_UTC = Buffer.from('Z"')
const INFINITIES: Readonly<Record<number, string>> = { 1: '"infinity"', [-1]: '"-infinity"' }

export const copyDateIso: Copier = (out, source, from, to) => {
  const infinite = infinity(source, from)
  if (infinite !== 0) {
    out.ascii(INFINITIES[infinite] ?? '')
    return
  }
  readDate(source, from, to)
  out.byte(0x22)
  writeIsoDate(out)
  out.raw(END_IN_UTC)
}

function writeTimestampIso(out: ByteWriter, source: Buffer, from: number, to: number, width: number): void {
  const infinite = infinity(source, from)
  if (infinite !== 0) {
    out.ascii(INFINITIES[infinite] ?? '')
    return
  }
  readDate(source, from, to)
  read.at += 1
  readTime(source, to)
  out.byte(0x22)
  writeIsoDate(out)
  out.byte(0x54)
  writeIsoTime(out, width)
  out.raw(END_IN_UTC)
}

export const copyTimestampIso: Copier = (out, source, from, to) => writeTimestampIso(out, source, from, to, -1)

/** In UTC already, and text in both modes, with as many digits as the column has. */
export function copyTimestampTz(typmod: number): Copier {
  const width = typmod < 0 ? 6 : typmod
  return (out, source, from, to) => writeTimestampIso(out, source, from, to, width)
}

export const copyTimeIso: Copier = (out, source, from, to) => {
  read.at = from
  readTime(source, to)
  out.byte(0x22)
  writeIsoTime(out, -1)
  out.raw(END_IN_UTC)
}

/** Moved to UTC, which is what Debezium keeps of it. */
export const copyTimeTz: Copier = (out, source, from, to) => {
  read.at = from
  readTime(source, to)
  const sign = source[read.at] === 0x2d ? -1 : 1
  read.at += 1
  let offset = number(source) * 3600
  for (const unit of [60, 1]) {
    if (read.at >= to) break
    read.at += 1
    offset += number(source) * unit
  }
  read.second = (((read.second - sign * offset) % 86_400) + 86_400) % 86_400
  out.byte(0x22)
  writeIsoTime(out, -1)
  out.raw(END_IN_UTC)
}
