import type { Link } from './link.ts'
import type { Recent } from './recent.ts'
import type { Registry } from './registry.ts'

/** What the streams of one engine share. */
export interface Shared {
  readonly link: Link
  readonly registry: Registry
  readonly recent: Recent
  readonly timeoutMs: number
  readonly compress: boolean
  readonly now: () => Date
}
