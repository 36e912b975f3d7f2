import {
  choice,
  type ConfigOf,
  definePersister,
  type Field,
  flag,
  list,
  type Persister,
  type PersisterContext,
  text,
} from '@millrace/sdk'
import { verifyFiles } from '../../file-output/evidence.ts'
import { checkFolder } from '../../file-output/settings.ts'
import { foldersLike, partitionsOf } from '../../lake/partitions.ts'
import type { LakePlace } from '../../lake/place.ts'
import { folderOf } from '../../object-store/names.ts'
import { objectPlaceOf, storeSettings, type StoreSettings } from '../../object-store/settings.ts'
import type { ObjectStore } from '../../object-store/store.ts'

type Config = { readonly [K in keyof StoreSettings]: Field<StoreSettings[K]> } & {
  readonly path: Field<string>
  readonly partitionBy: Field<readonly string[]>
  readonly nested: Field<'json' | 'flatten'>
  readonly metadata: Field<boolean>
}

const config: Config = {
  path: text({ doc: 'A folder, made where it is missing, or s3://BUCKET/PREFIX', example: 's3://lake/shop' }),
  partitionBy: list({
    doc: 'Folders field=value below that of a substream: FIELD, date(FIELD), month(FIELD), year(FIELD)',
    default: [],
    example: 'date(updated_at)',
  }),
  nested: choice(['json', 'flatten'], { doc: 'Objects: JSON, or columns a__b', default: 'json' }),
  metadata: flag({ doc: 'Add the _sdc_* columns: when a record was extracted, received and stored', default: false }),
  ...storeSettings,
}

type Settings = ConfigOf<Config>

const storeOf = async (settings: Settings, signal: AbortSignal, bucket: string): Promise<ObjectStore> =>
  await (await import('../../object-store/store.ts')).ObjectStore.open({
    settings,
    bucket,
    side: 'DESTINATION',
    signal,
  })

const placeOf = async ({ config: settings, signal }: PersisterContext<Config>): Promise<LakePlace> => {
  const { BucketPlace, FolderPlace } = await import('../../lake/place.ts')
  const s3 = objectPlaceOf(settings.path)
  return s3 === undefined
    ? await FolderPlace.open(settings.path)
    : new BucketPlace(await storeOf(settings, signal, s3.bucket), s3.prefix)
}

/** Parquet files in a folder or a bucket (docs/reference/parquet.md). */
export const parquet: Persister = definePersister({
  name: 'parquet',
  doc: 'Writes Parquet files into a folder or a bucket',
  config,
  supports: { upsert: false, exactNumbers: true, versions: false, opensRecords: false },
  // Each flush makes a file of each substream: fewer and larger ones are what readers of a lake want.
  flushes: { records: 1_000_000, bytes: 512 * 1024 * 1024, ms: 60_000 },
  open: async (ctx) => {
    partitionsOf(ctx.config.partitionBy)
    const { openParquet } = await import('../../lake/persister.ts')
    return await openParquet(await placeOf(ctx), ctx.config, ctx.log)
  },
  check: async ({ config: settings, signal }) => {
    partitionsOf(settings.partitionBy)
    const s3 = objectPlaceOf(settings.path)
    if (s3 === undefined) return await checkFolder(settings.path)
    using store = await storeOf(settings, signal, s3.bucket)
    await store.mayWrite(s3.prefix)
  },
  verify: async ({ config: settings, signal }, evidence) => {
    const s3 = objectPlaceOf(settings.path)
    if (s3 === undefined) return await verifyFiles(settings.path, evidence)
    const { verifyObjects } = await import('../../object-store/marks.ts')
    using store = await storeOf(settings, signal, s3.bucket)
    return await verifyObjects(store, evidence)
  },
  plan: async ({ config: settings }, schemas) => {
    const folders = foldersLike(settings.partitionBy)
    return schemas.map(
      ({ stream }) => `write ${folderOf(settings.path, stream)}/${folders}<time>-<run>-<number>.parquet`,
    )
  },
})
