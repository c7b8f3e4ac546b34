/** The HubSpot simulator in a process of its own, so that neither its time nor its memory counts as the service's. */
import { seedPortal, startSimulator } from '../../test/simulator/index.ts'
import type { PortalOpened, PortalOrder } from './messages.ts'
import { onOrder, tell } from './process.ts'

// Without the bench nobody would ever stop it.
process.on('disconnect', () => process.exit(0))

onOrder<PortalOrder>(async ({ companies }) => {
  const portal = seedPortal({ seed: 20_260_101, companies })
  const { url, token } = await startSimulator({ portal, rateLimits: false, indexLag: 0 })
  const records = {
    companies: portal.count('companies'),
    contacts: portal.count('contacts'),
    deals: portal.count('deals'),
  }
  tell({ url, token, records } satisfies PortalOpened)
})
