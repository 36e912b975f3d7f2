/** Pull requests, events, and the reviews of the pull requests that changed. */
import type { JsonObject } from '@millrace/sdk'
import { inOrder, statusOf } from '@millrace/sdk/http'
import { goneStatuses } from './api.ts'
import { type FallingList, readFalling } from './read-falling.ts'
import { morePages, objectsOf, type Reader, type Reading } from './reading.ts'

const pulls: FallingList = {
  path: 'pulls',
  query: { state: 'all', sort: 'updated', direction: 'desc' },
  key: 'updated_at',
  firstQuery: { sort: 'created', direction: 'asc' },
}

export const fallingReader = (list: FallingList): Reader =>
  async function* (reading) {
    for await (const { records, place } of readFalling(reading, list)) {
      if (records.length > 0) yield { records }
      if (place !== undefined) yield { place }
    }
  }

export const readPulls: Reader = fallingReader(pulls)

export const readEvents: Reader = fallingReader({ path: 'events', query: {}, key: 'created_at' })

/** A pull request is updated by each of its reviews, so those of changed ones are all that can be new. */
export const readReviews: Reader = async function* (reading) {
  for await (const { records, place } of readFalling(reading, pulls)) {
    const asked = inOrder(records, reading.github.settings.maxConcurrent, (pull) => reviewsOf(reading, pull))
    for await (const reviews of asked) if (reviews.length > 0) yield { records: reviews }
    if (place !== undefined) yield { place }
  }
}

const reviewsOf = async (reading: Reading, pull: JsonObject): Promise<readonly JsonObject[]> => {
  const { number } = pull
  const found: JsonObject[] = []
  try {
    for await (const page of morePages(reading, `pulls/${String(number)}/reviews`, {}))
      for (const review of objectsOf(page.records)) found.push({ ...review, pull_request_number: number ?? null })
  } catch (e) {
    if (!goneStatuses.includes(statusOf(e) ?? 0)) throw e
    reading.github.log.warn('a pull request is not there any more', { repository: reading.repository.name })
  }
  return found
}
