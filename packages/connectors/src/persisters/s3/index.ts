import {
  choice,
  type ConfigOf,
  definePersister,
  type Field,
  type Persister,
  type PersisterContext,
  text,
} from '@millrace/sdk'
import { type Compression, compressions, compressionSuffix } from '../../file-output/compression.ts'
import { folderOf } from '../../object-store/names.ts'
import { storeSettings, type StoreSettings } from '../../object-store/settings.ts'
import type { ObjectStore } from '../../object-store/store.ts'

type Config = { readonly [K in keyof StoreSettings]: Field<StoreSettings[K]> } & {
  readonly bucket: Field<string>
  readonly prefix: Field<string>
  readonly format: Field<'jsonl'>
  readonly compression: Field<Compression>
}

const config: Config = {
  bucket: text({ doc: 'The bucket', aliases: ['s3_bucket'] }),
  prefix: text({
    doc: 'What the keys of all objects begin with',
    default: '',
    aliases: ['s3_key_prefix'],
    example: 'raw/shop',
  }),
  format: choice(['jsonl'], { doc: 'What is in an object', default: 'jsonl' }),
  compression: choice(compressions, {
    doc: 'Compression of JSON lines; adds .gz or .zst to the keys',
    default: 'none',
  }),
  ...storeSettings,
}

type Settings = ConfigOf<Config>

const openStore = async ({ config: settings, signal }: PersisterContext<Config>): Promise<ObjectStore> =>
  await (await import('../../object-store/store.ts')).ObjectStore.open({
    settings,
    bucket: settings.bucket,
    side: 'DESTINATION',
    signal,
  })

/** Proves that an object may be written, and leaves nothing: an upload is begun and given up. */
const check = async (ctx: PersisterContext<Config>): Promise<void> => {
  using store = await openStore(ctx)
  const key = `${folderOf(ctx.config.prefix, 'millrace-check')}/nothing`
  await store.abortUpload(key, await store.beginUpload(key))
}

const keyPattern = (settings: Settings, substream: string): string =>
  `s3://${settings.bucket}/${folderOf(settings.prefix, substream)}/<time>-<run>-<number>.jsonl${compressionSuffix[settings.compression]}`

/** Objects in a bucket, one for each substream and flush (docs/reference/s3.md). */
export const s3: Persister = definePersister({
  name: 's3',
  doc: 'Writes objects of JSON lines into a bucket of S3, or of a service that speaks as it does',
  config,
  supports: { upsert: false, exactNumbers: true, versions: false, opensRecords: false },
  // Each flush makes an object of each substream: fewer and larger ones are what readers of a lake want.
  flushes: { records: 1_000_000, bytes: 256 * 1024 * 1024, ms: 30_000 },
  open: async (ctx) => {
    const { LinesSession } = await import('./lines.ts')
    const { LakeNames } = await import('../../object-store/names.ts')
    const { prefix, compression } = ctx.config
    return new LinesSession(await openStore(ctx), { prefix, compression, names: new LakeNames() })
  },
  check,
  verify: async (ctx, evidence) => {
    const { verifyObjects } = await import('../../object-store/marks.ts')
    using store = await openStore(ctx)
    return await verifyObjects(store, evidence)
  },
  plan: async ({ config: settings }, schemas) => schemas.map(({ stream }) => `put ${keyPattern(settings, stream)}`),
})
