export { compileMaps } from './maps.ts'
export { withoutUnselected } from './selection.ts'
export { compileSchema } from './validation.ts'
