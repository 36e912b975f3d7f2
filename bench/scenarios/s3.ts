/**
 * → S3, against the AWS SDK's own upload of the finished bytes to the same server: the one that MILLRACE_BENCH_S3 names
 * (`http://KEY:SECRET@HOST:PORT/BUCKET`, a bucket that may be filled). Without it there is nothing to measure.
 */
import { createReadStream, createWriteStream, existsSync } from 'node:fs'
import { finished } from 'node:stream/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { builtInPersisters, loadGate } from '@millrace/connectors'
import { runPersister, silentLogger } from '@millrace/sdk'
import type { DataFiles, Scenario } from '../harness.ts'

const address = process.env['MILLRACE_BENCH_S3']

const target = (): { endpoint: string; bucket: string; accessKeyId: string; secretAccessKey: string } => {
  const url = new URL(address as string)
  return {
    endpoint: url.origin,
    bucket: url.pathname.slice(1),
    accessKeyId: decodeURIComponent(url.username),
    secretAccessKey: decodeURIComponent(url.password),
  }
}

const client = (): S3Client => {
  const { endpoint, bucket: _, ...credentials } = target()
  return new S3Client({
    endpoint,
    credentials,
    region: 'us-east-1',
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  })
}

/** The records of the wide file, a line each; and the bucket. What the persister needs is loaded before the clock starts. */
const prepare = async (data: DataFiles): Promise<string> => {
  await Promise.all([builtInPersisters().get('s3'), loadGate()])
  await client()
    .send(new CreateBucketCommand({ Bucket: target().bucket }))
    .catch(() => {})
  const file = join(data.dir, 'finished.jsonl')
  if (existsSync(file)) return file
  const out = createWriteStream(file)
  for await (const line of createInterface({ input: createReadStream(data.wide) }))
    if (line.startsWith('{"type":"RECORD"'))
      out.write(`${JSON.stringify((JSON.parse(line) as { record: object }).record)}\n`)
  out.end()
  await finished(out)
  return file
}

export const s3Scenarios: readonly Scenario[] =
  address === undefined
    ? []
    : [
        {
          name: 's3',
          title: '→ s3',
          subjects: [
            {
              name: 'AWS SDK, multipart upload of the finished bytes, wide',
              prepare,
              run: async (data, file) => {
                const s3 = client()
                const Body = createReadStream(file as string, { highWaterMark: 1 << 20 })
                const params = { Bucket: target().bucket, Key: `sdk/${process.pid}`, Body }
                await new Upload({ client: s3, params, partSize: 8 << 20 }).done()
                s3.destroy()
                return data.records
              },
            },
            {
              name: 's3, validated, wide',
              prepare,
              run: async (data) => {
                const persister = await builtInPersisters().get('s3')
                const defaults = Object.entries(persister.config).map(([key, field]) => [key, field.default])
                const { books } = await runPersister(persister, {
                  config: { ...Object.fromEntries(defaults), ...target(), prefix: `ours/${process.pid}` },
                  input: createReadStream(data.wide, { highWaterMark: 256 * 1024 }),
                  writeState: () => {},
                  log: silentLogger,
                  signal: new AbortController().signal,
                  compileSchema: (await loadGate()).compileSchema,
                })
                return Object.values(books).reduce((n, b) => n + b.stored.records, 0)
              },
            },
          ],
          claims: [
            {
              path: '→ s3 (wide)',
              subject: 's3, validated, wide',
              baseline: 'AWS SDK, multipart upload of the finished bytes, wide',
              ratio: 0.8,
            },
          ],
        },
      ]
