import { MillraceError } from '@millrace/sdk'

interface Rights {
  readonly isOwner: boolean
  readonly isProducer: boolean
  readonly isConsumer: boolean
}

/** What somebody may do with a stream, in words. */
export const rightsText = (rights: Rights | null): string => {
  if (rights === null) return 'administer'
  if (rights.isOwner) return 'own'
  const words = [rights.isProducer ? 'publish' : undefined, rights.isConsumer ? 'consume' : undefined]
  return words.filter((w) => w !== undefined).join(', ') || 'see it'
}

/** The rights that words say: owner, producer, consumer. Throws COMMAND_USAGE. */
export const parseRights = (words: readonly string[]): Rights => {
  const known = { owner: 'isOwner', producer: 'isProducer', consumer: 'isConsumer' } as const
  const rights = { isOwner: false, isProducer: false, isConsumer: false }
  for (const word of words.flatMap((w) => w.split(',')).map((w) => w.trim())) {
    if (!(word in known))
      throw new MillraceError('COMMAND_USAGE', { why: `"${word}" is no right; there are owner, producer and consumer` })
    rights[known[word as keyof typeof known]] = true
  }
  return rights
}
