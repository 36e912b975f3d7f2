import { defineOperation, isObject, type Operation, text, whole } from '@millrace/sdk'

export const bigOnes: Operation = defineOperation({
  name: 'big-ones',
  doc: 'Drops the records whose amount is small, and marks the others.',
  config: {
    field: text({ doc: 'The field that holds the amount', default: 'amount' }),
    least: whole({ doc: 'The least amount that is kept', default: 100, min: 0 }),
  },
  schema: (schema) => ({
    ...schema,
    properties: { ...(isObject(schema['properties']) ? schema['properties'] : {}), big: { type: 'boolean' } },
  }),
  records: (records, { config }) =>
    records.filter((r) => Number(r[config.field]) >= config.least).map((r) => ({ ...r, big: true })),
})
