/** The project that is measured: the batch recipe's tables, features and model. */
import { defineConfig, defineModel, type ProjectConfig } from '../../src/define/index.ts'
import { company, companyFeatures, recentDeals, type Variant } from './features.ts'

export const MODEL = 'batch'

export function benchProject(variant: Variant): ProjectConfig {
  const features = companyFeatures(variant)
  const model = defineModel({
    name: MODEL,
    entity: company,
    folder: new URL('./model/', import.meta.url),
    description: 'The boosted trees of the batch recipe',
    features,
  })
  return defineConfig({ features: variant.isAging === true ? [...features, recentDeals] : features, models: [model] })
}

/** The recipe's own values. */
export const CURRENT: Variant = { version: 1, shift: 0 }
/** With a feature over this window. */
export const AGING: Variant = { ...CURRENT, isAging: true }
export const WINDOW_MS = 7 * 86_400_000
