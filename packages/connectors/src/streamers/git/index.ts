import {
  bookmark,
  type ConfigOf,
  defineStreamer,
  list,
  type Streamer,
  type Substream,
  type SubstreamContext,
  text,
  unchanged,
} from '@millrace/sdk'
import { readHistory } from './history.ts'
import { lookAt, refRecords, type Snapshot } from './repository.ts'
import { commitSchema, fileSchema, refSchema } from './schemas.ts'

const config = {
  path: text({ doc: 'A folder in the repository, or a bare repository', default: '.' }),
  refs: list({
    doc: 'Refs to read, by full or short name, with * and ?; left out: HEAD, all branches, tags and remote branches',
    default: [],
    example: 'main,release/*',
  }),
}
type Settings = ConfigOf<typeof config>

/** The commits, changed files and refs of a git repository. Uses the installed git, read only. */
export const git: Streamer = defineStreamer({
  name: 'git',
  doc: 'Reads the commits, changed files, branches and tags of a git repository; later runs only what is new.',
  config,
  reference: {
    settings: {},
    state: {
      doc: '`heads`: what was at the ends of the refs; `trail`: commits that were read, each with its number, thinner the older they are, to be found again where a ref was forced; the bookmark of refs is a fingerprint of them',
      example: {
        bookmarks: {
          commits: {
            bookmark: {
              heads: ['c6dbd3e5…'],
              trail: [
                [1, '250626ab…'],
                [66, '58a4fd37…'],
              ],
            },
          },
          files: {
            bookmark: {
              heads: ['c6dbd3e5…'],
              trail: [
                [1, '250626ab…'],
                [66, '58a4fd37…'],
              ],
            },
          },
          refs: { bookmark: 'b9da3f82f778adc8' },
        },
      },
    },
    page: 'git.md',
  },
  check: async (ctx) => {
    await lookAt(ctx.config.path, ctx.config.refs, ctx.signal)
  },
  substreams: (outer) => {
    const { path, refs } = outer.config
    // One look for all substreams, so that they agree.
    let look: Promise<Snapshot> | undefined
    const snapshot = (ctx: SubstreamContext<typeof config>): Promise<Snapshot> => {
      look ??= lookAt(path, refs, ctx.signal)
      return look
    }
    return [commits(snapshot), files(snapshot), refsOf(snapshot, outer.config)]
  },
})

type Look = (ctx: SubstreamContext<typeof config>) => Promise<Snapshot>

const statFields = ['files_changed', 'insertions', 'deletions']

const commits = (snapshot: Look): Substream<typeof config> => ({
  name: 'commits',
  keyProperties: ['sha'],
  replicationMethod: 'INCREMENTAL',
  schema: commitSchema,
  records: async function* (ctx) {
    yield* readHistory({
      path: ctx.config.path,
      snapshot: await snapshot(ctx),
      from: ctx.bookmark,
      signal: ctx.signal,
      log: ctx.log,
      commits: true,
      files: ctx.together.has('files'),
      filesAreGuests: true,
      stats: ctx.fields === undefined || statFields.some((f) => ctx.fields?.has(f)),
    })
  },
})

const files = (snapshot: Look): Substream<typeof config> => ({
  name: 'files',
  keyProperties: ['sha', 'path'],
  replicationMethod: 'INCREMENTAL',
  schema: fileSchema,
  // The diff of a commit gives its statistics and its files: it is made once.
  readWith: 'commits',
  records: async function* (ctx) {
    yield* readHistory({
      path: ctx.config.path,
      snapshot: await snapshot(ctx),
      from: ctx.bookmark,
      signal: ctx.signal,
      log: ctx.log,
      commits: false,
      files: true,
      filesAreGuests: false,
      stats: false,
    })
  },
})

const refsOf = (snapshot: Look, settings: Settings): Substream<typeof config> => ({
  name: 'refs',
  keyProperties: ['name'],
  versioned: true,
  schema: refSchema,
  records: async function* (ctx) {
    const { fingerprint } = await snapshot(ctx)
    if (ctx.signal.aborted) return
    if (ctx.bookmark === fingerprint) {
      yield unchanged
      return
    }
    yield* refRecords(settings.path, settings.refs, ctx.signal)
    yield bookmark(fingerprint)
  },
})
