// Made by scripts/generate/api.ts from the routes of the server; do not edit.

/** What each operation of the API takes and answers. */
export interface Operations {
  /** A token for an hour. */
  getToken: {
    params: undefined
    query: undefined
    body: { readonly grant_type: string; readonly client_id?: string | undefined; readonly client_secret?: string | undefined; readonly username?: string | undefined; readonly password?: string | undefined; readonly login?: string | undefined; readonly scope?: string | undefined }
    answer: { readonly access_token: string; readonly token_type: string; readonly expires_in: number; readonly scope: string }
  }
  /** Revoke the token that the request is made with. */
  revokeToken: {
    params: undefined
    query: undefined
    body: undefined
    answer: undefined
  }
  /** Revoke all tokens of the one who asks. */
  revokeMyTokens: {
    params: undefined
    query: undefined
    body: undefined
    answer: undefined
  }
  /** Sign tokens with a new key from now on (administrators only). Tokens of before are good until they expire, or with atOnce no longer. */
  rotateSigningKey: {
    params: undefined
    query: undefined
    body: { readonly atOnce?: boolean | undefined }
    answer: undefined
  }
  /** Give the user who asks a password. */
  setPassword: {
    params: undefined
    query: undefined
    body: { readonly password: string }
    answer: undefined
  }
  /** Who asks. */
  getMe: {
    params: undefined
    query: undefined
    body: undefined
    answer: { readonly type: string; readonly id: string; readonly displayName: string; readonly email: string | null; readonly isAdministrator: boolean; readonly scopes: readonly string[]; readonly expiresAt: string | null }
  }
  /** Make a stream; who makes it owns it. */
  createStream: {
    params: undefined
    query: undefined
    body: { readonly name?: string | undefined; readonly displayName?: string | undefined; readonly description?: string | undefined; readonly contentType?: string | undefined; readonly settings?: { readonly maxAgeMs?: number | undefined; readonly maxBytes?: number | undefined; readonly maxRecords?: number | undefined; readonly amqp?: boolean | undefined } | undefined }
    answer: { readonly id: string; readonly name: string; readonly displayName: string; readonly description: string; readonly contentType: string; readonly settings: { readonly maxAgeMs?: number | undefined; readonly maxBytes?: number | undefined; readonly maxRecords?: number | undefined; readonly amqp?: boolean | undefined }; readonly createdAt: string; readonly activeSchemaId: string | null; readonly activeKeyId: string | null; readonly rights: { readonly isOwner: boolean; readonly isProducer: boolean; readonly isConsumer: boolean } | null }
  }
  /** The streams that one may see, in the order of names. */
  listStreams: {
    params: undefined
    query: { readonly after?: string | undefined; readonly limit?: number | undefined; readonly prefix?: string | undefined }
    body: undefined
    answer: { readonly items: readonly { readonly id: string; readonly name: string; readonly displayName: string; readonly description: string; readonly contentType: string; readonly settings: { readonly maxAgeMs?: number | undefined; readonly maxBytes?: number | undefined; readonly maxRecords?: number | undefined; readonly amqp?: boolean | undefined }; readonly createdAt: string; readonly activeSchemaId: string | null; readonly activeKeyId: string | null; readonly rights: { readonly isOwner: boolean; readonly isProducer: boolean; readonly isConsumer: boolean } | null }[]; readonly next: string | null }
  }
  /** A stream. */
  getStream: {
    params: { readonly stream: string }
    query: undefined
    body: undefined
    answer: { readonly id: string; readonly name: string; readonly displayName: string; readonly description: string; readonly contentType: string; readonly settings: { readonly maxAgeMs?: number | undefined; readonly maxBytes?: number | undefined; readonly maxRecords?: number | undefined; readonly amqp?: boolean | undefined }; readonly createdAt: string; readonly activeSchemaId: string | null; readonly activeKeyId: string | null; readonly rights: { readonly isOwner: boolean; readonly isProducer: boolean; readonly isConsumer: boolean } | null }
  }
  /** Change a stream; what is left out stays. */
  updateStream: {
    params: { readonly stream: string }
    query: undefined
    body: { readonly displayName?: string | undefined; readonly description?: string | undefined; readonly contentType?: string | undefined; readonly settings?: { readonly maxAgeMs?: number | null | undefined; readonly maxBytes?: number | null | undefined; readonly maxRecords?: number | null | undefined; readonly amqp?: boolean | undefined } | undefined }
    answer: { readonly id: string; readonly name: string; readonly displayName: string; readonly description: string; readonly contentType: string; readonly settings: { readonly maxAgeMs?: number | undefined; readonly maxBytes?: number | undefined; readonly maxRecords?: number | undefined; readonly amqp?: boolean | undefined }; readonly createdAt: string; readonly activeSchemaId: string | null; readonly activeKeyId: string | null; readonly rights: { readonly isOwner: boolean; readonly isProducer: boolean; readonly isConsumer: boolean } | null }
  }
  /** Delete a stream with its records, marks, groups and grants. */
  deleteStream: {
    params: { readonly stream: string }
    query: undefined
    body: undefined
    answer: undefined
  }
  /** What a stream holds now. */
  getStreamStat: {
    params: { readonly stream: string }
    query: undefined
    body: undefined
    answer: { readonly first: number; readonly next: number; readonly bytes: number; readonly lastAt: string | null }
  }
  /** Forget the records before a position. */
  trimStream: {
    params: { readonly stream: string }
    query: undefined
    body: { readonly before: string }
    answer: { readonly first: number; readonly next: number; readonly bytes: number; readonly lastAt: string | null }
  }
  /** What was done to a stream and who read it, newest first. */
  getStreamAudit: {
    params: { readonly stream: string }
    query: { readonly after?: string | undefined; readonly limit?: number | undefined }
    body: undefined
    answer: { readonly items: readonly { readonly seq: number; readonly at: string; readonly by: { readonly type: string; readonly id: string }; readonly action: string; readonly streamId: string | null; readonly subject: string | null; readonly details: unknown }[]; readonly next: string | null }
  }
  /** What was done on this manager, newest first; administrators only. */
  getAudit: {
    params: undefined
    query: { readonly after?: string | undefined; readonly limit?: number | undefined }
    body: undefined
    answer: { readonly items: readonly { readonly seq: number; readonly at: string; readonly by: { readonly type: string; readonly id: string }; readonly action: string; readonly streamId: string | null; readonly subject: string | null; readonly details: unknown }[]; readonly next: string | null }
  }
  /** How many records of a writer of one’s own are in the stream. */
  getWriter: {
    params: { readonly stream: string; readonly writer: string }
    query: undefined
    body: undefined
    answer: { readonly records: number }
  }
  /** A page of records. */
  readRecords: {
    params: { readonly stream: string }
    query: { readonly from?: string | undefined; readonly limit?: number | undefined; readonly maxBytes?: number | undefined; readonly unread?: boolean | undefined; readonly markRead?: boolean | undefined; readonly form?: 'record' | 'body' | undefined; readonly withStatus?: boolean | undefined; readonly as?: 'self' | 'shared' | undefined }
    body: undefined
    answer: { readonly records: readonly { readonly offset: number; readonly id: string; readonly at: string; readonly contentType: string; readonly key?: string | undefined; readonly value?: unknown | undefined; readonly text?: string | undefined; readonly base64?: string | undefined; readonly wasRead?: boolean | undefined }[]; readonly next: number; readonly isAtEnd: boolean }
  }
  /** Publish a record, an array of records, or lines of any number. */
  publish: {
    params: { readonly stream: string }
    query: { readonly key?: string | undefined; readonly single?: boolean | undefined; readonly split?: 'lines' | undefined }
    body: undefined
    answer: { readonly first: number | null; readonly next: number | null; readonly records: number; readonly at: string | null }
  }
  /** A record by its id; the key of its publisher means the newest version. */
  getRecord: {
    params: { readonly stream: string; readonly record: string }
    query: { readonly markRead?: boolean | undefined; readonly as?: 'self' | 'shared' | undefined; readonly raw?: boolean | undefined }
    body: undefined
    answer: { readonly offset: number; readonly id: string; readonly at: string; readonly contentType: string; readonly key?: string | undefined; readonly value?: unknown | undefined; readonly text?: string | undefined; readonly base64?: string | undefined; readonly wasRead?: boolean | undefined }
  }
  /** The versions of a record, newest first. */
  getRecordHistory: {
    params: { readonly stream: string; readonly record: string }
    query: { readonly limit?: number | undefined; readonly markRead?: boolean | undefined; readonly as?: 'self' | 'shared' | undefined }
    body: undefined
    answer: { readonly records: readonly { readonly offset: number; readonly id: string; readonly at: string; readonly contentType: string; readonly key?: string | undefined; readonly value?: unknown | undefined; readonly text?: string | undefined; readonly base64?: string | undefined; readonly wasRead?: boolean | undefined }[] }
  }
  /** Who of those that may read the stream has read a record, and who has not. */
  getRecordReaders: {
    params: { readonly stream: string; readonly record: string }
    query: { readonly after?: string | undefined; readonly limit?: number | undefined }
    body: undefined
    answer: { readonly items: readonly { readonly actor: { readonly type: 'client' | 'user'; readonly id: string }; readonly displayName: string; readonly hasRead: boolean }[]; readonly next: string | null }
  }
  /** How many records are not marked as read. */
  countUnread: {
    params: { readonly stream: string }
    query: { readonly as?: 'self' | 'shared' | undefined }
    body: undefined
    answer: { readonly unread: number }
  }
  /** Mark records as read: some, ranges, or all before an offset. */
  markRead: {
    params: { readonly stream: string }
    query: undefined
    body: { readonly ids?: readonly string[] | undefined; readonly ranges?: readonly { readonly first: number; readonly next: number }[] | undefined; readonly before?: number | undefined; readonly as?: 'self' | 'shared' | undefined }
    answer: { readonly changed: number }
  }
  /** Mark records as not read. */
  markUnread: {
    params: { readonly stream: string }
    query: undefined
    body: { readonly ids?: readonly string[] | undefined; readonly ranges?: readonly { readonly first: number; readonly next: number }[] | undefined; readonly before?: number | undefined; readonly as?: 'self' | 'shared' | undefined }
    answer: { readonly changed: number }
  }
  /** Records from a position on, and those that come: server-sent events, or a WebSocket. */
  follow: {
    params: { readonly stream: string }
    query: { readonly from?: string | undefined; readonly form?: 'record' | 'body' | undefined }
    body: undefined
    answer: string
  }
  /** Make a group; its consumers share the records. */
  createGroup: {
    params: { readonly stream: string }
    query: undefined
    body: { readonly name: string; readonly from?: string | undefined; readonly settings?: { readonly ackTimeoutMs?: number | undefined; readonly maxTries?: number | undefined } | undefined }
    answer: { readonly name: string; readonly settings: { readonly ackTimeoutMs: number; readonly maxTries: number }; readonly createdAt: string; readonly cursor: number; readonly leased: number; readonly returned: number; readonly deadLetters: number }
  }
  /** The groups of a stream. */
  listGroups: {
    params: { readonly stream: string }
    query: { readonly after?: string | undefined; readonly limit?: number | undefined }
    body: undefined
    answer: { readonly items: readonly { readonly name: string; readonly settings: { readonly ackTimeoutMs: number; readonly maxTries: number }; readonly createdAt: string; readonly cursor: number; readonly leased: number; readonly returned: number; readonly deadLetters: number }[]; readonly next: string | null }
  }
  /** A group. */
  getGroup: {
    params: { readonly stream: string; readonly group: string }
    query: undefined
    body: undefined
    answer: { readonly name: string; readonly settings: { readonly ackTimeoutMs: number; readonly maxTries: number }; readonly createdAt: string; readonly cursor: number; readonly leased: number; readonly returned: number; readonly deadLetters: number }
  }
  /** Change the settings of a group (an owner, or who made it). */
  updateGroup: {
    params: { readonly stream: string; readonly group: string }
    query: undefined
    body: { readonly ackTimeoutMs?: number | undefined; readonly maxTries?: number | undefined }
    answer: { readonly name: string; readonly settings: { readonly ackTimeoutMs: number; readonly maxTries: number }; readonly createdAt: string; readonly cursor: number; readonly leased: number; readonly returned: number; readonly deadLetters: number }
  }
  /** Delete a group (an owner, or who made it). */
  deleteGroup: {
    params: { readonly stream: string; readonly group: string }
    query: undefined
    body: undefined
    answer: undefined
  }
  /** Take records that nobody has, with a lease for each run of them; none: there is nothing to do now. */
  claim: {
    params: { readonly stream: string; readonly group: string }
    query: { readonly form?: 'record' | 'body' | undefined }
    body: { readonly consumer?: string | undefined; readonly limit?: number | undefined }
    answer: { readonly claimed: readonly { readonly lease: { readonly id: string; readonly ranges: readonly { readonly first: number; readonly next: number }[]; readonly consumer: string; readonly until: string; readonly attempt: number }; readonly records: readonly { readonly offset: number; readonly id: string; readonly at: string; readonly contentType: string; readonly key?: string | undefined; readonly value?: unknown | undefined; readonly text?: string | undefined; readonly base64?: string | undefined; readonly wasRead?: boolean | undefined }[] }[] }
  }
  /** Say that the records of a lease, or some of them, are done. */
  ack: {
    params: { readonly stream: string; readonly group: string }
    query: undefined
    body: { readonly lease: string; readonly ranges?: readonly { readonly first: number; readonly next: number }[] | undefined }
    answer: undefined
  }
  /** Give records back, to be handed out again; after the last try they are dead letters. */
  nack: {
    params: { readonly stream: string; readonly group: string }
    query: undefined
    body: { readonly lease: string; readonly ranges?: readonly { readonly first: number; readonly next: number }[] | undefined; readonly reason?: string | undefined }
    answer: undefined
  }
  /** More time for a lease. */
  extend: {
    params: { readonly stream: string; readonly group: string }
    query: undefined
    body: { readonly lease: string }
    answer: { readonly id: string; readonly ranges: readonly { readonly first: number; readonly next: number }[]; readonly consumer: string; readonly until: string; readonly attempt: number }
  }
  /** Records that were tried too often. */
  listDeadLetters: {
    params: { readonly stream: string; readonly group: string }
    query: { readonly after?: string | undefined; readonly limit?: number | undefined }
    body: undefined
    answer: { readonly items: readonly { readonly offset: number; readonly tries: number; readonly reason: string; readonly at: string }[]; readonly next: string | null }
  }
  /** Have dead letters handed out again. */
  retryDeadLetters: {
    params: { readonly stream: string; readonly group: string }
    query: undefined
    body: { readonly offsets: readonly number[] }
    answer: { readonly changed: number }
  }
  /** Put dead letters away for good (an owner, or who made the group). */
  dropDeadLetters: {
    params: { readonly stream: string; readonly group: string }
    query: undefined
    body: { readonly offsets: readonly number[] }
    answer: { readonly changed: number }
  }
  /** Who may use a stream. */
  listPermissions: {
    params: { readonly stream: string }
    query: undefined
    body: undefined
    answer: { readonly items: readonly { readonly actor: { readonly type: 'client' | 'user'; readonly id: string }; readonly displayName: string; readonly isOwner: boolean; readonly isProducer: boolean; readonly isConsumer: boolean; readonly grantedAt: string }[] }
  }
  /** Grant exactly these rights to a client, a user, or a client made for it, whose secret is shown this once. */
  grant: {
    params: { readonly stream: string }
    query: undefined
    body: { readonly actor?: { readonly type: 'client' | 'user'; readonly id: string } | undefined; readonly email?: string | undefined; readonly newClient?: { readonly displayName: string; readonly description?: string | undefined } | undefined; readonly isOwner?: boolean | undefined; readonly isProducer?: boolean | undefined; readonly isConsumer?: boolean | undefined }
    answer: { readonly actor: { readonly type: 'client' | 'user'; readonly id: string }; readonly secret: string | null }
  }
  /** Take all rights away. */
  revoke: {
    params: { readonly stream: string; readonly type: 'client' | 'user'; readonly id: string }
    query: undefined
    body: undefined
    answer: undefined
  }
  /** Make a client; its secret is shown this once. */
  createClient: {
    params: undefined
    query: undefined
    body: { readonly displayName: string; readonly description?: string | undefined }
    answer: { readonly client: { readonly id: string; readonly displayName: string; readonly description: string; readonly owner: { readonly type: 'client' | 'user'; readonly id: string }; readonly createdAt: string; readonly lastUsedAt: string | null; readonly isRevoked: boolean; readonly secrets: number }; readonly secret: string }
  }
  /** One’s own clients; with `all`, everybody’s (administrators only). */
  listClients: {
    params: undefined
    query: { readonly after?: string | undefined; readonly limit?: number | undefined; readonly all?: boolean | undefined }
    body: undefined
    answer: { readonly items: readonly { readonly id: string; readonly displayName: string; readonly description: string; readonly owner: { readonly type: 'client' | 'user'; readonly id: string }; readonly createdAt: string; readonly lastUsedAt: string | null; readonly isRevoked: boolean; readonly secrets: number }[]; readonly next: string | null }
  }
  /** A client. */
  getClient: {
    params: { readonly client: string }
    query: undefined
    body: undefined
    answer: { readonly id: string; readonly displayName: string; readonly description: string; readonly owner: { readonly type: 'client' | 'user'; readonly id: string }; readonly createdAt: string; readonly lastUsedAt: string | null; readonly isRevoked: boolean; readonly secrets: number }
  }
  /** Delete a client, with what it was granted. */
  deleteClient: {
    params: { readonly client: string }
    query: undefined
    body: undefined
    answer: undefined
  }
  /** A new secret; the one before works until `end-rotation` or the next rotation. */
  rotateSecret: {
    params: { readonly client: string }
    query: undefined
    body: undefined
    answer: { readonly client: { readonly id: string; readonly displayName: string; readonly description: string; readonly owner: { readonly type: 'client' | 'user'; readonly id: string }; readonly createdAt: string; readonly lastUsedAt: string | null; readonly isRevoked: boolean; readonly secrets: number }; readonly secret: string }
  }
  /** Only the newest secret works from now on. */
  endRotation: {
    params: { readonly client: string }
    query: undefined
    body: undefined
    answer: { readonly id: string; readonly displayName: string; readonly description: string; readonly owner: { readonly type: 'client' | 'user'; readonly id: string }; readonly createdAt: string; readonly lastUsedAt: string | null; readonly isRevoked: boolean; readonly secrets: number }
  }
  /** No secret and no token of the client works from now on. */
  revokeClient: {
    params: { readonly client: string }
    query: undefined
    body: undefined
    answer: undefined
  }
  /** Make a user (administrators only), with a login that works once. Somebody who is there without a password gets another login. */
  createUser: {
    params: undefined
    query: undefined
    body: { readonly email: string; readonly displayName?: string | undefined; readonly isAdministrator?: boolean | undefined }
    answer: { readonly user: { readonly id: string; readonly email: string; readonly displayName: string; readonly isAdministrator: boolean; readonly createdAt: string; readonly hasPassword: boolean }; readonly oneTimeLogin: string }
  }
  /** All users (administrators only). */
  listUsers: {
    params: undefined
    query: { readonly after?: string | undefined; readonly limit?: number | undefined }
    body: undefined
    answer: { readonly items: readonly { readonly id: string; readonly email: string; readonly displayName: string; readonly isAdministrator: boolean; readonly createdAt: string; readonly hasPassword: boolean }[]; readonly next: string | null }
  }
  /** Make a login that works once for a user who is there (administrators only), as for a forgotten password. One made before no longer works. */
  inviteUser: {
    params: undefined
    query: undefined
    body: { readonly email: string }
    answer: { readonly user: { readonly id: string; readonly email: string; readonly displayName: string; readonly isAdministrator: boolean; readonly createdAt: string; readonly hasPassword: boolean }; readonly oneTimeLogin: string }
  }
  /** A user. */
  getUser: {
    params: { readonly user: string }
    query: undefined
    body: undefined
    answer: { readonly id: string; readonly email: string; readonly displayName: string; readonly isAdministrator: boolean; readonly createdAt: string; readonly hasPassword: boolean }
  }
  /** Delete a user (administrators only). */
  deleteUser: {
    params: { readonly user: string }
    query: undefined
    body: undefined
    answer: undefined
  }
  /** Keep a schema; `active-schema` has records checked against it. */
  addSchema: {
    params: { readonly stream: string }
    query: undefined
    body: { readonly type: 'JSON' | 'AVRO' | 'GREAT_EXPECTATIONS'; readonly text: string }
    answer: { readonly id: string; readonly type: 'JSON' | 'AVRO' | 'GREAT_EXPECTATIONS'; readonly text: string; readonly createdAt: string }
  }
  /** The schemas of a stream. */
  listSchemas: {
    params: { readonly stream: string }
    query: undefined
    body: undefined
    answer: { readonly items: readonly { readonly id: string; readonly type: 'JSON' | 'AVRO' | 'GREAT_EXPECTATIONS'; readonly text: string; readonly createdAt: string }[] }
  }
  /** A schema. */
  getSchema: {
    params: { readonly stream: string; readonly schema: string }
    query: undefined
    body: undefined
    answer: { readonly id: string; readonly type: 'JSON' | 'AVRO' | 'GREAT_EXPECTATIONS'; readonly text: string; readonly createdAt: string }
  }
  /** Delete a schema. */
  deleteSchema: {
    params: { readonly stream: string; readonly schema: string }
    query: undefined
    body: undefined
    answer: undefined
  }
  /** Have records checked against a schema from now on; null: against none. */
  activateSchema: {
    params: { readonly stream: string }
    query: undefined
    body: { readonly id: string | null }
    answer: undefined
  }
  /** Keep a public key that producers seal records with. */
  addKey: {
    params: { readonly stream: string }
    query: undefined
    body: { readonly algorithm: string; readonly encoding: string; readonly value: string; readonly description?: string | undefined }
    answer: { readonly id: string; readonly algorithm: string; readonly encoding: string; readonly value: string; readonly description: string | null; readonly createdAt: string }
  }
  /** The public keys of a stream. */
  listKeys: {
    params: { readonly stream: string }
    query: undefined
    body: undefined
    answer: { readonly items: readonly { readonly id: string; readonly algorithm: string; readonly encoding: string; readonly value: string; readonly description: string | null; readonly createdAt: string }[] }
  }
  /** A public key. */
  getKey: {
    params: { readonly stream: string; readonly key: string }
    query: undefined
    body: undefined
    answer: { readonly id: string; readonly algorithm: string; readonly encoding: string; readonly value: string; readonly description: string | null; readonly createdAt: string }
  }
  /** The key that producers use from now on; null: none. */
  activateKey: {
    params: { readonly stream: string }
    query: undefined
    body: { readonly id: string | null }
    answer: undefined
  }
  /** Push records to a URL, signed, in order, as they come. */
  subscribe: {
    params: { readonly stream: string }
    query: undefined
    body: { readonly url: string; readonly maxRecords?: number | undefined; readonly maxTries?: number | undefined; readonly timeoutMs?: number | undefined; readonly deadLetters?: string | null | undefined; readonly isPaused?: boolean | undefined; readonly from?: string | undefined }
    answer: { readonly subscription: { readonly id: string; readonly streamId: string; readonly url: string; readonly maxRecords: number; readonly maxTries: number; readonly timeoutMs: number; readonly deadLetters: string | null; readonly isPaused: boolean; readonly createdBy: { readonly type: 'client' | 'user'; readonly id: string }; readonly createdAt: string; readonly position: number; readonly tries: number; readonly state: string }; readonly secret: string }
  }
  /** One’s own subscriptions of a stream; its owner sees all. */
  listSubscriptions: {
    params: { readonly stream: string }
    query: { readonly after?: string | undefined; readonly limit?: number | undefined }
    body: undefined
    answer: { readonly items: readonly { readonly id: string; readonly streamId: string; readonly url: string; readonly maxRecords: number; readonly maxTries: number; readonly timeoutMs: number; readonly deadLetters: string | null; readonly isPaused: boolean; readonly createdBy: { readonly type: 'client' | 'user'; readonly id: string }; readonly createdAt: string; readonly position: number; readonly tries: number; readonly state: string }[]; readonly next: string | null }
  }
  /** A subscription: where it is, and how the last try went. */
  getSubscription: {
    params: { readonly stream: string; readonly subscription: string }
    query: undefined
    body: undefined
    answer: { readonly id: string; readonly streamId: string; readonly url: string; readonly maxRecords: number; readonly maxTries: number; readonly timeoutMs: number; readonly deadLetters: string | null; readonly isPaused: boolean; readonly createdBy: { readonly type: 'client' | 'user'; readonly id: string }; readonly createdAt: string; readonly position: number; readonly tries: number; readonly state: string }
  }
  /** Change a subscription, pause it, or let it go on. */
  updateSubscription: {
    params: { readonly stream: string; readonly subscription: string }
    query: undefined
    body: { readonly url?: string | undefined; readonly maxRecords?: number | undefined; readonly maxTries?: number | undefined; readonly timeoutMs?: number | undefined; readonly deadLetters?: string | null | undefined; readonly isPaused?: boolean | undefined }
    answer: { readonly id: string; readonly streamId: string; readonly url: string; readonly maxRecords: number; readonly maxTries: number; readonly timeoutMs: number; readonly deadLetters: string | null; readonly isPaused: boolean; readonly createdBy: { readonly type: 'client' | 'user'; readonly id: string }; readonly createdAt: string; readonly position: number; readonly tries: number; readonly state: string }
  }
  /** End a subscription. */
  unsubscribe: {
    params: { readonly stream: string; readonly subscription: string }
    query: undefined
    body: undefined
    answer: undefined
  }
  /** A new secret; pushes are signed with it and the one before. */
  rotateSubscription: {
    params: { readonly stream: string; readonly subscription: string }
    query: undefined
    body: undefined
    answer: { readonly subscription: { readonly id: string; readonly streamId: string; readonly url: string; readonly maxRecords: number; readonly maxTries: number; readonly timeoutMs: number; readonly deadLetters: string | null; readonly isPaused: boolean; readonly createdBy: { readonly type: 'client' | 'user'; readonly id: string }; readonly createdAt: string; readonly position: number; readonly tries: number; readonly state: string }; readonly secret: string }
  }
  /** Whether the manager lives. */
  getHealth: {
    params: undefined
    query: undefined
    body: undefined
    answer: { readonly status: 'ok' }
  }
  /** Whether the manager can work: its control plane and its log answer. */
  getReady: {
    params: undefined
    query: undefined
    body: undefined
    answer: { readonly status: 'ready' }
  }
  /** Counters and gauges, for Prometheus. */
  getMetrics: {
    params: undefined
    query: undefined
    body: undefined
    answer: string
  }
}

