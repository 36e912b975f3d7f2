import { defineStreamer, type Json, type JsonObject, MillraceError, type Streamer, text, whole } from '@millrace/sdk'

export const weather: Streamer = defineStreamer({
  name: 'weather',
  doc: 'Readings of weather stations.',
  config: {
    url: text({ doc: 'Address of the service' }),
    token: text({ doc: 'Access token', env: ['WEATHER_TOKEN'], secret: true }),
    pageSize: whole({ doc: 'Readings a call', default: 500, min: 1, max: 1000 }),
  },
  substreams: () => [
    {
      name: 'readings',
      schema: {
        type: 'object',
        properties: {
          id: { type: 'integer' },
          station: { type: 'string' },
          at: { type: 'string', format: 'date-time' },
          celsius: { type: ['null', 'number'] },
        },
      },
      keyProperties: ['id'],
      replicationKey: 'at',
      ordered: true,
      records: async function* ({ config, bookmark, signal }) {
        let since: Json = bookmark ?? '1970-01-01T00:00:00Z'
        let after = 0
        for (;;) {
          const query = new URLSearchParams({
            since: String(since),
            after: String(after),
            limit: String(config.pageSize),
          })
          const page = await get(`${config.url}/readings?${query}`, config.token, signal)
          if (page.length === 0) return
          yield page
          const last = page.at(-1) as JsonObject
          since = last['at'] as Json
          after = last['id'] as number
        }
      },
    },
  ],
})

const get = async (url: string, token: string, signal: AbortSignal): Promise<JsonObject[]> => {
  const answer = await fetch(url, { headers: { authorization: `Bearer ${token}` }, signal }).catch((cause: Error) => {
    throw new MillraceError('SOURCE_UNAVAILABLE', { what: 'the weather service', why: cause.message }, { cause })
  })
  if (answer.status === 401)
    throw new MillraceError('SOURCE_REFUSED', { what: 'the weather service', why: 'it does not accept the token' })
  if (!answer.ok)
    throw new MillraceError('SOURCE_UNAVAILABLE', { what: 'the weather service', why: `it answers ${answer.status}` })
  return (await answer.json()) as JsonObject[]
}
