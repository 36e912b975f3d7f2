import {
  choice,
  type ConfigOf,
  definePersister,
  type Field,
  list,
  type Persister,
  type PersisterContext,
  text,
} from '@millrace/sdk'
import { type Compression, compressions, compressionSuffix } from '../../file-output/compression.ts'
import { foldersLike, partitionsOf } from '../../lake/partitions.ts'
import { folderOf } from '../../object-store/names.ts'
import { storeSettings, type StoreSettings } from '../../object-store/settings.ts'
import type { ObjectStore } from '../../object-store/store.ts'

type Config = { readonly [K in keyof StoreSettings]: Field<StoreSettings[K]> } & {
  readonly bucket: Field<string>
  readonly prefix: Field<string>
  readonly format: Field<'jsonl' | 'parquet'>
  readonly compression: Field<Compression>
  readonly partitionBy: Field<readonly string[]>
}

const config: Config = {
  bucket: text({ doc: 'The bucket', aliases: ['s3_bucket'] }),
  prefix: text({
    doc: 'What the keys of all objects begin with',
    default: '',
    aliases: ['s3_key_prefix'],
    example: 'raw/shop',
  }),
  format: choice(['jsonl', 'parquet'], { doc: 'What is in an object', default: 'jsonl' }),
  compression: choice(compressions, {
    doc: 'Compression of JSON lines; adds .gz or .zst to the keys',
    default: 'none',
  }),
  partitionBy: list({
    doc: 'Parquet: folders field=value below that of a substream: FIELD, date(FIELD), month(FIELD), year(FIELD)',
    default: [],
    example: 'date(updated_at)',
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

const nameLike = ({ format, compression, partitionBy }: Settings): string =>
  format === 'jsonl'
    ? `<time>-<run>-<number>.jsonl${compressionSuffix[compression]}`
    : `${foldersLike(partitionBy)}<time>-<run>-<number>.parquet`

const keyPattern = (settings: Settings, substream: string): string =>
  `s3://${settings.bucket}/${folderOf(settings.prefix, substream)}/${nameLike(settings)}`

/** Objects in a bucket, one for each substream and flush (docs/reference/s3.md). */
export const s3: Persister = definePersister({
  name: 's3',
  doc: 'Writes objects of JSON lines or Parquet into a bucket of S3, or of a service that speaks as it does',
  config,
  supports: { upsert: false, exactNumbers: true, versions: false, opensRecords: false },
  // Each flush makes an object of each substream: fewer and larger ones are what readers of a lake want.
  flushes: { records: 1_000_000, bytes: 256 * 1024 * 1024, ms: 30_000 },
  open: async (ctx) => {
    const { prefix, compression, format, partitionBy } = ctx.config
    if (format === 'parquet') {
      partitionsOf(partitionBy)
      const { BucketPlace } = await import('../../lake/place.ts')
      const { openParquet } = await import('../../lake/persister.ts')
      const place = new BucketPlace(await openStore(ctx), prefix)
      return await openParquet(place, { nested: 'json', metadata: false, partitionBy }, ctx.log)
    }
    const { LinesSession } = await import('./lines.ts')
    const { LakeNames } = await import('../../object-store/names.ts')
    return new LinesSession(await openStore(ctx), { prefix, compression, names: new LakeNames() })
  },
  check: async (ctx) => {
    using store = await openStore(ctx)
    await store.mayWrite(ctx.config.prefix)
  },
  verify: async (ctx, evidence) => {
    const { verifyObjects } = await import('../../object-store/marks.ts')
    using store = await openStore(ctx)
    return await verifyObjects(store, evidence)
  },
  plan: async ({ config: settings }, schemas) => schemas.map(({ stream }) => `put ${keyPattern(settings, stream)}`),
})
