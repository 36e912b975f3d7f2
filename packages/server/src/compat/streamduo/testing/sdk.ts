/**
 * A client that sends what the Python SDK of StreamDuo sends, byte for byte where it matters: the same paths with and without their
 * slashes, headers, bodies with all fields and nulls, forms. It raises on any status from 400 on, as the SDK does.
 */
import { createHash, randomBytes } from 'node:crypto'

export const streamScope = 'https://api.streamduo.com/manage:streams'
export const recordScope = 'https://api.streamduo.com/read:records'

/** As the SDK cuts files. */
const partBytes = 5 * 1024 * 1024

/** What `raise_for_status` raises. */
export class HttpError extends Error {
  readonly status: number
  readonly body: string
  constructor(status: number, body: string) {
    super(`${status}: ${body}`)
    this.status = status
    this.body = body
  }
}

/** JSON as Python's `json.dumps` writes it. */
export const pythonJson = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(', ')}]`
  if (typeof value === 'object' && value !== null)
    return `{${Object.entries(value)
      .map(([k, v]) => `${pythonJson(k)}: ${pythonJson(v)}`)
      .join(', ')}}`
  if (typeof value === 'string')
    return JSON.stringify(value).replaceAll(
      /[\u007f-\uffff]/g,
      (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
    )
  return JSON.stringify(value)
}

const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('base64')

export interface Answer {
  readonly status: number
  readonly bytes: Buffer
  // biome-ignore lint/suspicious/noExplicitAny: what a test looks into, as a Python program would
  json(): any
}

/** What the constructor of the SDK's BatchData takes; any other member breaks it. */
const batchMembers = [
  'batchId',
  'streamId',
  'fileName',
  'hashes',
  'hashValue',
  'outstandingParts',
  'serverSideValidation',
  'totalParts',
  'fileType',
  'streamSchema',
  'streamPublicKey',
] as const
export interface BatchData {
  readonly batchId: string
  readonly streamId: string
  readonly fileName: string
  readonly hashes: Readonly<Record<string, string>>
  readonly hashValue: string
  readonly outstandingParts: Readonly<Record<string, unknown>>
  readonly totalParts: number
  readonly fileType: string | null
  readonly streamSchema: { readonly schemaId: string; readonly schema: string; readonly schemaType: string } | null
  readonly streamPublicKey: { readonly publicKeyId: string; readonly publicKeyValue: string } | null
}
const batchData = (json: Readonly<Record<string, unknown>>): BatchData => {
  for (const name of Object.keys(json))
    if (!(batchMembers as readonly string[]).includes(name))
      throw new TypeError(`__init__() got an unexpected keyword argument '${name}'`)
  for (const name of batchMembers.slice(0, 6))
    if (!(name in json)) throw new TypeError(`__init__() missing argument '${name}'`)
  return json as unknown as BatchData
}

export interface SdkOptions {
  /** The base URL, STREAMDUO_SDK_URL; the token endpoint lies below it. */
  readonly url: string
  readonly clientId: string
  readonly clientSecret: string
}

export class StreamDuoSdk {
  readonly #options: SdkOptions
  #scope = ''
  #token: string | undefined

  constructor(options: SdkOptions) {
    this.#options = options
  }

  /** A token for a scope; a client holds one at a time. */
  async token(scope: string): Promise<string> {
    if (this.#scope !== scope || this.#token === undefined) {
      const { clientId, clientSecret, url } = this.#options
      const form = { grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret, scope }
      const response = await fetch(`${url}/oauth2/token`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams(form).toString(),
      })
      this.#scope = scope
      this.#token = ((await response.json()) as { readonly access_token?: string }).access_token
    }
    return this.#token ?? 'None'
  }

  /** `call_api` of the SDK. `body` is a value, or JSON as text where its digits matter. */
  async call(
    scope: string,
    verb: string,
    path: string,
    more: {
      readonly body?: unknown
      readonly file?: Uint8Array
      readonly headers?: Readonly<Record<string, string>>
    } = {},
  ): Promise<Answer> {
    const headers: Record<string, string> = {
      'user-agent': 'python-requests/2.27.1',
      accept: '*/*',
      authorization: `Bearer ${await this.token(scope)}`,
      'content-type': 'application/json',
      ...more.headers,
    }
    let body: string | Uint8Array | undefined
    if (more.file !== undefined) {
      const boundary = randomBytes(16).toString('hex')
      headers['content-type'] = `multipart/form-data; boundary=${boundary}`
      body = Buffer.concat([
        Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="file"\r\n\r\n`),
        more.file,
        Buffer.from(`\r\n--${boundary}--\r\n`),
      ])
    } else if (more.body !== undefined) body = typeof more.body === 'string' ? more.body : pythonJson(more.body)
    const response = await fetch(`${this.#options.url}${path}`, {
      method: verb,
      headers,
      ...(body === undefined ? {} : { body: body as string }),
    })
    const bytes = Buffer.from(await response.arrayBuffer())
    if (response.status >= 400) throw new HttpError(response.status, bytes.toString())
    return { status: response.status, bytes, json: () => JSON.parse(bytes.toString()) }
  }

  health = (): Promise<Answer> => this.call(streamScope, 'GET', '/health')

  // — streams —
  createStream = (displayName: string): Promise<Answer> =>
    this.call(streamScope, 'POST', '/stream', { body: { displayName } })
  getStream = (id: string): Promise<Answer> => this.call(streamScope, 'GET', `/stream/${id}`)
  deleteStream = (id: string): Promise<Answer> => this.call(streamScope, 'DELETE', `/stream/${id}`)
  addMachineClient = (id: string, name: string, isProducer = false, isConsumer = false): Promise<Answer> =>
    this.call(streamScope, 'POST', `/stream/${id}/permissions`, {
      body: { actorDisplayName: name, isProducer, isConsumer, actorType: 'CLIENT' },
    })
  addUser = (id: string, email: string, isProducer = false, isConsumer = false): Promise<Answer> =>
    this.call(streamScope, 'POST', `/stream/${id}/permissions`, {
      body: { actorDisplayName: email, isProducer, isConsumer, actorType: 'USER' },
    })
  removeActor = (id: string, actorId: string, actorType: 'CLIENT' | 'USER'): Promise<Answer> =>
    this.call(streamScope, 'DELETE', `/stream/${id}/permissions`, { body: { actorId, actorType } })

  // — clients and users —
  getClients = (): Promise<Answer> => this.call(streamScope, 'GET', '/client')
  createClient = (clientDisplayName: string, clientDescription: string): Promise<Answer> =>
    this.call(streamScope, 'POST', '/client', { body: { clientDisplayName, clientDescription } })
  getClient = (id: string): Promise<Answer> => this.call(streamScope, 'GET', `/client/${id}`)
  deleteClient = (id: string): Promise<Answer> => this.call(streamScope, 'DELETE', `/client/${id}`)
  getUser = (): Promise<Answer> => this.call(streamScope, 'GET', '/user')
  createUser = (): Promise<Answer> => this.call(streamScope, 'POST', '/user')

  // — records —
  writeRecord = (id: string, payload: unknown, recordId: string | null = null): Promise<Answer> =>
    this.call(recordScope, 'POST', `/stream/${id}/record/`, {
      body: { recordId, streamId: null, recordTimeStampISO: null, readStatus: null, dataPayload: payload },
    })
  read = (id: string, type: string, fields: Readonly<Record<string, unknown>> = {}): Promise<Answer> =>
    this.call(recordScope, 'POST', `/stream/${id}/record-request`, {
      body: {
        readRecordRequestType: type,
        recordCount: null,
        recordId: null,
        markAsRead: null,
        recordTimeStampISO: null,
        ...fields,
      },
    })
  readUnread = (id: string, markAsRead: boolean, recordCount: number): Promise<Answer> =>
    this.read(id, 'UNREAD', { markAsRead, recordCount })
  readRecord = (id: string, recordId: string, markAsRead: boolean): Promise<Answer> =>
    this.read(id, 'SINGLE', { recordId, markAsRead, recordCount: 1 })
  simpleReadUnread = (id: string): Promise<Answer> => this.call(recordScope, 'GET', `/stream/${id}/record/unread`)
  markRead = (id: string, recordId: string): Promise<Answer> =>
    this.call(recordScope, 'POST', `/stream/${id}/record/${encodeURIComponent(recordId)}/mark-read`)

  // — schemas and keys —
  createSchema = (id: string, schema: unknown, schemaType = 'JSON'): Promise<Answer> =>
    this.call(recordScope, 'POST', `/streams/${id}/schemas`, { body: { schema, schemaType } })
  getSchema = (id: string, schemaId: string): Promise<Answer> =>
    this.call(recordScope, 'GET', `/streams/${id}/schemas/${schemaId}/`)
  deleteSchema = (id: string, schemaId: string): Promise<Answer> =>
    this.call(recordScope, 'DELETE', `/streams/${id}/schemas/${schemaId}/`)
  setActiveSchema = (id: string, schemaId: string): Promise<Answer> =>
    this.call(recordScope, 'POST', `/stream/${id}/schemas/active`, { body: { schemaId } })
  uploadKey = (id: string, publicKey: string): Promise<Answer> =>
    this.call(recordScope, 'POST', `/stream/${id}/keys/`, {
      body: {
        publicKeyId: null,
        publicKeyAlgorithm: 'CURVE25519',
        publicKeyVersion: null,
        publicKeyEncoding: 'BASE64',
        publicKey,
        publicKeyDescription: null,
      },
    })
  setActiveKey = (id: string, keyId: string): Promise<Answer> =>
    this.call(recordScope, 'POST', `/stream/${id}/keys/active`, { body: { keyId } })
  generateKey = (id: string, publicKeyDescription: string): Promise<Answer> =>
    this.call(recordScope, 'POST', `/stream/${id}/keys/generate`, {
      body: { publicKeyAlgorithm: 'CURVE25519', publicKeyEncoding: 'BASE64', publicKeyDescription },
    })

  // — files —
  initBatch = async (id: string, file: Uint8Array, fileName: string): Promise<BatchData> => {
    const hashes: Record<string, string> = {}
    let part = 1
    for (let at = 0; at < file.length; at += partBytes) hashes[part++] = md5(file.subarray(at, at + partBytes))
    const extension = fileName.split('.').at(-1)?.toUpperCase() ?? ''
    const body = {
      fileName,
      hashes,
      hashValue: md5(file),
      fileType: ['JSON', 'AVRO', 'CSV'].includes(extension) ? extension : null,
      serverSideValidation: false,
      // As the SDK counts them: one too many.
      totalParts: part,
    }
    return batchData((await this.call(recordScope, 'POST', `/stream/${id}/batch/init`, { body })).json())
  }
  sendPart = async ({ streamId, batchId }: BatchData, part: number | string, bytes: Uint8Array): Promise<BatchData> =>
    batchData(
      (
        await this.call(recordScope, 'POST', `/stream/${streamId}/batch/${batchId}/upload-part/${part}`, {
          file: bytes,
        })
      ).json(),
    )
  /** `seal` stands for libsodium's sealed boxes. */
  sendFile = async (
    id: string,
    file: Uint8Array,
    { name, seal }: { readonly name: string; readonly seal?: (bytes: Uint8Array, publicKey: string) => Uint8Array },
  ): Promise<BatchData> => {
    let batch = await this.initBatch(id, file, name)
    let bytes = file
    if (batch.streamPublicKey !== null && seal !== undefined) {
      bytes = seal(file, batch.streamPublicKey.publicKeyValue)
      batch = await this.initBatch(id, bytes, name)
    }
    for (;;) {
      const [part] = Object.keys(batch.outstandingParts)
      if (part === undefined) return batch
      const at = (Number(part) - 1) * partBytes
      batch = await this.sendPart(batch, part, bytes.subarray(at, at + partBytes))
    }
  }
  getBatch = async (id: string, batchId: string): Promise<BatchData> =>
    batchData((await this.call(recordScope, 'GET', `/stream/${id}/batch/${batchId}`)).json())
  getFile = async (id: string, batchId: string): Promise<Buffer> => {
    const { hashes } = await this.getBatch(id, batchId)
    const parts: Buffer[] = []
    for (const [part, hash] of Object.entries(hashes)) {
      const { bytes } = await this.call(recordScope, 'GET', `/stream/${id}/batch/${batchId}/get-part/${part}`)
      if (md5(bytes) !== hash) throw new Error('ValueError')
      parts.push(bytes)
    }
    return Buffer.concat(parts)
  }
  unreadBatches = (id: string): Promise<Answer> => this.call(recordScope, 'GET', `/stream/${id}/batch/unread`)
}
