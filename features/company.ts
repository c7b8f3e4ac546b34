/** All features of a company: `import * as company from './features/company.ts'` lists them in rescore.config.ts. */
export * from './company-activity.ts'
export * from './company-entity.ts'
export * from './company-profile.ts'
export * from './company-relations.ts'
export * from './company-text.ts'
