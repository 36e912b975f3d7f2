import { type Position, type Retention, type StreamStat, streamName } from '@millrace/engine'
import { isMillraceError, MillraceError } from '@millrace/sdk'
import type { AuditLine, Page, PageQuery, StreamEntry, StreamSettings } from '../control/types.ts'
import { isAdministering, ownerRights, type Principal } from '../domain/access.ts'
import { isUuid } from '../domain/ids.ts'
import { batchLogName, reservedPrefix } from './batch-log.ts'
import { type Context, infoOf } from './context.ts'
import type { StreamCatalog } from './stream-service.ts'
import type { ChangeStream, CreateStream, SettingsChange, StreamInfo, StreamListQuery, StreamRef } from './types.ts'

const maxDisplayName = 500
const maxDescription = 10_000
const maxContentType = 200
/** After this long whoever made or dropped a stream is taken for dead. */
const unfinishedMs = 60_000

const retentionOf = ({ maxAgeMs, maxBytes, maxRecords }: StreamSettings): Retention => ({
  maxAgeMs,
  maxBytes,
  maxRecords,
})

/** The settings with what is said anew of them. Throws CONTROL_ARGUMENT where that cannot be changed. */
const changed = (old: StreamSettings, change: SettingsChange): StreamSettings => {
  const isAmqp = old.amqp === true
  if ((change.amqp ?? isAmqp) !== isAmqp)
    throw new MillraceError('CONTROL_ARGUMENT', {
      why: 'whether a stream speaks AMQP is said when it is made, and stays',
    })
  const limits = { ...retentionOf(old), ...change, amqp: undefined }
  const named = Object.entries(limits).filter(([, limit]) => limit !== null && limit !== undefined)
  return { ...Object.fromEntries(named), ...(isAmqp ? { amqp: true } : {}) }
}

export class Catalog implements StreamCatalog {
  readonly #context: Context

  constructor(context: Context) {
    this.#context = context
  }

  async create(p: Principal, wanted: CreateStream): Promise<StreamInfo> {
    const { control, engine } = this.#context
    this.#context.requireScope(p, 'streams:manage')
    checkTexts(wanted)
    const id = this.#context.newId()
    const name = wanted.name === undefined ? madeName(wanted.displayName ?? 'stream', id) : chosenName(wanted.name)
    const settings = changed({ amqp: wanted.settings?.amqp }, wanted.settings ?? {})
    const stream = {
      id,
      name,
      displayName: wanted.displayName ?? name,
      description: wanted.description ?? '',
      contentType: wanted.contentType ?? 'application/json',
      settings,
      owner: { type: p.type, id: p.id },
    }
    const made = await this.#note(p, stream)
    try {
      const log = await engine.create(streamName(name), retentionOf(settings), { amqp: settings.amqp })
      await log[Symbol.asyncDispose]()
    } catch (e) {
      await control.streams.remove(id)
      throw e
    }
    await control.streams.made(id)
    return infoOf({ stream: made, rights: ownerRights })
  }

