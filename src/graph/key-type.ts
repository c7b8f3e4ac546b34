/** PostgreSQL type of an entity's key, as in its own table and its feature table. Pure. */
import { columnOf, POSTGRES_TYPE } from '../define/index.ts'
import type { EntityNode } from './graph.ts'

export function keyType({ entity, key }: EntityNode): string {
  return POSTGRES_TYPE[columnOf(entity.table, key).kind]
}
