/** The settings that say how to reach object storage: S3, or anything that speaks as S3 does. */
import { choice, type Field, MillraceError, text } from '@millrace/sdk'

/** How to reach a store. */
export interface StoreSettings {
  readonly endpoint: string | undefined
  readonly region: string
  readonly accessKeyId: string | undefined
  readonly secretAccessKey: string | undefined
  readonly sessionToken: string | undefined
  readonly addressing: 'auto' | 'path' | 'host'
}

/** The declarations of {@link StoreSettings}, under the names that AWS's own programs use in the environment. */
export const storeSettings: { readonly [K in keyof StoreSettings]: Field<StoreSettings[K]> } = {
  endpoint: text({
    doc: 'S3: address of the service; left out, that of AWS in the region',
    env: ['AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL'],
    aliases: ['aws_endpoint_url'],
    optional: true,
    example: 'https://s3.example.com',
  }),
  region: text({
    doc: 'S3: region of the bucket',
    env: ['AWS_REGION', 'AWS_DEFAULT_REGION'],
    aliases: ['aws_region'],
    default: 'us-east-1',
  }),
  accessKeyId: text({
    doc: 'S3: access key; left out, what the AWS SDK finds (profile, role of the machine)',
    env: ['AWS_ACCESS_KEY_ID'],
    aliases: ['aws_access_key_id'],
    optional: true,
  }),
  secretAccessKey: text({
    doc: 'S3: secret of the access key',
    env: ['AWS_SECRET_ACCESS_KEY'],
    aliases: ['aws_secret_access_key'],
    secret: true,
    optional: true,
  }),
  sessionToken: text({
    doc: 'S3: token of a temporary access key',
    env: ['AWS_SESSION_TOKEN'],
    aliases: ['aws_session_token'],
    secret: true,
    optional: true,
  }),
  addressing: choice(['auto', 'path', 'host'], {
    doc: 'S3: the bucket stands in the path or in the host name of an address; auto: in the path where there is an endpoint',
    default: 'auto',
  }),
}
/** A place in a store. */
export interface ObjectPlace {
  readonly bucket: string
  /** Without a slash at the beginning; may be empty. */
  readonly prefix: string
}

/** Reads `s3://bucket/prefix`; undefined for what is no address of that kind. Throws CONFIG_INVALID without a bucket. */
export const objectPlaceOf = (path: string): ObjectPlace | undefined => {
  const m = /^s3:\/\/([^/]*)\/?(.*)$/i.exec(path)
  if (m === null) return undefined
  if (m[1] === '')
    throw new MillraceError('CONFIG_INVALID', { problems: [`path ${path} names no bucket: s3://BUCKET/PREFIX`] })
  return { bucket: m[1] as string, prefix: m[2] as string }
}
