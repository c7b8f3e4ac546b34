/**
 * Where HubSpot serves what, by the version of its API. One switch: `v3` (associations and the journal then are v4) or a
 * dated version such as `2026-09`. Shapes are the same in all of them.
 */
export interface HubspotPaths {
  objects(type: string): string
  properties(type: string): string
  /** Batch read. */
  associations(from: string, to: string): string
  labels(from: string, to: string): string
  pipelines(type: string): string
  readonly owners: string
  /** Of custom objects. */
  readonly schemas: string
  readonly journal: string
  readonly subscriptions: string
  readonly token: string
}

export function hubspotPaths(version: string): HubspotPaths {
  const schemas = `/crm-object-schemas/${version}/schemas`
  if (version === 'v3') {
    return {
      objects: (type) => `/crm/v3/objects/${type}`,
      properties: (type) => `/crm/v3/properties/${type}`,
      associations: (from, to) => `/crm/v4/associations/${from}/${to}/batch/read`,
      labels: (from, to) => `/crm/v4/associations/${from}/${to}/labels`,
      pipelines: (type) => `/crm/v3/pipelines/${type}`,
      owners: '/crm/v3/owners',
      schemas,
      journal: '/webhooks/v4/journal',
      subscriptions: '/webhooks/v4/subscriptions',
      token: '/oauth/v1/token',
    }
  }
  return {
    objects: (type) => `/crm/objects/${version}/${type}`,
    properties: (type) => `/crm/properties/${version}/${type}`,
    associations: (from, to) => `/crm/associations/${version}/${from}/${to}/batch/read`,
    labels: (from, to) => `/crm/associations/${version}/${from}/${to}/labels`,
    pipelines: (type) => `/crm/pipelines/${version}/${type}`,
    owners: `/crm/owners/${version}`,
    schemas,
    journal: `/webhooks-journal/journal/${version}`,
    subscriptions: `/webhooks-journal/subscriptions/${version}`,
    token: `/oauth/${version}/token`,
  }
}
