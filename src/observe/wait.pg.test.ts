import { test } from 'vitest'
import { startIn } from '../../test/chaos/running.ts'
import { waitsForWhoeverComes } from '../../test/support/waiting.ts'

test('a wait begun before there is a service, or while it is stopped, returns when it comes', () =>
  waitsForWhoeverComes((database) => startIn(database)))
