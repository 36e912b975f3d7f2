/**
 * A bucket. The one place that knows the AWS SDK, which is loaded when a store is opened.
 *
 * It keeps to what services that speak S3 have in common: checksums only where they are asked for, objects deleted one
 * by one (some want Content-MD5 where many are deleted at once), and `If-None-Match`, which protects an object from
 * being overwritten, given up where the service does not know it.
 */
import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import type { PutObjectCommandInput, S3Client } from '@aws-sdk/client-s3'
import { type Side, nameOf, statusOf, storeFault } from './faults.ts'
import type { StoreSettings } from './settings.ts'
import { SpareParts } from './spare-parts.ts'

type Sdk = typeof import('@aws-sdk/client-s3')

const maxAttempts = 4
const connectMs = 10_000
/** A connection that carries nothing for so long is given up. */
const silentMs = 60_000
/** Requests under way at once. */
const maxSockets = 8

const nothing = (): void => {}
/** Its advice is for programmers; what matters to a user is in the errors. */
const silent = { trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing }

/** An object as a list shows it. */
export interface StoredObject {
  readonly key: string
  readonly size: number
  readonly modifiedMs: number
  /** The service's mark of its content. */
  readonly etag: string
}

export interface StoreOptions {
  readonly settings: StoreSettings
  readonly bucket: string
  readonly side: Side
  /** Ends what is under way. */
  readonly signal?: AbortSignal
}

/** A part of a multipart upload that the service has. */
export interface UploadedPart {
  readonly ETag: string | undefined
  readonly PartNumber: number
}

/** Every method throws SOURCE_* or DESTINATION_*, after tries with growing pauses. */
export class ObjectStore implements Disposable {
  readonly bucket: string
  readonly #sdk: Sdk
  readonly #client: S3Client
  readonly #side: Side
  readonly #endpoint: string
  readonly #signal: AbortSignal | undefined
  /** Whether the service knows If-None-Match: it does until it says no. */
  #knowsConditions = true

  /** What uploads to this store fill. */
  readonly spareParts: SpareParts = new SpareParts()

  private constructor(sdk: Sdk, client: S3Client, options: StoreOptions) {
    this.#sdk = sdk
    this.#client = client
    this.bucket = options.bucket
    this.#side = options.side
    this.#endpoint = options.settings.endpoint ?? `AWS in ${options.settings.region}`
    this.#signal = options.signal
  }

  /** Loads the SDK; asks nothing of the service yet. */
  static async open(options: StoreOptions): Promise<ObjectStore> {
    const sdk = await import('@aws-sdk/client-s3')
    const { endpoint, region, accessKeyId, secretAccessKey, sessionToken, addressing } = options.settings
    const client = new sdk.S3Client({
      region,
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(accessKeyId === undefined
        ? {}
        : {
            credentials: {
              accessKeyId,
              secretAccessKey: secretAccessKey ?? '',
              ...(sessionToken === undefined ? {} : { sessionToken }),
            },
          }),
      forcePathStyle: addressing === 'path' || (addressing === 'auto' && endpoint !== undefined),
      followRegionRedirects: endpoint === undefined,
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      maxAttempts,
      logger: silent,
      requestHandler: {
        connectionTimeout: connectMs,
        socketTimeout: silentMs,
        httpAgent: { maxSockets },
        httpsAgent: { maxSockets },
      },
    })
    return new ObjectStore(sdk, client, options)
  }

  /** `s3://bucket/key`. */
  address(key: string): string {
    return `s3://${this.bucket}/${key}`
  }

