/**
 * Every error that a user of Millrace can meet: one row each. Adding an error is adding a row.
 *
 * A row says whether trying again helps (`retry`), the exit code of a command that ends with it (`exit`), the HTTP
 * status of an answer that carries it (`http`), what happened (`say`) and what to do (`fix`). Neither `say` nor `fix`
 * may print a secret or the body of a record. Codes are API: never renamed, never reused.
 */

/** All codes. The order is that of the table. */
export const errorCodes = [
  'MESSAGE_NOT_JSON',
  'MESSAGE_NOT_UTF8',
  'MESSAGE_INCOMPLETE',
  'MESSAGE_MALFORMED',
  'MESSAGE_TOO_LONG',
  'MESSAGE_TOO_DEEP',
  'MESSAGE_UNSUPPORTED_FORMAT',
  'MESSAGE_WRITE_NOT_FINITE',
  'STATE_TOO_LARGE',
  'BATCH_FILE',
  'RECORD_INVALID',
  'RECORD_KEY_MISSING',
  'RECORD_WITHOUT_SCHEMA',
  'VALUE_NOT_STORABLE',
  'SCHEMA_INVALID',
  'SCHEMA_CHANGE_REFUSED',
  'CONFIG_INVALID',
  'CONFIG_FILE',
  'CATALOG_INVALID',
  'STATE_UNREADABLE',
  'STATE_EMPTIER',
  'PROJECT_NOT_FOUND',
  'PROJECT_INVALID',
  'PIPELINE_UNKNOWN',
  'REGISTRY_UNKNOWN',
  'COMMAND_USAGE',
  'NODE_TOO_OLD',
  'STATE_OF_OTHER_DESTINATION',
  'SOURCE_UNAVAILABLE',
  'SOURCE_LIMITED',
  'SOURCE_REFUSED',
  'SOURCE_MALFORMED',
  'SOURCE_LOG_LOST',
  'DESTINATION_UNAVAILABLE',
  'DESTINATION_LIMITED',
  'DESTINATION_FULL',
  'DESTINATION_REFUSED',
  'DESTINATION_BUSY',
  'PIPE_CLOSED',
  'INSTALL_FAILED',
  'PROCESS_NOT_STARTED',
  'PROCESS_FAILED',
  'PROCESS_STALLED',
  'RECORDS_REFUSED',
  'BOOKS_OPEN',
  'VERIFY_FAILED',
  'STORE_UNUSABLE',
  'RUN_UNKNOWN',
  'RUN_LOCKED',
  'STREAM_NAME_INVALID',
  'STREAM_EXISTS',
  'STREAM_UNKNOWN',
  'LOG_CLOSED',
  'LOG_ARGUMENT',
  'LOG_WRITER_BEHIND',
  'LOG_OFFSET_TRIMMED',
  'LOG_OFFSET_AHEAD',
  'LOG_UNAVAILABLE',
  'LOG_REFUSED',
  'LOG_FULL',
  'LOG_DAMAGED',
  'CONTROL_UNAVAILABLE',
  'CONTROL_UNUSABLE',
  'CONTROL_ARGUMENT',
  'ACTOR_UNKNOWN',
  'USER_EXISTS',
  'LAST_OWNER',
  'GROUP_EXISTS',
  'GROUP_UNKNOWN',
  'LEASE_UNKNOWN',
  'SCHEMA_UNKNOWN',
  'KEY_UNKNOWN',
  'BATCH_UNKNOWN',
  'SUBSCRIPTION_UNKNOWN',
  'SUBSCRIPTION_INVALID',
  'BATCH_PART',
  'ACCESS_DENIED',
  'RECORD_UNKNOWN',
  'IDEMPOTENCY_MISMATCH',
  'PASSWORD_WEAK',
  'REQUEST_INVALID',
  'REQUEST_TOO_LARGE',
  'REQUEST_TOO_SLOW',
  'REQUEST_LIMITED',
  'MEDIA_TYPE_UNSUPPORTED',
  'ROUTE_UNKNOWN',
  'TOKEN_INVALID',
  'MANAGER_RUNNING',
  'MANAGER_NOT_STARTED',
  'MANAGER_UNKNOWN',
  'MANAGER_UNAVAILABLE',
  'INTERRUPTED',
  'INTERNAL',
] as const

