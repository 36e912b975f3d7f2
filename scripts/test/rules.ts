/** What scripts/test.ts decides about a test by its path or by the reason of its skip. */

/**
 * Test files that run with nothing beside them, because they measure time or memory, or need both cores; each with the
 * reason. A path, or the end of one.
 */
export const alone: Readonly<Record<string, string>> = {
  '.kill.test.ts': 'kills processes at moments measured beforehand',
  'tests/e2e/killed-runs.test.ts': 'kills processes at moments measured beforehand',
  'memory.test.ts': 'compares peak memory',
  '.speed.test.ts': 'compares durations',
}

/** Whether a test file must run alone. */
export const runsAlone = (file: string): boolean => Object.keys(alone).some((end) => file.endsWith(end))

/**
 * Whether a skip's reason is a tool or a service that is not there ("needs rabbitmq-server"), which CI has to bring,
 * rather than something this machine or user cannot be ("runs as root").
 */
export const isMissingTool = (reason: string): boolean =>
  /^needs\b(?!.*\b(root|user|tty|terminal|platform)\b)|\b(not installed|missing|not found|not available|unavailable|absent)\b/i.test(
    reason,
  )
