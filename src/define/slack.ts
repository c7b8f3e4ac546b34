/**
 * Slack: each entity's clock for an input runs behind by a fixed share of it, so that what is due for all at midnight is
 * spread over a while.
 * Invariant: the share depends on nothing but the entity's name and key, so a value stays a pure function of rows, key and
 * instant.
 */
import { type Duration, parseDuration } from './duration.ts'

/** @returns milliseconds; 0: none @throws TypeError when it is no duration, or longer than what it spreads */
export function parseSlack(what: string, slack: Duration | undefined, atMostMs: number): number {
  if (slack === undefined) return 0
  const ms = parseDuration(what, slack)
  if (ms > atMostMs) throw new TypeError(`${what} '${slack}' must not be longer than what it spreads.`)
  return ms
}

/** FNV-1a over UTF-16 units, then mixed so that keys that differ in their last digit lie far apart. In [0, 1). */
function share(text: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32
}

/**
 * @param key of the entity, in text form
 * @returns whole milliseconds by which the clock is late, from 0 to less than `slackMs`
 */
export function latenessMs(entity: string, key: string, slackMs: number): number {
  return slackMs === 0 ? 0 : Math.floor(share(`${entity}\0${key}`) * slackMs)
}
