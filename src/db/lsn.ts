/**
 * Log sequence numbers: bigint in code, `16/B374D848` at the border to PostgreSQL.
 * Invariant: never a JavaScript number, never compared as text (the text form is not padded).
 */

const LSN = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/

/** @throws TypeError when the text is not an LSN */
export function parseLsn(text: string): bigint {
  const match = LSN.exec(text)
  if (match === null) throw new TypeError(`'${text}' is not an LSN; expected a form such as 16/B374D848.`)
  return (BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`)
}

export function formatLsn(lsn: bigint): string {
  if (lsn < 0n || lsn > 0xffff_ffff_ffff_ffffn) throw new RangeError(`${lsn} does not fit 64 bits.`)
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffff_ffffn).toString(16).toUpperCase()}`
}
