/**
 * S3 for tests: OpenStack Swift with its S3 API, a real implementation by others, of Debian's packages. It is on one
 * machine and one process a service; it knows no `If-None-Match` (501), which AWS does.
 */
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { spawnSync } from 'node:child_process'
import { text } from 'node:stream/consumers'
import type { Readable } from 'node:stream'
import { S3Client, CreateBucketCommand, ListMultipartUploadsCommand } from '@aws-sdk/client-s3'
import { DeleteObjectCommand, GetObjectCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3'
import { freePort, install, OwnServer } from '@millrace/sdk/testing'

/** Seven programs in Python, perhaps on a busy machine. */
const START_MS = 120_000
const HOST = '127.0.0.1'

/** The settings of a connector that reach a bucket. */
export interface S3Access {
  readonly endpoint: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/** A bucket of one test file; disposing ends the connections to it. */
export interface TestBucket extends Disposable {
  readonly name: string
  readonly keys: (prefix?: string) => Promise<readonly string[]>
  readonly bytes: (key: string) => Promise<Buffer>
  readonly text: (key: string) => Promise<string>
  readonly put: (key: string, body: Uint8Array | string) => Promise<void>
  readonly remove: (key: string) => Promise<void>
  /** Keys of uploads that were begun and neither completed nor given up. */
  readonly unfinished: () => Promise<readonly string[]>
}

/** A server, or the reason why there is none: `describe(…, { skip: server.skip }, …)`. */
export interface S3Server extends AsyncDisposable {
  readonly skip: string | false
  readonly access: S3Access
  /** A key that the server knows and that may do nothing in the buckets of `access`. */
  readonly stranger: S3Access
  /** Makes a bucket with a unique name. */
  readonly bucket: () => Promise<TestBucket>
}

const packages = ['swift-proxy', 'swift-account', 'swift-container', 'swift-object', 'memcached']
const NEEDS = 'needs an S3 server: root on Debian, to install OpenStack Swift'

const isThere = (): boolean =>
  spawnSync('sh', ['-c', 'command -v swift-proxy-server swift-ring-builder memcached']).status === 0

/** Starts a server of this test file's own. It ends when it is disposed of, or with this process. */
export const startS3 = async (): Promise<S3Server> => {
  const none = { endpoint: '', accessKeyId: '', secretAccessKey: '' }
  if (process.getuid?.() !== 0 || !(isThere() || (install(packages) && isThere())))
    return {
      skip: NEEDS,
      access: none,
      stranger: none,
      bucket: () => Promise.reject(new Error(NEEDS)),
      [Symbol.asyncDispose]: async () => {},
    }
  const folder = mkdtempSync('/tmp/millrace-s3-')
  const ports = { proxy: 0, account: 0, container: 0, object: 0, memcached: 0 }
  for (const name of Object.keys(ports) as (keyof typeof ports)[]) ports[name] = await freePort()
  configure(folder, ports)
  const server = new OwnServer({ command: ['bash', join(folder, 'run.sh')], folder, signal: 'TERM' })
  const endpoint = `http://${HOST}:${ports.proxy}`
  try {
    await ready(endpoint, server)
  } catch (e) {
    await server[Symbol.asyncDispose]()
    throw e
  }
  const access = { endpoint, accessKeyId: 'bench:tester', secretAccessKey: 'testing' }
  return {
    skip: false,
    access,
    stranger: { endpoint, accessKeyId: 'bench:stranger', secretAccessKey: 'testing2' },
    bucket: () => makeBucket(access),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

const ready = async (endpoint: string, server: OwnServer): Promise<void> => {
  for (const end = performance.now() + START_MS; ; ) {
    const answer = await fetch(`${endpoint}/healthcheck`).catch(() => undefined)
    if (answer?.ok === true) return
    if (server.ended || performance.now() > end) throw new Error(`Swift did not start: ${server.log}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

type Ports = Readonly<Record<'proxy' | 'account' | 'container' | 'object' | 'memcached', number>>

/** Writes everything that the services read, and the script that runs them. */
const configure = (folder: string, ports: Ports): void => {
  mkdirSync(join(folder, 'dev/d1'), { recursive: true })
  writeFileSync(
    join(folder, 'swift.conf'),
    ini({
      'swift-hash': { swift_hash_path_suffix: 'test', swift_hash_path_prefix: 'test' },
      'storage-policy:0': { name: 'Policy-0', default: 'yes' },
    }),
  )
  const base = { bind_ip: HOST, swift_dir: folder, user: 'root', workers: '0', log_level: 'CRITICAL' }
  for (const name of ['account', 'container', 'object'] as const)
    writeFileSync(
      join(folder, `${name}.conf`),
      ini({
        DEFAULT: {
          ...base,
          bind_port: String(ports[name]),
          devices: join(folder, 'dev'),
          mount_check: 'false',
          fallocate_reserve: '0',
          disable_fallocate: 'true',
        },
        'pipeline:main': { pipeline: `${name}-server` },
        [`app:${name}-server`]: { use: `egg:swift#${name}` },
      }),
    )
  const filters = ['catch_errors', 'gatekeeper', 'healthcheck', 'memcache', 'listing_formats', 'bulk', 's3api']
  filters.push('tempauth', 'copy', 'slo', 'dlo', 'versioned_writes', 'symlink')
  const options: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    memcache: { memcache_servers: `${HOST}:${ports.memcached}` },
    s3api: { s3_acl: 'false', location: 'us-east-1', check_bucket_owner: 'false', min_segment_size: '5242880' },
    tempauth: { user_bench_tester: 'testing .admin', user_bench_stranger: 'testing2' },
    versioned_writes: { allow_versioned_writes: 'true', allow_object_versioning: 'true' },
  }
  writeFileSync(
    join(folder, 'proxy.conf'),
    ini({
      DEFAULT: { ...base, bind_port: String(ports.proxy) },
      'pipeline:main': { pipeline: `${filters.join(' ')} proxy-server` },
      'app:proxy-server': { use: 'egg:swift#proxy', account_autocreate: 'true', allow_account_management: 'true' },
      ...Object.fromEntries(filters.map((f) => [`filter:${f}`, { use: `egg:swift#${f}`, ...options[f] }])),
    }),
  )
  writeFileSync(join(folder, 'rings.py'), rings(ports))
  writeFileSync(join(folder, 'run.sh'), script(folder, ports))
}

const ini = (sections: Readonly<Record<string, Readonly<Record<string, string>>>>): string =>
  Object.entries(sections)
    .map(
      ([name, values]) =>
        `[${name}]\n${Object.entries(values)
          .map(([k, v]) => `${k} = ${v}\n`)
          .join('')}`,
    )
    .join('')

/** Builds the rings; in one process, since each start of Swift's own program for it costs most of a second. */
const rings = (ports: Ports): string => `from swift.common.ring import RingBuilder
for name, port in (("account", ${ports.account}), ("container", ${ports.container}), ("object", ${ports.object})):
    builder = RingBuilder(4, 1, 0)
    builder.add_dev({"id": 0, "region": 1, "zone": 1, "weight": 1, "ip": "${HOST}", "port": port, "device": "d1",
                     "replication_ip": "${HOST}", "replication_port": port, "meta": ""})
    builder.rebalance()
    builder.get_ring().save(name + ".ring.gz")
`

/**
 * Builds the rings, starts the services, and ends those, and only those, when it is told to. The proxy comes last: it
 * passes over a service for a minute that did not answer it.
 */
const script = (folder: string, ports: Ports): string => `cd ${folder}
/usr/bin/python3 rings.py || exit 1
pids=
trap 'kill $pids; wait; exit 0' TERM
memcached -l ${HOST} -p ${ports.memcached} -m 16 -u root & pids="$pids $!"
for name in account container object; do swift-$name-server $name.conf >$name.log 2>&1 & pids="$pids $!"; done
for port in ${ports.account} ${ports.container} ${ports.object} ${ports.memcached}; do
  until (: </dev/tcp/${HOST}/$port) 2>/dev/null; do sleep 0.1; done
done
swift-proxy-server proxy.conf >proxy.log 2>&1 & pids="$pids $!"
wait
`

const makeBucket = async (access: S3Access): Promise<TestBucket> => {
  const { endpoint, ...credentials } = access
  const client = new S3Client({
    endpoint,
    credentials,
    region: 'us-east-1',
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  })
  const name = `millrace-test-${randomBytes(6).toString('hex')}`
  await client.send(new CreateBucketCommand({ Bucket: name }))
  const keys = async (prefix = ''): Promise<readonly string[]> => {
    const all: string[] = []
    for (let token: string | undefined; ; ) {
      const page = await client.send(
        new ListObjectsV2Command({ Bucket: name, Prefix: prefix, ContinuationToken: token }),
      )
      all.push(...(page.Contents ?? []).map((c) => c.Key ?? ''))
      if (page.IsTruncated !== true) return all
      token = page.NextContinuationToken
    }
  }
  const get = async (key: string): Promise<Readable> =>
    (await client.send(new GetObjectCommand({ Bucket: name, Key: key }))).Body as Readable
  const remove = async (key: string): Promise<void> => {
    await client.send(new DeleteObjectCommand({ Bucket: name, Key: key }))
  }
  return {
    name,
    keys,
    remove,
    text: async (key) => await text(await get(key)),
    bytes: async (key) => Buffer.concat(await Array.fromAsync(await get(key), (c: Buffer) => c)),
    put: async (key, body) => {
      await client.send(new PutObjectCommand({ Bucket: name, Key: key, Body: body }))
    },
    unfinished: async () =>
      ((await client.send(new ListMultipartUploadsCommand({ Bucket: name }))).Uploads ?? []).map((u) => u.Key ?? ''),
    // What is in it goes with the server.
    [Symbol.dispose]: () => {
      client.destroy()
    },
  }
}
