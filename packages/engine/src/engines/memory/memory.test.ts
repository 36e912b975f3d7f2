import { streamLogSuite } from '../../testing/index.ts'
import { MemoryEngine } from './index.ts'

streamLogSuite({ name: 'memory', make: async (now) => new MemoryEngine(now) })
