/** What the seeded portal is made of. Invented; any likeness to a company or a person is chance. */

type Words = readonly [string, ...string[]]

export const COMPANY_STARTS: Words = [
  'Nor',
  'Ver',
  'Lum',
  'Quo',
  'Tess',
  'Bran',
  'Ora',
  'Zeph',
  'Hel',
  'Kin',
  'Pax',
  'Mira',
  'Sol',
  'Tan',
  'Uma',
  'Wil',
  'Fen',
  'Gale',
  'Iris',
  'Jun',
]
export const COMPANY_ENDS: Words = [
  'dex',
  'ly',
  'base',
  'flow',
  'ware',
  'mint',
  'grid',
  'loop',
  'path',
  'stack',
  'wise',
  'works',
  'forge',
  'field',
  'labs',
  'metric',
  'scale',
  'sense',
  'link',
  'point',
]

export interface Industry {
  readonly name: string
  readonly subindustry: string
  readonly does: string
  readonly tags: readonly string[]
}

export const INDUSTRIES: readonly [Industry, ...Industry[]] = [
  {
    name: 'B2B',
    subindustry: 'B2B -> Engineering, Product and Design',
    does: 'tools that catch regressions before users do',
    tags: ['Developer Tools', 'SaaS', 'B2B'],
  },
  {
    name: 'B2B',
    subindustry: 'B2B -> Sales',
    does: 'forecasts a sales team can defend',
    tags: ['SaaS', 'B2B', 'Sales'],
  },
  {
    name: 'B2B',
    subindustry: 'B2B -> Analytics',
    does: 'answers from company data in plain language',
    tags: ['Artificial Intelligence', 'Analytics', 'SaaS'],
  },
  {
    name: 'Fintech',
    subindustry: 'Fintech -> Payments',
    does: 'cross-border payments for small exporters',
    tags: ['Fintech', 'Payments'],
  },
  {
    name: 'Fintech',
    subindustry: 'Fintech -> Credit and Lending',
    does: 'loans against confirmed orders',
    tags: ['Fintech', 'Lending'],
  },
  {
    name: 'Healthcare',
    subindustry: 'Healthcare -> Healthcare IT',
    does: 'scheduling for hospital wards',
    tags: ['Healthcare', 'SaaS'],
  },
  {
    name: 'Healthcare',
    subindustry: 'Healthcare -> Diagnostics',
    does: 'blood tests read by a model, signed by a doctor',
    tags: ['AI', 'Diagnostics'],
  },
  {
    name: 'Consumer',
    subindustry: 'Consumer -> Food and Beverage',
    does: 'a market for surplus from local farms',
    tags: ['Marketplace', 'Food'],
  },
  {
    name: 'Consumer',
    subindustry: 'Consumer -> Travel',
    does: 'train journeys booked as one ticket',
    tags: ['Travel', 'Marketplace'],
  },
  {
    name: 'Industrials',
    subindustry: 'Industrials -> Manufacturing and Robotics',
    does: 'robots for jobs that last a week',
    tags: ['Robotics', 'Hardware', 'Hard Tech'],
  },
  {
    name: 'Education',
    subindustry: 'Education',
    does: 'maths practice that adapts to each pupil',
    tags: ['Education', 'Machine Learning'],
  },
  {
    name: 'Real Estate and Construction',
    subindustry: 'Real Estate and Construction -> Construction',
    does: 'site plans that stay true to the site',
    tags: ['Construction', 'SaaS'],
  },
]

export interface Place {
  readonly city: string
  readonly country: string
  readonly regions: string
}

export const PLACES: readonly [Place, ...Place[]] = [
  { city: 'San Francisco', country: 'USA', regions: 'United States of America;America / Canada' },
  { city: 'New York', country: 'USA', regions: 'United States of America;America / Canada' },
  { city: 'Austin', country: 'USA', regions: 'United States of America;America / Canada;Fully Remote' },
  { city: 'Toronto', country: 'Canada', regions: 'Canada;America / Canada' },
  { city: 'London', country: 'United Kingdom', regions: 'United Kingdom;Europe' },
  { city: 'Berlin', country: 'Germany', regions: 'Germany;Europe;Remote;Partly Remote' },
  { city: 'Zürich', country: 'Switzerland', regions: 'Switzerland;Europe' },
  { city: 'Bengaluru', country: 'India', regions: 'India;South Asia' },
  { city: 'São Paulo', country: 'Brazil', regions: 'Brazil;Latin America' },
  { city: 'Lagos', country: 'Nigeria', regions: 'Nigeria;Africa' },
  { city: 'Singapore', country: 'Singapore', regions: 'Singapore;Southeast Asia' },
]

export const BATCHES: Words = [
  'W19',
  'S19',
  'W20',
  'S20',
  'W21',
  'S21',
  'W22',
  'S22',
  'W23',
  'S23',
  'W24',
  'S24',
  'Fall 2024',
  'Winter 2025',
  'Spring 2025',
  'Summer 2025',
]
export const FIRST_NAMES: Words = [
  'Amara',
  'Bo',
  'Chloé',
  'Dmitri',
  'Elena',
  'Farid',
  'Grace',
  'Hiro',
  'Inés',
  'Jonas',
  'Kavya',
  'Liam',
  'Mei',
  'Nadia',
  'Omar',
  'Priya',
  'Rosa',
  'Søren',
  'Tariq',
  'Yuki',
]
export const LAST_NAMES: Words = [
  'Abebe',
  'Bergström',
  'Costa',
  'Dubois',
  'Eriksen',
  'Fischer',
  'García',
  'Hassan',
  'Ito',
  'Johnson',
  'Kumar',
  'Lindqvist',
  'Müller',
  'Nguyen',
  'Okafor',
  'Petrov',
  'Rossi',
  'Silva',
  'Tanaka',
  'Weber',
]
export const SENIOR: Words = [
  'CEO',
  'CTO',
  'COO',
  'CFO',
  'Co-Founder',
  'Founder',
  'VP Engineering',
  'VP Sales',
  'Head of Product',
  'Head of Operations',
]
export const OTHERS: Words = [
  'Software Engineer',
  'Account Executive',
  'Product Manager',
  'Designer',
  'Data Analyst',
  'Customer Success Manager',
  'Recruiter',
  'Office Manager',
]
export const DEAL_KINDS: Words = ['pilot', 'annual plan', 'renewal', 'expansion', 'migration', 'proof of concept']
export const OPEN_STAGES: Words = [
  'appointmentscheduled',
  'qualifiedtobuy',
  'presentationscheduled',
  'decisionmakerboughtin',
  'contractsent',
]
