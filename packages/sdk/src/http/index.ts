/** The HTTP kit: what connectors that speak HTTP share. See docs/reference/http-kit.md. */

export { httpClient } from './client.ts'
export { systemClock } from './clock.ts'
export { statusOf } from './failures.ts'
export { type JsonPath, jsonPath, valueAt, withValueAt } from './json-path.ts'
export { nextLink } from './link-header.ts'
export { type Page, type PagePosition, type PageStyle, type PagesRequest, pages } from './pages.ts'
export { inOrder } from './slots.ts'
export { fileTokenStore } from './token-store.ts'
export type * from './types.ts'
