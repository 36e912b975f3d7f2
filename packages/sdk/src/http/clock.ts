import { setTimeout as after } from 'node:timers/promises'
import type { Clock } from './types.ts'

/** Time as it passes. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: async (ms, signal) => {
    try {
      await after(ms, undefined, signal === undefined ? {} : { signal })
    } catch (e) {
      throw signal?.reason ?? e
    }
  },
  random: Math.random,
}
