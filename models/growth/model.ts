/** How likely a company’s team grows by a fifth and by two people or more within six months: see MODEL_CARD.md for what it is worth. */
import * as features from '../../features/company.ts'
import { defineModel } from '../../src/define/index.ts'

export const growth = defineModel({
  name: 'growth',
  entity: features.company,
  folder: import.meta.url,
  description: 'How likely a company’s team grows by a fifth and by two people or more within six months',
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
    features.teamSizeEdits,
    features.hiringChanges,
    features.teamTrend,
    features.editsPerYear,
  ],
})
