/** A project in its next release: one feature otherwise, and whoever reads it reads the new one. */
import { type AnyFeature, defineConfig, type ProjectConfig } from '../../src/define/index.ts'

/** @param change null: the feature is gone, which nothing may read */
export function withFeature(config: ProjectConfig, name: string, change: Partial<AnyFeature> | null): ProjectConfig {
  const made = new Map<AnyFeature, AnyFeature>()
  const next = (feature: AnyFeature): AnyFeature => {
    const known = made.get(feature)
    if (known !== undefined) return known
    const inputs = Object.fromEntries(
      Object.entries(feature.inputs).map(([alias, input]) => [alias, input.input === 'feature' ? next(input) : input]),
    )
    const changed = { ...feature, inputs, ...(feature.name === name ? change : {}) }
    made.set(feature, changed)
    return changed
  }
  const { features, models, backfill } = config
  return defineConfig({
    features: features.filter((feature) => change !== null || feature.name !== name).map(next),
    models: models.map((model) => ({ ...model, features: model.features.map(next) })),
    ...(backfill === undefined ? {} : { backfill }),
  })
}