/** The method and the path of each operation. */
export const places: { readonly [K in keyof Operations]: readonly [method: string, path: string] } = {
  getToken: ['POST', '/api/v1/oauth/token'],
  revokeToken: ['POST', '/api/v1/oauth/revoke'],
  revokeMyTokens: ['DELETE', '/api/v1/me/tokens'],
  rotateSigningKey: ['POST', '/api/v1/signing-key/rotate'],
  setPassword: ['PUT', '/api/v1/me/password'],
  getMe: ['GET', '/api/v1/me'],
  createStream: ['POST', '/api/v1/streams'],
  listStreams: ['GET', '/api/v1/streams'],
  getStream: ['GET', '/api/v1/streams/{stream}'],
  updateStream: ['PATCH', '/api/v1/streams/{stream}'],
  deleteStream: ['DELETE', '/api/v1/streams/{stream}'],
  getStreamStat: ['GET', '/api/v1/streams/{stream}/stat'],
  trimStream: ['POST', '/api/v1/streams/{stream}/trim'],
  getStreamAudit: ['GET', '/api/v1/streams/{stream}/audit'],
  getAudit: ['GET', '/api/v1/audit'],
  getWriter: ['GET', '/api/v1/streams/{stream}/writers/{writer}'],
  readRecords: ['GET', '/api/v1/streams/{stream}/records'],
  publish: ['POST', '/api/v1/streams/{stream}/records'],
  getRecord: ['GET', '/api/v1/streams/{stream}/records/{record}'],
  getRecordHistory: ['GET', '/api/v1/streams/{stream}/records/{record}/history'],
  getRecordReaders: ['GET', '/api/v1/streams/{stream}/records/{record}/readers'],
  countUnread: ['GET', '/api/v1/streams/{stream}/unread'],
  markRead: ['POST', '/api/v1/streams/{stream}/mark-read'],
  markUnread: ['POST', '/api/v1/streams/{stream}/mark-unread'],
  follow: ['GET', '/api/v1/streams/{stream}/follow'],
  createGroup: ['POST', '/api/v1/streams/{stream}/groups'],
  listGroups: ['GET', '/api/v1/streams/{stream}/groups'],
  getGroup: ['GET', '/api/v1/streams/{stream}/groups/{group}'],
  updateGroup: ['PATCH', '/api/v1/streams/{stream}/groups/{group}'],
  deleteGroup: ['DELETE', '/api/v1/streams/{stream}/groups/{group}'],
  claim: ['POST', '/api/v1/streams/{stream}/groups/{group}/claim'],
  ack: ['POST', '/api/v1/streams/{stream}/groups/{group}/ack'],
  nack: ['POST', '/api/v1/streams/{stream}/groups/{group}/nack'],
  extend: ['POST', '/api/v1/streams/{stream}/groups/{group}/extend'],
  listDeadLetters: ['GET', '/api/v1/streams/{stream}/groups/{group}/dead-letters'],
  retryDeadLetters: ['POST', '/api/v1/streams/{stream}/groups/{group}/dead-letters/retry'],
  dropDeadLetters: ['POST', '/api/v1/streams/{stream}/groups/{group}/dead-letters/drop'],
  listPermissions: ['GET', '/api/v1/streams/{stream}/permissions'],
  grant: ['POST', '/api/v1/streams/{stream}/permissions'],
  revoke: ['DELETE', '/api/v1/streams/{stream}/permissions/{type}/{id}'],
  createClient: ['POST', '/api/v1/clients'],
  listClients: ['GET', '/api/v1/clients'],
  getClient: ['GET', '/api/v1/clients/{client}'],
  deleteClient: ['DELETE', '/api/v1/clients/{client}'],
  rotateSecret: ['POST', '/api/v1/clients/{client}/rotate'],
  endRotation: ['POST', '/api/v1/clients/{client}/end-rotation'],
  revokeClient: ['POST', '/api/v1/clients/{client}/revoke'],
  createUser: ['POST', '/api/v1/users'],
  listUsers: ['GET', '/api/v1/users'],
  inviteUser: ['POST', '/api/v1/users/invite'],
  getUser: ['GET', '/api/v1/users/{user}'],
  deleteUser: ['DELETE', '/api/v1/users/{user}'],
  addSchema: ['POST', '/api/v1/streams/{stream}/schemas'],
  listSchemas: ['GET', '/api/v1/streams/{stream}/schemas'],
  getSchema: ['GET', '/api/v1/streams/{stream}/schemas/{schema}'],
  deleteSchema: ['DELETE', '/api/v1/streams/{stream}/schemas/{schema}'],
  activateSchema: ['PUT', '/api/v1/streams/{stream}/active-schema'],
  addKey: ['POST', '/api/v1/streams/{stream}/keys'],
  listKeys: ['GET', '/api/v1/streams/{stream}/keys'],
  getKey: ['GET', '/api/v1/streams/{stream}/keys/{key}'],
  activateKey: ['PUT', '/api/v1/streams/{stream}/active-key'],
  subscribe: ['POST', '/api/v1/streams/{stream}/subscriptions'],
  listSubscriptions: ['GET', '/api/v1/streams/{stream}/subscriptions'],
  getSubscription: ['GET', '/api/v1/streams/{stream}/subscriptions/{subscription}'],
  updateSubscription: ['PATCH', '/api/v1/streams/{stream}/subscriptions/{subscription}'],
  unsubscribe: ['DELETE', '/api/v1/streams/{stream}/subscriptions/{subscription}'],
  rotateSubscription: ['POST', '/api/v1/streams/{stream}/subscriptions/{subscription}/rotate'],
  getHealth: ['GET', '/health'],
  getReady: ['GET', '/ready'],
  getMetrics: ['GET', '/metrics'],
}