/** The code of an error: a key of the table. */
export type ErrorCode = (typeof errorCodes)[number]

/** Whether a second try can help: never; later, by itself; or after somebody changed something. */
export type Retry = 'never' | 'later' | 'after-fix'

/** What an error knows about itself. `where` is "file line 12" or "stream orders", in words. */
export type ErrorDetails = Readonly<Record<string, string | number | bigint | boolean | readonly string[] | undefined>>

/** One row of the table. */
export interface ErrorRow {
  readonly retry: Retry
  readonly http: number
  readonly exit: number
  readonly say: (d: ErrorDetails) => string
  readonly fix: (d: ErrorDetails) => string
}

/** Exit codes carry the retry class (sysexits.h where it has a fitting one). */
export const exitCodes = {
  done: 0,
  usage: 64,
  badData: 65,
  unavailable: 69,
  ourBug: 70,
  later: 75,
  settings: 78,
  interrupted: 130,
} as const

const list = (v: ErrorDetails[string]): string => (Array.isArray(v) ? v.join(', ') : String(v ?? ''))
const near = (d: ErrorDetails): string => {
  const names = d['near']
  return Array.isArray(names) && names.length > 0 ? ` — did you mean ${names.join(' or ')}?` : ''
}
const at = (d: ErrorDetails): string => {
  const source = d['source'] === undefined ? '' : `${d['source']} `
  return d['line'] === undefined ? (source === '' ? '' : `${source.trim()}: `) : `${source}line ${d['line']}: `
}

const row = (
  retry: Retry,
  exit: number,
  http: number,
  say: (d: ErrorDetails) => string,
  fix: (d: ErrorDetails) => string,
): ErrorRow => ({ retry, exit, http, say, fix })

const never = (exit: number, http: number) => (say: ErrorRow['say'], fix: ErrorRow['fix']) =>
  row('never', exit, http, say, fix)
const afterFix = (exit: number, http: number) => (say: ErrorRow['say'], fix: ErrorRow['fix']) =>
  row('after-fix', exit, http, say, fix)
const later = (exit: number, http: number) => (say: ErrorRow['say'], fix: ErrorRow['fix']) =>
  row('later', exit, http, say, fix)

const badData = never(exitCodes.badData, 422)
const settings = afterFix(exitCodes.settings, 400)
const usage = afterFix(exitCodes.usage, 400)
const usage415 = afterFix(exitCodes.usage, 415)

