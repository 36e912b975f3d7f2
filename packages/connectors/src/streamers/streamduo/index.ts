import {
  bookmark,
  choice,
  defineStreamer,
  isObject,
  type Json,
  type JsonObject,
  MillraceError,
  type Streamer,
  type StreamerContext,
  type SubstreamContext,
  whole,
  type Yielded,
} from '@millrace/sdk'
import { streamClient, streamSettings } from '../../streamduo/settings.ts'
import { Stream, type Window } from './stream.ts'

const config = {
  ...streamSettings,
  pageSize: whole({ doc: 'Records in one request', default: 100, min: 1, max: 10_000 }),
  mark: choice(['when-stored', 'when-read'], {
    doc: 'When records are marked as read. when-stored: by the next run, which gets the state that came back; when-read: as they are read, so that a run that dies may lose them',
    default: 'when-stored',
  }),
}
type Context = StreamerContext<typeof config>

const text = { type: 'string' } as const

/** As records are; the schema that came with the first tap did not fit them. */
const schema: JsonObject = {
  type: 'object',
  properties: {
    recordId: text,
    streamId: text,
    // Not a date-time: it may end in the name of a zone.
    recordTimeStampISO: { type: ['null', 'string'] },
    readStatus: { type: ['null', 'string'] },
    dataPayload: {},
  },
}

/** A stream of StreamDuo: what nobody has read. */
export const streamduo: Streamer = defineStreamer({
  name: 'streamduo',
  doc: 'Reads what is unread of a StreamDuo stream, and marks it as read when it is stored.',
  config,
  reference: {
    page: 'streamduo.md',
    settings: { streamId: 's', clientId: 'c', clientSecret: 'x' },
    state: {
      example: {
        bookmarks: {
          records: {
            bookmark: {
              first: '2026-11-28T15:16:23.716000001Z[UTC]',
              last: '2026-11-28T15:16:24.001000007Z[UTC]',
            },
          },
        },
      },
      doc: 'What was handed out and is not marked yet, from the first record to the last: the next run marks it as read, then reads on.',
    },
  },
  substreams: () => [
    {
      name: 'records',
      keyProperties: [],
      schema,
      replicationMethod: 'INCREMENTAL',
      records: read,
    },
  ],
  check: async (ctx) => {
    const opened = open(ctx)
    await using _ = opened.client
    await new Stream(opened).unread(1)
  },
})

const open = (ctx: Context) => streamClient(ctx.config, { side: 'source', signal: ctx.signal, log: ctx.log })

async function* read(ctx: SubstreamContext<typeof config>): AsyncGenerator<Yielded> {
  const opened = open(ctx)
  await using _ = opened.client
  const stream = new Stream(opened)
  const { pageSize, mark } = ctx.config
  const stored = windowOf(ctx.bookmark)
  if (stored !== undefined) {
    await stream.mark(stored)
    // From here on nothing waits to be marked: what somebody marks as unread again is read again.
    yield bookmark({})
  }
  if (mark === 'when-read') return yield* readAndMark(stream, pageSize)
  let window: Window | undefined
  for (let page = await stream.unread(pageSize); page.length > 0; ) {
    // Behind the first page what others have read lies in between.
    const fresh = page.filter(({ isRead }) => !isRead)
    const [head, end] = [fresh[0], fresh.at(-1)]
    if (head !== undefined && end !== undefined) {
      yield fresh.map(({ record }) => record)
      window = { first: window?.first ?? head.stamp, last: end.stamp }
      yield bookmark({ ...window })
    }
    if (page.length < pageSize) return
    page = await stream.since((page.at(-1) as (typeof page)[number]).stamp, pageSize)
  }
}

async function* readAndMark(stream: Stream, pageSize: number): AsyncGenerator<Yielded> {
  for (;;) {
    const page = await stream.unread(pageSize, true)
    yield page.map(({ record }) => record)
    if (page.length < pageSize) return
  }
}

/** What the last run handed out, by the state that came back. Throws STATE_UNREADABLE. */
const windowOf = (state: Json | undefined): Window | undefined => {
  if (state === undefined || state === null) return undefined
  if (isObject(state)) {
    const { first, last } = state
    if (first === undefined && last === undefined) return undefined
    if (typeof first === 'string' && typeof last === 'string') return { first, last }
  }
  throw new MillraceError('STATE_UNREADABLE', {
    source: 'of streamduo',
    why: 'its bookmark of records has no time stamps first and last',
  })
}
