/** The suite that every SQL destination passes. A new one lists itself in `<name>.test.ts`. */
import type { Destination } from './destination.ts'
import { evolutionTests } from './evolution.ts'
import { killTests } from './killing.ts'
import { nameTests } from './naming.ts'
import { nestedTests } from './nesting.ts'
import { orderTests } from './order.ts'
import { safetyTests } from './safety.ts'
import { valueTests } from './values.ts'

/** Defines all tests for one destination. */
export const sqlDestinationSuite = (destination: Destination): void => {
  valueTests(destination)
  evolutionTests(destination)
  nameTests(destination)
  nestedTests(destination)
  orderTests(destination)
  safetyTests(destination)
  killTests(destination)
}
