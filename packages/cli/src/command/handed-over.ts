/** Whether an older Node handed over to this one. Read once and taken away: programs started from here were not. */
export const wasHandedOver: boolean = process.env['MILLRACE_HANDED_OVER'] === '1'
delete process.env['MILLRACE_HANDED_OVER']
