/** Rows, fingerprints, tolerance and labels: the pure parts of scoring. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { pair } from '../../test/support/models/pair/model.ts'
import { encodeRow, fingerprint, type StoredValue } from './encode.ts'
import { classify, settle } from './label.ts'
import { parseManifest } from './manifest.ts'
import { PROBABILITY_TOLERANCE, sameProbabilities } from './tolerance.ts'

const manifest = parseManifest('pair', readFileSync(new URL('manifest.json', pair.folder), 'utf8'))

function encoded(...values: StoredValue[]): Float32Array {
  const row = new Float32Array(3)
  encodeRow(manifest, values, row)
  return row
}

const prints = (...values: StoredValue[]) => fingerprint(encoded(...values))

describe('a row', () => {
  test('is float32 in manifest order, with the missing tokens of the manifest', () => {
    expect(encoded(0.1, 3n, true)).toEqual(Float32Array.of(0.1, 3, 1))
    expect(encoded(null, null, null)).toEqual(Float32Array.of(Number.NaN, 0, 0))
    expect(encoded(1, 2, false)).toEqual(Float32Array.of(1, 2, 0))
  })

  test.each([
    ['text for a number', ['1', 2, true]],
    ['a number for a boolean', [1, 2, 1]],
    ['a boolean for a number', [true, 2, true]],
    ['too few values', [1, 2]],
  ])('is refused with %s', (_, values: StoredValue[]) => {
    expect(() => encoded(...values)).toThrow(TypeError)
  })
})

describe('a fingerprint', () => {
  test('is the beginning of the sha-256 of the little-endian bytes', () => {
    const bytes = Buffer.alloc(12)
    bytes.writeUInt32LE(0x7fc00000, 0)
    bytes.writeFloatLE(3, 4)
    bytes.writeFloatLE(1, 8)
    expect(prints(null, 3, true)).toBe(createHash('sha256').update(bytes).digest('hex').slice(0, 32))
  })

  test('is equal exactly when the model cannot tell two rows apart', () => {
    const value = fc.oneof(fc.constant(null), fc.double({ noNaN: true }), fc.constantFrom(0, -0, 1, 1 + 1e-9, 0.1))
    const row = fc.tuple(value, value, fc.constantFrom(true, false, null))
    fc.assert(
      fc.property(row, row, (a, b) => {
        const isSame = [...encoded(...a)].every((each, index) => {
          const other = encoded(...b)[index]
          return each === other || (Number.isNaN(each) && Number.isNaN(other))
        })
        expect(prints(...a) === prints(...b)).toBe(isSame)
      }),
    )
  })
})

describe('probabilities', () => {
  test('are the same within the tolerance, both ways round, and never when one is not a number', () => {
    expect(sameProbabilities([0.5, 0.5], [0.5 + 9e-7, 0.5 - 9e-7])).toBe(true)
    expect(sameProbabilities([0.5, 0.5], [0.5 + 1.1e-6, 0.5])).toBe(false)
    expect(sameProbabilities([0.5], [0.5, 0.5])).toBe(false)
    expect(sameProbabilities([Number.NaN], [Number.NaN])).toBe(false)
  })
})

describe('a label', () => {
  const three = { ...manifest, classes: ['a', 'b', 'c'], positive: 'b', threshold: 0.4 }
  const at = (busy: number) => classify(manifest, [1 - busy, busy])

  test('is the positive class from its threshold on, else the most probable of the others', () => {
    expect(at(0.5)).toMatchObject({ label: 'busy', probability: 0.5 })
    expect(at(0.4999)).toMatchObject({ label: 'quiet', probability: 0.4999 })
    expect(classify(three, [0.5, 0.4, 0.1])).toMatchObject({ label: 'b', probability: 0.4 })
    expect(classify(three, [0.25, 0.3, 0.45])).toMatchObject({ label: 'c', probability: 0.3 })
  })

  test('stays on the threshold within the tolerance, and moves beyond it', () => {
    expect(settle(manifest, at(0.5 - 4e-7), at(0.5)).label).toBe('busy')
    // Farther than half the tolerance: inference noise could carry it out of what verification lets pass.
    expect(settle(manifest, at(0.5 - 8e-7), at(0.5)).label).toBe('quiet')
    expect(settle(manifest, at(0.5 - 2e-6), at(0.5)).label).toBe('quiet')
    expect(settle(manifest, at(0.5 - 8e-7), at(0.9)).label).toBe('quiet')
    expect(settle(manifest, at(0.5 - 4e-7), { ...at(0.5), label: 'renamed' }).label).toBe('quiet')
  })

  test('moves with its threshold although the probability does not', () => {
    expect(settle({ ...manifest, threshold: 0.6 }, { ...at(0.55), label: 'quiet' }, at(0.55)).label).toBe('quiet')
  })

  test('and probabilities that are kept are always within what verification accepts, noise included', () => {
    const noise = 3.6e-7
    const probability = fc.double({ min: 0, max: 1, noNaN: true })
    const nearby = fc.double({ min: -2e-6, max: 2e-6, noNaN: true })
    fc.assert(
      fc.property(probability, nearby, (p, by) => {
        const [stored, fresh] = [at(p), at(p + by)]
        const settled = settle(manifest, fresh, stored)
        expect(Math.abs(settled.probability - fresh.probability) + noise).toBeLessThan(PROBABILITY_TOLERANCE)
        if (settled !== stored && settled.label === stored.label) expect(Math.abs(by)).toBeGreaterThan(4.9e-7)
      }),
    )
  })
})
