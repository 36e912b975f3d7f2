import {
  bookmark,
  defineStreamer,
  type JsonObject,
  type Streamer,
  type Substream,
  type SubstreamContext,
  type Yielded,
} from '@millrace/sdk'
import { statusOf } from '@millrace/sdk/http'
import { GitHub, goneStatuses, notThere, type Repository } from './api.ts'
import { olderState } from './older-states.ts'
import { Places } from './places.ts'
import type { Reading, Steps } from './reading.ts'
import { settings } from './settings.ts'
import { type SubstreamSpec, substreamSpecs } from './substreams.ts'

type Context = SubstreamContext<typeof settings>

/** What happens in repositories of GitHub. */
export const github: Streamer = defineStreamer({
  name: 'github',
  doc: 'Reads commits, issues, pull requests, reviews, comments, releases and more of GitHub repositories; later runs only what is new.',
  config: settings,
  reference: {
    settings: { accessToken: 'ghp_…', repository: 'octocat/hello-world' },
    page: 'github.md',
    state: {
      doc: 'For each substream and repository: `since`, up to where it was read; `etag` (and `asked`, `page`), to ask whether anything changed; `id`, by which it is found when it is renamed; `head`, the last commit; in the middle of a run `reading`, the next page',
      example: {
        bookmarks: {
          issues: {
            bookmark: {
              'octocat/hello-world': {
                id: 1296269,
                since: '2026-01-05T09:00:00Z',
                asked: '2026-01-04T17:20:11Z',
                etag: 'W/"6c4f…"',
              },
            },
          },
        },
      },
    },
  },
  olderState,
  substreams: (ctx) => {
    const shared = new GitHub(ctx.config, ctx)
    return substreamSpecs.map((spec) => substreamOf(spec, shared))
  },
  check: async (ctx) => {
    const shared = new GitHub(ctx.config, ctx)
    try {
      await repositories(shared, new Places(undefined))
    } finally {
      shared.client.close()
    }
  },
})

const substreamOf = (spec: SubstreamSpec, shared: GitHub): Substream<typeof settings> => ({
  name: spec.name,
  schema: spec.schema,
  keyProperties: spec.keys,
  replicationMethod: spec.method,
  selectedByDefault: spec.selected ?? true,
  records: (ctx) => read(spec, shared, ctx),
})

/** Each repository in turn. A stop ends it where it is: the last bookmark says where. */
async function* read(spec: SubstreamSpec, shared: GitHub, ctx: Context): AsyncGenerator<Yielded, void, undefined> {
  const places = new Places(ctx.bookmark)
  try {
    for (const { repository, asked } of await repositories(shared, places)) {
      if (ctx.signal.aborted) return
      const { name } = repository
      const added: JsonObject = { _sdc_repository: name, repository_id: repository.id }
      const place = places.of(repository, asked)
      // Also of what has no place of its own yet (an empty repository): the next run knows its id.
      places.set(name, place)
      for await (const step of fromPlace(spec, { github: shared, repository, place, substream: spec.name })) {
        if ('records' in step) yield step.records.map((r) => ({ ...r, ...added }))
        else {
          places.set(name, step.place)
          yield bookmark(places.value())
        }
      }
    }
    places.settle()
    yield bookmark(places.value())
  } catch (e) {
    // What is under way when a stop comes is given up.
    if (!ctx.signal.aborted) throw e
  }
}

/** From where it was stopped; from the last place before that, where GitHub does not know the page any more. */
async function* fromPlace(spec: SubstreamSpec, reading: Reading): Steps {
  const { reading: begun, ...before } = reading.place
  let isFirst = true
  try {
    for await (const step of spec.read(reading)) {
      isFirst = false
      yield step
    }
  } catch (e) {
    if (begun === undefined || !isFirst || ![...goneStatuses, 422].includes(statusOf(e) ?? 0)) throw e
    reading.github.log.warn('the page where the last run stopped is not there any more, reading from the first', {
      repository: reading.repository.name,
      substream: spec.name,
    })
    yield* spec.read({ ...reading, place: before })
  }
}

/** One that has another name by now keeps that of the settings, so that its records and its place stay what they were. */
const underName = (asked: string, found: Repository | undefined): Repository | undefined =>
  found === undefined || found.name.toLowerCase() === asked.toLowerCase() ? found : { ...found, name: asked }

interface Found {
  readonly repository: Repository
  /** The name in the settings. */
  readonly asked: string
}

/** Those read before are known by their ids; of others GitHub is asked. Throws SOURCE_REFUSED where one is not there. */
const repositories = async (shared: GitHub, places: Places): Promise<readonly Found[]> => {
  const found: Found[] = []
  const missing: string[] = []
  for (const asked of await shared.names()) {
    const repository = places.known(asked) ?? underName(asked, await shared.identify(asked))
    if (repository === undefined) missing.push(asked)
    else if (found.every((f) => f.repository.id !== repository.id)) found.push({ repository, asked })
  }
  if (missing.length > 0) throw notThere(missing)
  return found
}