  /** All objects whose keys begin so, in the order of their keys, a page at a time. */
  async *list(prefix: string): AsyncGenerator<readonly StoredObject[], void, undefined> {
    let token: string | undefined
    do {
      const page = await this.#ask(prefix, (o) =>
        this.#client.send(
          new this.#sdk.ListObjectsV2Command({ Bucket: this.bucket, Prefix: prefix, ContinuationToken: token }),
          o,
        ),
      )
      yield (page.Contents ?? []).map((c) => ({
        key: c.Key ?? '',
        size: c.Size ?? 0,
        modifiedMs: c.LastModified?.getTime() ?? 0,
        etag: c.ETag ?? '',
      }))
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined
    } while (token !== undefined)
  }

  /** What the service knows of an object; undefined where there is none. */
  async head(key: string): Promise<StoredObject | undefined> {
    return await this.#ask(key, async (o) => {
      try {
        const h = await this.#client.send(new this.#sdk.HeadObjectCommand({ Bucket: this.bucket, Key: key }), o)
        const modifiedMs = h.LastModified?.getTime() ?? 0
        return { key, size: h.ContentLength ?? 0, modifiedMs, etag: h.ETag ?? '' }
      } catch (e) {
        if (statusOf(e) === 404 && nameOf(e) !== 'NoSuchBucket') return undefined
        throw e
      }
    })
  }

  /** The bytes of an object from a place on. With `etag` only where it is still that object. */
  async read(key: string, from: number, etag: string | undefined): Promise<Readable> {
    const answer = await this.#ask(key, (o) =>
      this.#client.send(
        new this.#sdk.GetObjectCommand({
          Bucket: this.bucket,
          Key: key,
          ...(from > 0 ? { Range: `bytes=${from}-` } : {}),
          ...(etag === undefined ? {} : { IfMatch: etag }),
        }),
        o,
      ),
    )
    return answer.Body as Readable
  }

  /** Some bytes of an object, at most `length`. */
  async slice(key: string, from: number, length: number): Promise<Buffer> {
    if (length === 0) return Buffer.alloc(0)
    return await this.#ask(key, async (o) => {
      const answer = await this.#client.send(
        new this.#sdk.GetObjectCommand({ Bucket: this.bucket, Key: key, Range: `bytes=${from}-${from + length - 1}` }),
        o,
      )
      return Buffer.from((await answer.Body?.transformToByteArray()) ?? [])
    })
  }

  /** What reading failed with, in the middle of an object. */
  fault(e: unknown, key: string): Error {
    return storeFault(e, {
      side: this.#side,
      what: this.address(key),
      bucket: this.bucket,
      endpoint: this.#endpoint,
    })
  }

  /** Puts a whole object, and answers the service's mark of it. It overwrites none where the service can see to that. */
  async put(key: string, body: Buffer): Promise<string> {
    const put = (condition: Pick<PutObjectCommandInput, 'IfNoneMatch'>) => (o: object) =>
      this.#client.send(new this.#sdk.PutObjectCommand({ Bucket: this.bucket, Key: key, Body: body, ...condition }), o)
    return await this.#ask(key, (o) =>
      this.#once(put, o, async () => {
        // The first try may have put it, and only its answer was lost.
        const there = await this.head(key)
        const md5 = createHash('md5').update(body).digest('hex')
        return there?.size === body.length && there.etag.replaceAll('"', '') === md5 ? there.etag : undefined
      }),
    )
  }

  /** Begins an upload in parts; nothing is visible before {@link completeUpload}. */
  async beginUpload(key: string): Promise<string> {
    const begun = await this.#ask(key, (o) =>
      this.#client.send(new this.#sdk.CreateMultipartUploadCommand({ Bucket: this.bucket, Key: key }), o),
    )
    return begun.UploadId as string
  }

  async putPart(key: string, uploadId: string, part: { number: number; body: Buffer }): Promise<UploadedPart> {
    const answer = await this.#ask(key, (o) =>
      this.#client.send(
        new this.#sdk.UploadPartCommand({
          Bucket: this.bucket,
          Key: key,
          UploadId: uploadId,
          PartNumber: part.number,
          Body: part.body,
        }),
        o,
      ),
    )
    return { ETag: answer.ETag, PartNumber: part.number }
  }

  /** Makes the parts one object, visible from now on; answers the service's mark of it. */
  async completeUpload(key: string, uploadId: string, parts: readonly UploadedPart[], size: number): Promise<string> {
    const complete = (condition: Pick<PutObjectCommandInput, 'IfNoneMatch'>) => (o: object) =>
      this.#client.send(
        new this.#sdk.CompleteMultipartUploadCommand({
          Bucket: this.bucket,
          Key: key,
          UploadId: uploadId,
          MultipartUpload: { Parts: [...parts] },
          ...condition,
        }),
        o,
      )
    return await this.#ask(key, (o) =>
      this.#once(complete, o, async () => {
        const there = await this.head(key)
        return there?.size === size ? there.etag : undefined
      }),
    )
  }

  /** Gives an upload up; what was sent of it is removed. */
  async abortUpload(key: string, uploadId: string): Promise<void> {
    // Not with the run's signal: that is what is put right here.
    try {
      await this.#client.send(
        new this.#sdk.AbortMultipartUploadCommand({ Bucket: this.bucket, Key: key, UploadId: uploadId }),
        { requestTimeout: connectMs },
      )
    } catch (e) {
      if (nameOf(e) !== 'NoSuchUpload') throw this.fault(e, key)
    }
  }

  /** Proves that objects may be written below a prefix, and leaves nothing: an upload is begun and given up. */
  async mayWrite(prefix: string): Promise<void> {
    const key = `${prefix}${prefix === '' || prefix.endsWith('/') ? '' : '/'}millrace-check`
    await this.abortUpload(key, await this.beginUpload(key))
  }

  async remove(key: string): Promise<void> {
    await this.#ask(key, (o) =>
      this.#client.send(new this.#sdk.DeleteObjectCommand({ Bucket: this.bucket, Key: key }), o),
    )
  }

  [Symbol.dispose](): void {
    this.#client.destroy()
  }

  /**
   * Sends a request that makes an object, so that it overwrites none. `already` answers the mark of the object that is
   * there, where it is the one that was to be made: then an earlier try had done it.
   */
  async #once(
    request: (
      c: Pick<PutObjectCommandInput, 'IfNoneMatch'>,
    ) => (o: object) => Promise<{ readonly ETag?: string | undefined }>,
    o: object,
    already: () => Promise<string | undefined>,
  ): Promise<string> {
    const conditional = this.#knowsConditions
    try {
      try {
        return (await request(conditional ? { IfNoneMatch: '*' } : {})(o)).ETag ?? ''
      } catch (e) {
        if (!conditional || (statusOf(e) !== 501 && nameOf(e) !== 'NotImplemented')) throw e
        this.#knowsConditions = false
        return (await request({})(o)).ETag ?? ''
      }
    } catch (e) {
      const mark = ['PreconditionFailed', 'NoSuchUpload'].includes(nameOf(e)) ? await already() : undefined
      if (mark === undefined) throw e
      return mark
    }
  }

  async #ask<T>(key: string, request: (options: { readonly abortSignal?: AbortSignal }) => Promise<T>): Promise<T> {
    try {
      return await request(this.#signal === undefined ? {} : { abortSignal: this.#signal })
    } catch (e) {
      throw this.fault(e, key)
    }
  }
}