  /** Where the name is held by one that nobody finished making or dropping, that is finished first. */
  async #note(p: Principal, stream: Parameters<Context['control']['streams']['create']>[1]): Promise<StreamEntry> {
    const { control } = this.#context
    try {
      return await control.streams.create(this.#context.act(p), stream)
    } catch (e) {
      if (!isMillraceError(e) || e.code !== 'STREAM_EXISTS' || !(await this.finishUnfinished(stream.name))) throw e
      return await control.streams.create(this.#context.act(p), stream)
    }
  }

  /**
   * Drops what somebody died over: streams half made or half dropped for more than a minute, all or the one of a name. Answers
   * whether there was any.
   */
  async finishUnfinished(name?: string): Promise<boolean> {
    const before = new Date(this.#context.now().getTime() - unfinishedMs)
    const found = (await this.#context.control.streams.unfinished(before)).filter(
      (s) => name === undefined || s.name === name,
    )
    for (const stream of found) await this.#drop(stream)
    return found.length > 0
  }

  async get(p: Principal, ref: StreamRef): Promise<StreamInfo> {
    return infoOf(await this.#context.allow(p, ref, 'show'))
  }

  async list(p: Principal, query: StreamListQuery = {}): Promise<Page<StreamInfo>> {
    const { control } = this.#context
    this.#context.requireScope(p, 'streams:manage', 'records:read', 'records:write', 'admin')
    const actor = { type: p.type, id: p.id }
    const page = await control.streams.list({ ...query, actor, all: isAdministering(p) })
    return { items: page.items.map(infoOf), next: page.next }
  }

  async stat(p: Principal, ref: StreamRef): Promise<StreamStat> {
    const { stream } = await this.#context.allow(p, ref, 'show')
    return await this.#context.logs.use(stream, (log) => log.stat())
  }

  async update(p: Principal, ref: StreamRef, change: ChangeStream): Promise<StreamInfo> {
    const { stream, rights } = await this.#context.allow(p, ref, 'manage')
    checkTexts(change)
    const settings = change.settings === undefined ? undefined : changed(stream.settings, change.settings)
    if (settings !== undefined) await this.#context.logs.use(stream, (log) => log.setRetention(retentionOf(settings)))
    return infoOf({
      stream: await this.#context.control.streams.update(this.#context.act(p), stream.id, { ...change, settings }),
      rights,
    })
  }

  async delete(p: Principal, ref: StreamRef): Promise<void> {
    const { stream } = await this.#context.allow(p, ref, 'manage')
    await this.#context.control.streams.beginRemoval(this.#context.act(p), stream.id)
    await this.#drop(stream)
  }

  /** The log goes before the last note of it, so that a name never comes again with the records of somebody else. */
  async #drop(stream: StreamEntry): Promise<void> {
    const { control, logs } = this.#context
    await logs.close(stream.id)
    for (let after: string | undefined, more = true; more; ) {
      const batches = await control.batches.list(stream.id, { after, limit: 1000 })
      for (const { id } of batches.items) await this.#dropLog(batchLogName(id))
      after = batches.next
      more = after !== undefined
    }
    await this.#dropLog(stream.name)
    await control.streams.remove(stream.id)
  }

  async #dropLog(name: string): Promise<void> {
    try {
      await this.#context.engine.drop(streamName(name))
    } catch (e) {
      if (!isMillraceError(e) || e.code !== 'STREAM_UNKNOWN') throw e
    }
  }

  async trim(p: Principal, ref: StreamRef, before: Position): Promise<StreamStat> {
    const { stream } = await this.#context.allow(p, ref, 'manage')
    const stat = await this.#context.logs.use(stream, async (log) => {
      await log.trim(await log.place(before))
      return await log.stat()
    })
    await this.#context.control.streams.forgetBefore(stream.id, stat.first)
    await this.#context.control.audit.append(this.#context.act(p), [
      { action: 'stream.trimmed', streamId: stream.id, details: { first: String(stat.first) } },
    ])
    return stat
  }

  async audit(p: Principal, ref: StreamRef, query: PageQuery = {}): Promise<Page<AuditLine>> {
    const { stream } = await this.#context.allow(p, ref, 'manage')
    return await this.#context.control.audit.list({ ...query, streamId: stream.id })
  }
}

/** A name that somebody chose: ids and what we keep for ourselves are not to be had. Throws STREAM_NAME_INVALID. */
const chosenName = (name: string): string => {
  if (isUuid(name.toLowerCase()) || name.startsWith(reservedPrefix))
    throw new MillraceError('STREAM_NAME_INVALID', { name })
  return streamName(name)
}

/** A name that nobody has: what can stay of the display name, and the end of the id. */
const madeName = (displayName: string, id: string): string => {
  const kept = displayName
    .normalize('NFKD')
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 100)
  const start = kept.startsWith(reservedPrefix) ? kept.slice(reservedPrefix.length) : kept
  return streamName(`${start === '' ? 'stream' : start}-${id.slice(-12)}`)
}

const checkTexts = ({ displayName, description, contentType }: ChangeStream): void => {
  for (const [what, text, max] of [
    ['a display name', displayName, maxDisplayName],
    ['a description', description, maxDescription],
    ['a content type', contentType, maxContentType],
  ] as const)
    if (text !== undefined && (text.length > max || (what !== 'a description' && text === '')))
      throw new MillraceError('CONTROL_ARGUMENT', { why: `${what} has at most ${max} characters, and is not empty` })
  if (contentType !== undefined && !/^[\x21-\x7e]+\/[\x21-\x7e ]+$/.test(contentType))
    throw new MillraceError('CONTROL_ARGUMENT', { why: 'a content type is a text such as application/json' })
}
