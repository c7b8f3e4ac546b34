/** What is committed for each model agrees with itself: declaration, manifest, artifact, parity file, figures, card. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { growth } from './growth/model.ts'
import { risk } from './risk/model.ts'

describe.each([
  [growth, 0.77],
  [risk, 0.74],
])('model $name', (model, leak) => {
  const file = (name: string) => readFileSync(new URL(name, model.folder))
  const json = (name: string) => JSON.parse(file(name).toString())
  const manifest = json('manifest.json')

  it('declares the features its manifest lists', () => {
    const listed = manifest.inputs.map((input: { feature: string }) => input.feature)
    expect(listed.toSorted()).toStrictEqual(model.features.map(({ name }) => name).toSorted())
  })

  it('has the artifact its manifest names', () => {
    expect(createHash('sha256').update(file(manifest.artifact)).digest('hex')).toBe(manifest.sha256)
  })

  it('has a parity file with every input and probabilities that add up to one', () => {
    const { rows } = json(manifest.parity)
    expect(rows).toHaveLength(200)
    for (const row of rows) {
      expect(Object.keys(row.inputs)).toHaveLength(manifest.inputs.length)
      expect(row.probabilities[0] + row.probabilities[1]).toBeCloseTo(1, 6)
    }
  })

  it('states on its card the figures of its training, none so good that something leaked', () => {
    const figures = json('figures.json')
    const card = file('MODEL_CARD.md').toString()
    for (const figure of [figures.auc, figures.unseen.auc, figures.pr_auc]) expect(card).toContain(figure.toFixed(3))
    expect(figures.auc).toBeLessThan(leak)
    expect(figures.auc).toBeGreaterThan(0.6)
  })
})
