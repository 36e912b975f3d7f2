/** One thing that `millrace doctor` looked at. */
export interface Finding {
  readonly what: string
  /** `missing`: not there, or not as it could be, and no harm. */
  readonly is: 'good' | 'missing' | 'bad'
  readonly found: string
  readonly fix?: string
}
