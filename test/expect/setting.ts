/** The test project with something expected of many of its features: every rule, and every way of dealing with it. */
import { type AnyFeature, defineConfig, type Expectation, type ProjectConfig } from '../../src/define/index.ts'
import { projectConfig } from '../support/project-features.ts'

const EXPECTED: Readonly<Record<string, Expectation>> = {
  amount: { min: 0, maxDelta: 3, otherwise: 'block' },
  visits: { max: 6, otherwise: 'block' },
  emails: { oneOf: Array.from({ length: 9 }, (_, index) => index), otherwise: 'quarantine' },
  mean_score: { maxNullRate: 0.5, maxDelta: { rel: 0.5 }, otherwise: 'block' },
  about_length: { maxNullRate: 0.6, otherwise: 'warn' },
  size: { notNull: true, otherwise: 'block' },
  touches: { max: 30, maxDelta: 9, otherwise: 'quarantine' },
  last_kind: { maxNullRate: 0.3, otherwise: 'quarantine' },
}

function expecting({ features, models }: ProjectConfig): ProjectConfig {
  const made = new Map<AnyFeature, AnyFeature>()
  const next = (feature: AnyFeature): AnyFeature => {
    const known = made.get(feature)
    if (known !== undefined) return known
    const inputs = Object.fromEntries(
      Object.entries(feature.inputs).map(([alias, input]) => [alias, input.input === 'feature' ? next(input) : input]),
    )
    const changed = { ...feature, inputs, expect: EXPECTED[feature.name] ?? null }
    made.set(feature, changed)
    return changed
  }
  return defineConfig({
    features: features.map(next),
    models: models.map((model) => ({ ...model, features: model.features.map(next) })),
  })
}

export const expectingConfig = expecting(projectConfig)