export const errorTable: Readonly<Record<ErrorCode, ErrorRow>> = {
  // — messages —
  MESSAGE_NOT_JSON: badData(
    (d) => `${at(d)}not a JSON message (${d['why']})`,
    (d) =>
      String(
        d['fix'] ?? 'The program on the left must write one JSON object a line on stdout, and its logs on stderr.',
      ),
  ),
  MESSAGE_NOT_UTF8: badData(
    (d) => `${at(d)}not valid UTF-8`,
    () => 'Make the streamer write UTF-8 (for Python: PYTHONIOENCODING=utf-8).',
  ),
  MESSAGE_INCOMPLETE: badData(
    (d) => `${at(d)}the last line ends in the middle (${d['bytes']} bytes of it arrived)`,
    () =>
      'The streamer died while writing. Everything before that line is safe; run again to go on from the last state.',
  ),
  MESSAGE_MALFORMED: badData(
    (d) => `${at(d)}${d['type']} message ${d['why']}`,
    () => 'See docs/reference/messages.md for the fields each message type must have.',
  ),
  MESSAGE_TOO_LONG: badData(
    (d) => `${at(d)}longer than the limit of ${d['maxBytes']} bytes`,
    (d) =>
      String(
        d['fix'] ?? 'Raise the limit with --max-line-bytes, or make the streamer send large objects by reference.',
      ),
  ),
  MESSAGE_TOO_DEEP: badData(
    (d) => `${at(d)}nested deeper than ${d['maxDepth']} levels`,
    () => 'Flatten the record at its source, or have it sent as text.',
  ),
  MESSAGE_UNSUPPORTED_FORMAT: badData(
    (d) => `${at(d)}${d['why']}`,
    (d) => String(d['fix'] ?? 'Accepted are Singer JSON lines and stitchstream/0.1 with jsonline or transit.'),
  ),
  MESSAGE_WRITE_NOT_FINITE: badData(
    (d) => `a record of ${d['stream']} has the number ${d['value']} in field ${d['field']}, which JSON cannot carry`,
    () => 'Write null or text instead of NaN and Infinity.',
  ),
  STATE_TOO_LARGE: badData(
    (d) => `${at(d)}STATE of ${d['bytes']} bytes; the limit is ${d['maxBytes']}`,
    () => 'Keep positions in the state, not data.',
  ),
  BATCH_FILE: badData(
    (d) => `${at(d)}BATCH file ${d['file']}: ${d['why']}`,
    () => 'The files of a BATCH message must be readable here until its state came back.',
  ),

  // — records —
  RECORD_INVALID: badData(
    (d) => `${at(d)}stream ${d['stream']}, key ${d['key'] ?? '(none)'}: field ${d['field']} ${d['rule']}`,
    () => 'Mend the record at its source, or set such records aside with --on-invalid dead-letter.',
  ),
  RECORD_KEY_MISSING: badData(
    (d) => `${at(d)}stream ${d['stream']}: key property ${d['field']} is ${d['why'] ?? 'missing'}`,
    () => 'Every record needs all its key properties; set such records aside with --on-invalid dead-letter.',
  ),
  RECORD_WITHOUT_SCHEMA: badData(
    (d) => `${at(d)}stream ${d['stream']}: RECORD before any SCHEMA`,
    () => 'Leave out --require-schema to have the schema inferred.',
  ),
  VALUE_NOT_STORABLE: badData(
    (d) => `${at(d)}stream ${d['stream']}, field ${d['field']}: ${d['why']}`,
    () => 'Change the value at its source, map the field, or set such records aside with --on-invalid dead-letter.',
  ),
  SCHEMA_INVALID: badData(
    (d) => `${at(d)}stream ${d['stream']}: its schema cannot be used: ${d['why']}`,
    () => 'The schema must be JSON Schema (draft 4 to 2020-12) with an object at its top.',
  ),
  SCHEMA_CHANGE_REFUSED: afterFix(exitCodes.badData, 409)(
    (d) =>
      `stream ${d['stream']}, field ${d['field']}: cannot become ${d['to']}, it is ${d['from']} at the destination`,
    (d) => String(d['fix'] ?? 'Rename the field in a map, or rebuild the destination from the beginning.'),
  ),

  // — settings —
  CONFIG_INVALID: settings(
    (d) => `${d['what'] ?? 'settings'}: ${list(d['problems'])}`,
    (d) => String(d['fix'] ?? 'Run the command with --help to see every setting.'),
  ),
  CONFIG_FILE: settings(
    (d) => `${d['file']}: ${d['why']}`,
    () => 'The file must hold one JSON object.',
  ),
  CATALOG_INVALID: settings(
    (d) => `catalog${d['file'] === undefined ? '' : ` ${d['file']}`}: ${d['why']}`,
    (d) =>
      String(
        d['fix'] ??
          (d['file'] === undefined
            ? 'The streamer answered something else than a catalog when it was asked for one; its stderr may say why.'
            : 'Make a fresh one with `millrace discover`.'),
      ),
  ),
  STATE_UNREADABLE: afterFix(exitCodes.settings, 409)(
    (d) => `state ${d['source']} cannot be read: ${d['why']}`,
    () => 'It is never taken for "from the beginning". Mend it, or remove it to start anew.',
  ),
  STATE_EMPTIER: afterFix(exitCodes.settings, 409)(
    (d) => `the new state of ${d['pipeline']} is emptier than the stored one: ${d['why']}`,
    () => 'If the streamer really started over, accept it once with --allow-emptier-state.',
  ),
  PROJECT_NOT_FOUND: settings(
    (d) => `no millrace.yaml in ${d['cwd']} or above`,
    () => 'Make one with `millrace init`.',
  ),
  PROJECT_INVALID: settings(
    (d) => `${at(d)}${list(d['problems'])}`,
    () => 'docs/reference/project-file.md describes millrace.yaml; `millrace check` checks it.',
  ),
  PIPELINE_UNKNOWN: settings(
    (d) => `no pipeline is called "${d['name']}"${near(d)}`,
    (d) => `Known are: ${list(d['known']) || 'none yet'}.`,
  ),
  REGISTRY_UNKNOWN: usage(
    (d) => `no ${d['kind']} is called "${d['name']}"${near(d)}`,
    (d) => `Known are: ${list(d['known'])}.`,
  ),
  COMMAND_USAGE: usage(
    (d) => String(d['why']),
    (d) => String(d['fix'] ?? 'See `millrace --help`.'),
  ),
  NODE_TOO_OLD: settings(
    (d) => `Node ${d['found']} is too old`,
    () => 'Millrace needs Node 24 or newer.',
  ),
  STATE_OF_OTHER_DESTINATION: afterFix(exitCodes.settings, 409)(
    (d) =>
      `the state of ${d['pipeline']} was made for ${d['made']}, and it writes to ${d['now']} now: only what is new would get there`,
    (d) =>
      `Fill the new one with --full-refresh; if the data was moved, keep its state: \`millrace state show ${d['pipeline'] ?? 'NAME'} | millrace state set ${d['pipeline'] ?? 'NAME'} -\`.`,
  ),

  // — source and destination —
  SOURCE_UNAVAILABLE: later(exitCodes.unavailable, 502)(
    (d) => `${d['what']}: ${d['why']}`,
    (d) => String(d['fix'] ?? 'Check that the source is there and try again.'),
  ),
  SOURCE_LIMITED: later(exitCodes.later, 429)(
    (d) => `${d['what']}: ${d['why']}`,
    () =>
      'Run again later: it goes on from the last state. Fewer requests at once, or less often, may keep below the limit.',
  ),
  SOURCE_REFUSED: settings(
    (d) => `${d['what']}: ${d['why']}`,
    (d) => String(d['fix'] ?? 'Check the settings of the streamer.'),
  ),
  SOURCE_MALFORMED: badData(
    (d) => `${at(d)}${d['why']}`,
    (d) =>
      String(
        d['fix'] ?? 'Mend the source at that place. Everything before it was sent; run again to go on from there.',
      ),
  ),
  SOURCE_LOG_LOST: afterFix(exitCodes.settings, 410)(
    (d) => `${d['what']}: the changes after the stored state are not kept any more: ${d['why']}`,
    (d) =>
      `${String(d['also'] ?? '')}Run with --full-refresh: every table is read anew, and rows that are gone are removed. Nothing was read now.`,
  ),
  DESTINATION_UNAVAILABLE: later(exitCodes.unavailable, 502)(
    (d) => `${d['what']}: ${d['why']}`,
    (d) =>
      String(d['fix'] ?? 'Check that the destination is there and try again; nothing after the last state was kept.'),
  ),
  DESTINATION_LIMITED: later(exitCodes.later, 429)(
    (d) => `${d['what']}: ${d['why']}`,
    () => 'Run again later: it goes on from the last state. Larger batches make fewer requests.',
  ),
  DESTINATION_FULL: later(exitCodes.later, 507)(
    (d) => `${d['what']}: no space left (${d['why']})`,
    () => 'Free some space and run again: it goes on from the last state.',
  ),
  DESTINATION_REFUSED: settings(
    (d) => `${d['what']}: ${d['why']}`,
    (d) => String(d['fix'] ?? 'Check the settings of the persister.'),
  ),
  DESTINATION_BUSY: later(exitCodes.later, 409)(
    (d) => `${d['what']} is in use by another run`,
    () => 'Wait for the other run to end, or write to another path.',
  ),
  PIPE_CLOSED: later(exitCodes.later, 502)(
    (d) => `${d['what'] ?? 'the reader of our output'} closed the pipe`,
    () => 'See the error of the program on the right; run again to go on from the last state.',
  ),

  // — running —
  INSTALL_FAILED: settings(
    (d) => `cannot install ${d['name']}: ${d['why']}`,
    (d) => String(d['fix'] ?? 'See what the installer said; --index-url names another registry.'),
  ),
  PROCESS_NOT_STARTED: settings(
    (d) => `cannot start ${d['what']}: ${d['why']}`,
    (d) => String(d['fix'] ?? 'Check that the program exists and may be executed.'),
  ),
  PROCESS_FAILED: later(exitCodes.later, 502)(
    (d) => `${d['what']} ended with ${d['why']}`,
    () => 'Its last lines on stderr are above. Everything up to the last state is safe.',
  ),
  PROCESS_STALLED: later(exitCodes.later, 504)(
    (d) => `${d['what']} sent nothing for ${d['seconds']} s`,
    () => 'Raise --idle-timeout, or see what it waits for.',
  ),
  RECORDS_REFUSED: never(exitCodes.badData, 422)(
    (d) => `${d['what']} was given its input in parts, and the search for what it refuses was given up: ${d['why']}`,
    () => 'Mend the destination, or the records at their source; nothing after the last state was kept or set aside.',
  ),
  BOOKS_OPEN: never(exitCodes.ourBug, 500)(
    (d) => `the books of run ${d['run']} do not close: ${list(d['problems'])}`,
    () => 'Run `millrace verify` on it; do not trust this destination before it is explained.',
  ),
  VERIFY_FAILED: never(exitCodes.badData, 409)(
    (d) => `the destination does not hold what run ${d['run']} stored: ${list(d['problems'])}`,
    () => 'Somebody changed the destination since. Load it again with `millrace state revert` or from the beginning.',
  ),
  STORE_UNUSABLE: settings(
    (d) => `${d['file']}: ${d['why']}`,
    (d) =>
      /EACCES|EPERM|EROFS|may not be written|permission/.test(String(d['why']))
        ? 'Make the folder .millrace writable for this user, or work in another folder.'
        : 'The store of a project is .millrace/millrace.db; restore it from a copy or remove it to start anew.',
  ),
  RUN_UNKNOWN: settings(
    (d) => `there is no run "${d['run']}"`,
    (d) => String(d['fix'] ?? '`millrace runs` lists them.'),
  ),
  RUN_LOCKED: later(exitCodes.later, 409)(
    (d) => `pipeline ${d['pipeline']} is running already (run ${d['run']}, process ${d['pid']})`,
    () => 'Wait for it to end. One pipeline has one run at a time, so that its state has one writer.',
  ),

  // — streams —
  STREAM_NAME_INVALID: settings(
    (d) => `"${d['name']}" is no name of a stream`,
    () => 'A name has 1 to 200 letters, digits and . _ - (of ASCII) and begins with a letter or a digit.',
  ),
  STREAM_EXISTS: afterFix(exitCodes.settings, 409)(
    (d) => `there is a stream "${d['stream']}" already`,
    () => 'Choose another name, or delete that stream first.',
  ),
  STREAM_UNKNOWN: afterFix(exitCodes.settings, 404)(
    (d) => `there is no stream "${d['stream']}"`,
    () => 'Create it, or look for its name in the list of streams.',
  ),
  LOG_CLOSED: never(exitCodes.ourBug, 503)(
    (d) => `${d['stream']} was closed and cannot be used any more`,
    () => 'Open it again.',
  ),
  LOG_ARGUMENT: usage(
    (d) => `stream ${d['stream']}: ${d['why']}`,
    () => 'Correct what is asked of the stream.',
  ),
  LOG_WRITER_BEHIND: never(exitCodes.badData, 409)(
    (d) => `writer ${d['writer']} of stream ${d['stream']} appends ${d['seq']}, its last was ${d['last']}`,
    () => 'A writer that comes back asks where it was and goes on from there; two writers need two ids.',
  ),
  LOG_OFFSET_TRIMMED: never(exitCodes.badData, 410)(
    (d) => `offset ${d['asked']} of stream ${d['stream']} is not kept any more; the first is ${d['first']}`,
    () => 'Read from the first record that is there, or replay what is missing from the archive.',
  ),
  LOG_OFFSET_AHEAD: never(exitCodes.badData, 416)(
    (d) => `offset ${d['asked']} of stream ${d['stream']} is ahead of its end; the next is ${d['next']}`,
    () => 'The stream may have been made anew: read it from its first record.',
  ),
  LOG_UNAVAILABLE: later(exitCodes.unavailable, 503)(
    (d) => `${d['what']}: ${d['why']}`,
    (d) => String(d['fix'] ?? 'Check that the log of the streams is there and may be read and written; try again.'),
  ),
  LOG_REFUSED: afterFix(exitCodes.settings, 503)(
    (d) => `${d['what']}: ${d['why']}`,
    (d) => String(d['fix'] ?? 'Check the url of the log and what its user may do there.'),
  ),
  LOG_FULL: later(exitCodes.later, 507)(
    (d) => `${d['what']}: no space left (${d['why']})`,
    () => 'Free some space or let streams keep less; what was acknowledged is safe.',
  ),
  LOG_DAMAGED: never(exitCodes.ourBug, 500)(
    (d) => `${d['what']}: ${d['why']}`,
    () => 'Restore the log of the streams from a backup.',
  ),
  CONTROL_UNAVAILABLE: later(exitCodes.unavailable, 503)(
    (d) => `${d['what']}: ${d['why']}`,
    () => 'Check that the database of the control plane answers and may be written, and try again.',
  ),
  CONTROL_UNUSABLE: afterFix(exitCodes.settings, 503)(
    (d) => `${d['what']} cannot be used as a control plane: ${d['why']}`,
    () =>
      'Give its user the rights it needs; where it is damaged restore it from a backup, where it is newer use the Millrace that wrote it.',
  ),
  CONTROL_ARGUMENT: usage(
    (d) => String(d['why']),
    () => 'Correct what is asked for.',
  ),
  ACTOR_UNKNOWN: afterFix(exitCodes.settings, 404)(
    (d) => `there is no ${d['type'] ?? 'actor'} "${d['id']}" here`,
    () => 'Look for its id in the list of clients, of users, or of what was granted on the stream.',
  ),
  USER_EXISTS: afterFix(exitCodes.settings, 409)(
    (d) => `there is a user ${d['email']} already`,
    () => 'Use that user, or another address. For a forgotten password: millrace users invite EMAIL.',
  ),
  LAST_OWNER: afterFix(exitCodes.settings, 409)(
    (d) => `${d['what']} would be left without an owner`,
    () => 'Make somebody else an owner first, or delete the stream.',
  ),
  GROUP_EXISTS: afterFix(exitCodes.settings, 409)(
    (d) => `the stream has a group "${d['group']}" already`,
    () => 'Choose another name, or use that group.',
  ),
  GROUP_UNKNOWN: afterFix(exitCodes.settings, 404)(
    (d) => `the stream has no group "${d['group']}"`,
    () => 'Create the group, or look for its name in the list of groups.',
  ),
  LEASE_UNKNOWN: never(exitCodes.badData, 409)(
    (d) => `group ${d['group']} has no lease ${d['lease']}: it was settled, or not acknowledged in time`,
    () => 'Others may be at work on these records: claim again, and extend a lease before it ends.',
  ),
  SCHEMA_UNKNOWN: afterFix(exitCodes.settings, 404)(
    (d) => `the stream has no schema "${d['schema']}"`,
    () => 'Look for its id in the list of schemas.',
  ),
  KEY_UNKNOWN: afterFix(exitCodes.settings, 404)(
    (d) => `the stream has no public key "${d['key']}"`,
    () => 'Look for its id in the list of keys.',
  ),
  BATCH_UNKNOWN: afterFix(exitCodes.settings, 404)(
    (d) => `the stream has no batch "${d['batch']}"`,
    () => 'Begin the batch anew.',
  ),
  SUBSCRIPTION_UNKNOWN: afterFix(exitCodes.settings, 404)(
    (d) => `the stream has no subscription "${d['subscription']}"`,
    () => 'Look for its id in the list of subscriptions.',
  ),
  SUBSCRIPTION_INVALID: afterFix(exitCodes.settings, 400)(
    (d) => `this is no subscription: ${String(d['problems'])}`,
    () => 'The API reference says what a subscription may say.',
  ),
  BATCH_PART: never(exitCodes.badData, 422)(
    (d) => `batch ${d['batch']}: ${d['why']}`,
    () => 'Ask for the batch: it says which parts are outstanding, and what their bytes were announced to be.',
  ),
  ACCESS_DENIED: afterFix(exitCodes.settings, 403)(
    (d) => `this needs ${d['needs']}${d['stream'] === undefined ? '' : ` (stream "${d['stream']}")`}`,
    () => 'Ask an owner of the stream for the right, or get a token with the scope.',
  ),
  RECORD_UNKNOWN: afterFix(exitCodes.settings, 404)(
    (d) => `the stream has no record "${d['record']}"`,
    () => 'It may have been trimmed; read the stream for the ids of its records.',
  ),
  IDEMPOTENCY_MISMATCH: never(exitCodes.badData, 409)(
    (d) => `the idempotency key "${d['key']}" was used for another request`,
    () => 'Use a new key for each request, and the same one only to repeat it.',
  ),
  PASSWORD_WEAK: afterFix(exitCodes.settings, 422)(
    (d) => `a password has at least ${d['min']} characters, and at most ${d['max']}`,
    () => 'Choose a longer one.',
  ),

  // — the manager and its API —
  REQUEST_INVALID: usage(
    (d) => `${d['what'] ?? 'the request'}: ${list(d['problems'])}`,
    (d) => String(d['fix'] ?? 'The document at /openapi.json describes every request.'),
  ),
  REQUEST_TOO_LARGE: never(exitCodes.badData, 413)(
    (d) => `${d['what'] ?? 'the body'} has more than ${d['maxBytes']} bytes`,
    (d) =>
      String(d['fix'] ?? 'Send many records as JSON lines (application/x-ndjson): such a body may have any length.'),
  ),
  REQUEST_TOO_SLOW: later(exitCodes.later, 408)(
    (d) => `the request sent nothing for ${d['seconds']} s`,
    () => 'Send the request again. A body of JSON lines is kept open by blank lines.',
  ),
  REQUEST_LIMITED: later(exitCodes.later, 429)(
    (d) => `too many requests: ${d['why']}`,
    (d) => `Try again in ${d['seconds'] ?? 'a few'} s. Many records in one request make fewer requests.`,
  ),
  MEDIA_TYPE_UNSUPPORTED: usage415(
    (d) => `${d['given'] === undefined ? 'the body has no content type' : `a body of ${d['given']} is not taken here`}`,
    (d) => `Send ${list(d['known']) || 'application/json'}.`,
  ),
  ROUTE_UNKNOWN: afterFix(exitCodes.usage, 404)(
    (d) => `there is no ${d['method']} ${d['path']}`,
    () => 'The document at /openapi.json lists every route.',
  ),
  TOKEN_INVALID: afterFix(exitCodes.settings, 401)(
    (d) => `${d['why'] ?? 'the request has no valid token'}`,
    (d) =>
      String(
        d['fix'] ??
          'Get a token at /api/v1/oauth/token and send it as `Authorization: Bearer …`; with the command line, `millrace login`.',
      ),
  ),
  MANAGER_RUNNING: afterFix(exitCodes.settings, 409)(
    (d) => `a manager is running on ${d['folder']} already${d['pid'] === undefined ? '' : ` (process ${d['pid']})`}`,
    () => 'Use that one, stop it first, or start this one in another folder with --cwd.',
  ),
  MANAGER_NOT_STARTED: settings(
    (d) => `the manager cannot start: ${d['why']}`,
    (d) => String(d['fix'] ?? 'See `millrace up --help`.'),
  ),
  MANAGER_UNKNOWN: settings(
    (d) => `no manager is known here: ${list(d['looked'])}`,
    () =>
      'Start one in this folder with `millrace up`, or say where one is with `millrace login URL` or MILLRACE_URL, MILLRACE_CLIENT_ID and MILLRACE_CLIENT_SECRET.',
  ),
  MANAGER_UNAVAILABLE: later(exitCodes.unavailable, 503)(
    (d) => `the manager at ${d['url']}: ${d['why']}`,
    (d) => String(d['fix'] ?? 'Check that it runs (`millrace up`) and try again.'),
  ),
  INTERRUPTED: later(exitCodes.interrupted, 503)(
    (d) => `stopped by ${d['signal'] ?? 'request'}`,
    () => 'Everything up to the last state is safe; run again to go on.',
  ),
  INTERNAL: never(exitCodes.ourBug, 500)(
    (d) => `${d['what'] === undefined ? 'internal error' : `${d['what']} failed`}: ${d['why']}`,
    (d) => String(d['fix'] ?? 'This is a mistake of ours. Please report it with the command and this line.'),
  ),
}
