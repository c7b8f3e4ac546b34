/** How likely an active company becomes inactive within twelve months: see MODEL_CARD.md for what it is worth. */
import * as features from '../../features/company.ts'
import { defineModel } from '../../src/define/index.ts'

export const risk = defineModel({
  name: 'risk',
  entity: features.company,
  folder: import.meta.url,
  description: 'How likely an active company becomes inactive within twelve months',
  features: [
    features.logTeamSize,
    features.isHiring,
    features.topCompany,
    features.nonprofit,
    features.noWebsite,
    features.growthStage,
    features.batchYear,
    features.descriptionLength,
    features.oneLinerLength,
    features.tagCount,
    features.tagAi,
    features.tagSaas,
    features.tagDeveloperTools,
    features.tagMarketplace,
    features.regionCount,
    features.fullyRemote,
  ],
})
